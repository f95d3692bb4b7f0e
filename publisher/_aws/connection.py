"""The boto3 client behind a client of ours: made lazily, off the caller's thread."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError

from .. import _clock
from .._fork import importing
from .._log_lines import OPENERS, is_line, quiet
from ..services import load
from . import guards, mocks
from . import sessions as _sessions
from .config import config_of
from .direct.way import Direct
from .fast import Ways, install

#: Seconds for which the failure to make a client is remembered, and between two that are made.
_RETRY_AFTER = 1.0
#: A worker waits at most so long for another thread that makes the client it needs, or fetches its
#: credentials; then the messages back off and the worker goes on with others, seconds.
_ANOTHER_TAKES = 5.0
#: A caller waits at most so long, for what only a boto3 client can tell, seconds.
_CALLER_WAITS = 120.0


class NotMadeError(Exception):
    """The boto3 client could not be made, for its cause; nothing was sent."""


class NoSuchPortError(ValueError):
    """The address of an endpoint has a port that cannot exist; no other try can change that."""


class StillFetching(BotoCoreError):
    """Another thread is fetching the credentials, or making the boto3 client, at this moment."""

    fmt = "the boto3 client is not made yet: its credentials are still being fetched"


class Connection:
    """Makes and keeps one boto3 client.

    Args:
        service: boto3's name of it, such as ``"sns"``.
        region: the client's, for life; None where it is not known.
        kwargs: of ``boto3.client``.
        session: a ``boto3.Session`` to make it with, or None.
        client: a ready boto3 client to use as it is, or None.
        defaults: botocore ``Config`` options that the user's own config may override.
        max_workers: threads that will use it at once.
    """

    def __init__(
        self,
        service: str,
        region: str | None,
        kwargs: Mapping[str, Any],
        session: Any,
        client: Any,
        defaults: Mapping[str, Any],
        max_workers: int,
    ) -> None:
        self.service = service
        #: The client's region, by one name for life; empty where it is not known.
        self.region = _plain_region(region or "")
        # It stays that, whatever the environment says when the client is made, or made anew.
        self._kwargs = {**kwargs, **({} if region is None else {"region_name": region})}
        self._session = session
        self._client = client
        self._defaults = defaults
        self._max_workers = max_workers
        self._ways = Ways(None, None)  # until there is a client
        self._failure: BaseException | None = None
        self._retry_at = 0.0
        self._given = client is not None
        self._renew_at: float | None = None  # when to make another client, on the monotonic clock
        self._making = threading.RLock()  # held by who makes the client
        self._maker: Any = None  # the session that made it
        self._retrying: Any = None  # a client for paginators and waiters
        #: Which it is, where its arguments do not say that: of no other one, in no other process.
        self.number = int.from_bytes(os.urandom(8), "big")
        self._guarded = guards.are_up()
        #: What is accepted inside a mock must not reach the network later.
        self._in_mock = mocks.guard()

    @property
    def fast(self) -> bool:
        """Whether the next batch may be encoded by hand; see _aws/fast.py."""
        return bool(self._ways.listeners and self._ways.listeners.nobody())

    @property
    def direct(self) -> Direct | None:
        """The direct way of its batches, where there is one; see _aws/direct."""
        return self._ways.direct

    @property
    def ways(self) -> dict[str, int]:
        """Batches by their way: ``direct``, or why they went botocore's; empty before the first."""
        direct, why_not = self._ways[1:]
        return direct.count if direct is not None else dict.fromkeys(filter(None, [why_not]), 0)

    @property
    def made(self) -> Any:
        """The boto3 client, or None while it is not made."""
        return self._client

    def get(self, wait: float = _CALLER_WAITS) -> Any:
        """The boto3 client, made now if need be.

        Args:
            wait: how many seconds another thread may take that is making it.

        Raises:
            StillFetching: it took longer.
            Exception: whatever boto3 raises (no such profile); the same for a second afterwards.
        """
        if self._client is not None and self._renew_at is None:
            return self._client
        if is_line():  # a logging handler may ask for what its own thread is making
            raise StillFetching
        try:  # first: Ctrl-C may come once it is held
            if not self._making.acquire(timeout=wait):
                raise StillFetching
            if self._renew_at is not None and _clock.now() >= self._renew_at:
                self._client, self._renew_at = self._renewed(wait), None
            if self._client is None:
                if self._failure is not None and _clock.now() < self._retry_at:
                    raise copy.copy(self._failure).with_traceback(None)
                try:
                    self._client = self._make(wait)
                except StillFetching:
                    raise
                except Exception as error:
                    self._failure = error
                    self._retry_at = _clock.now() + _RETRY_AFTER
                    raise
            return self._client
        finally:
            try:  # noqa: SIM105 - no call before it is released
                self._making.release()
            except RuntimeError:  # somebody else holds it
                pass

    def get_for_work(self) -> Any:
        """The boto3 client, on a worker, which nothing may hold for long; made now if need be.

        Raises what boto3 raises, or StillFetching where another thread took too long.
        """
        return self.get(_ANOTHER_TAKES)

    def get_retrying(self) -> Any:
        """A boto3 client with botocore's own retries, for what we hand through and do not retry.

        Raises:
            Exception: whatever boto3 raises, or a guard as in :meth:`ask_guard`.
        """
        if self._given:
            self.ask_guard()
            return self._client
        self.get()  # in a test: with what is mocked now
        if self._retrying is None:
            imports = importing().stretch()
            try:
                imports.begin()
                with quiet():
                    self._retrying = self._client_of(self._kwargs.get("config"), _CALLER_WAITS)
            finally:
                imports.over = True
        return self._retrying

    def ask_guard(self) -> None:
        """Ask the guards before a request of a ready client, which has no handler of ours to do so.

        Raises:
            Exception: whatever a guard has against its endpoint.
        """
        if self._given:
            guards.ask(self._client.meta.endpoint_url)

    def lacks_credentials(self) -> None:
        """Have another client made in a second: there are no credentials, or they are not valid.

        It is made from what is configured then. Until then this one stays, for its exceptions and
        its model are needed.
        """
        if not self._given and self._renew_at is None:
            self._renew_at = _clock.now() + _RETRY_AFTER

    def _renewed(self, wait: float) -> Any:
        _sessions.forget(self._maker)
        self._retrying = None
        try:
            return self._make(wait)
        except Exception:  # noqa: BLE001 - the old one still says what is wrong
            return self._client

    def _make(self, wait: float) -> Any:
        imports = importing().stretch()
        try:
            imports.begin()
            with quiet():
                return self._make_now(wait)
        finally:
            imports.over = True

    def _make_now(self, wait: float) -> Any:
        maker = self._session or _sessions.current()
        user = self._kwargs.get("config")
        config = config_of(user, maker, self._defaults, self._max_workers)
        client = self._client_of(config, wait)
        self._ways = install(client, load(self.service), self._asked())
        return client

    def _asked(self) -> list[Callable[[str], None]]:
        """The guards, for a request of which botocore's events do not tell them."""
        return [*([guards.ask] * self._guarded), *([self._in_mock.ask] if self._in_mock else [])]

    def _client_of(self, config: Any, wait: float) -> Any:
        _check_port(self._kwargs.get("endpoint_url"))
        maker = self._session
        if maker is None:
            maker = _sessions.current()
        self._maker = maker
        locks = _sessions.locks_of(maker)
        if self._kwargs.get("aws_access_key_id") is None and hasattr(maker, "get_credentials"):
            # They may take long to fetch. Clients that have theirs are made meanwhile.
            try:
                if not locks.fetching.acquire(timeout=wait):
                    raise StillFetching
                maker.get_credentials()
            finally:
                try:  # noqa: SIM105 - as in get()
                    locks.fetching.release()
                except RuntimeError:
                    pass
        try:
            if not locks.making.acquire(timeout=wait):
                raise StillFetching
            client = maker.client(self.service, **{**self._kwargs, "config": config})
        finally:
            try:  # noqa: SIM105 - as in get()
                locks.making.release()
            except RuntimeError:
                pass
        if self._in_mock is not None:
            self._in_mock.protect(client)
        if self._guarded:
            client.meta.events.register_first(
                "before-call", lambda params, **_: guards.ask(params["url"])
            )
        return client


OPENERS.update((Connection._make.__code__, Connection.get_retrying.__code__))


def _plain_region(region: str) -> str:
    """The region's plain name: botocore takes ``fips-`` out of it, and uses a FIPS endpoint."""
    return region.replace("fips-", "").replace("-fips", "")


def _check_port(endpoint_url: Any) -> None:
    """Refuse a port that cannot exist.

    An older botocore does not, and would send SNS's requests to AWS in place of this endpoint.
    """
    try:
        _ = urlsplit(str(endpoint_url or "")).port
    except ValueError as error:
        raise NoSuchPortError(str(error)) from None
