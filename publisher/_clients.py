"""The clients of a publisher: one for equal arguments, made at the first call and kept."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import services
from ._arguments import check_arguments, default_session, key_of, warn_of_own_client
from ._fork import importing
from ._log_lines import is_line, quiet
from ._process import deliver_all

if TYPE_CHECKING:
    from ._aws.connection import Connection
    from ._client import Client
    from ._process import Publishing

#: Clients that are kept, by whose session they are made with: each holds connections, and a session
#: of the caller's holds the models of its services too.
MAX_CLIENTS = {"ours": 256, "callers": 32}
#: From so many clients on it matters which of them was used last.
_MANY = MAX_CLIENTS["callers"] // 2

#: Numbers the uses of clients; each has that of its last.
_uses = itertools.count()

logger = logging.getLogger("publisher")


class _Kept:
    """One client, and what is known about it."""

    __slots__ = ("client", "identities", "maker", "used")

    def __init__(self, client: Client, identities: tuple[Any, ...], maker: str) -> None:
        self.client = client
        self.identities = identities
        self.maker = maker  # whose session: a key of MAX_CLIENTS
        self.used = next(_uses)


class Clients:
    """The clients that one publisher keeps, by what :func:`key_of` says of their arguments."""

    def __init__(self) -> None:
        self._kept: dict[Any, _Kept] = {}
        self._warned: set[str] = set()

    def get(self, key: Any) -> Client | None:
        """The client with this key, if there is one. Raises TypeError for a key without a hash."""
        found = self._kept.get(key)
        if found is None:
            return None
        if len(self._kept) > _MANY:
            found.used = next(_uses)
        return found.client

    def add(self, key: Any, client: Client, identities: tuple[Any, ...], maker: str) -> Client:
        """Keep a client; returns the one that another thread has kept meanwhile, if it has.

        Args:
            key: of its arguments.
            client: it.
            identities: what the key identifies by ``id()``: that must live as long as the key does.
            maker: whose session it is made with: ``"ours"`` or ``"callers"``.
        """
        self._make_room(maker)
        return self._kept.setdefault(key, _Kept(client, identities, maker)).client

    def _make_room(self, maker: str) -> None:
        """Forget idle clients beyond the bound, the one that was used longest ago first."""
        kept = [(key, one) for key, one in list(self._kept.items()) if one.maker == maker]
        bound = MAX_CLIENTS[maker]
        if len(kept) < bound:
            return
        if maker not in self._warned:
            self._warned.add(maker)
            logger.warning(
                "more than %d clients with different arguments%s: each holds a boto3 client and its"
                " connections; make few and share them. Idle ones are forgotten from here on, the"
                " one used longest ago first",
                bound,
                " and sessions of their own" if maker == "callers" else "",
                extra={"event": "publisher.clients", "clients": bound},
            )
        kept.sort(key=lambda item: item[1].used)
        left = len(kept)
        for key, old in kept:
            if left < bound:
                break
            if old.client.is_idle():
                self._kept.pop(key, None)
                left -= 1

    def copy(self) -> Clients:
        """Another that begins with the same clients."""
        other = Clients()
        other._kept = self._kept.copy()
        other._warned = self._warned.copy()
        return other

    def endpoints(self) -> list[Any]:
        """The endpoints that callers gave; None among them."""
        return [one.identities[3].get("endpoint_url") for one in list(self._kept.values())]

    def passed_in(self) -> list[Any]:
        """The sessions and boto3 clients that callers passed in; None among them."""
        kept = list(self._kept.values())
        return [each for one in kept for each in one.identities[:2]]

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._kept))


def make_client(
    publisher: Publishing,
    kept: Clients,
    service_name: str,
    session: Any,
    client: Any,
    kwargs: dict[str, Any],
) -> Client:
    """A new client of ``publisher``, kept in ``kept``; raises as :meth:`Publisher.client` does."""
    # Text is text: an Enum member's name would be written into labels and endpoints.
    service_name = _plain(service_name)
    kwargs = {name: _plain(value) for name, value in kwargs.items()}
    line = is_line()  # it may be the making of this very client that is logged
    # Half of the package's modules wait for the first client: programs import what they may not
    # use.
    imports = importing().stretch()
    try:
        imports.begin()
        from ._aws.config import check_config
        from ._aws.connection import Connection
        from ._aws.mocks import at_the_end
        from ._aws.refusals import check
        from ._client import Client
        from ._threads import runtime as _runtime  # noqa: F401 - or the first message would wait for it

        at_the_end(deliver_all)
        check_arguments(service_name, session, client, kwargs)
        if client is not None:
            warn_of_own_client()
        service = services.load(service_name)
        if client is None and line:
            region = kwargs.get("region_name") or os.environ.get("AWS_DEFAULT_REGION")
        elif client is None:
            sends = publisher._sends_to_aws
            with quiet():
                region = check(service_name, session, kwargs, needs_region=sends)
        else:
            region = str(client.meta.region_name or "")
    finally:
        imports.over = True
    if kwargs.get("config") is not None:
        check_config(kwargs["config"], publisher._options.max_workers)
    made_in = os.getpid()

    def connect() -> Connection:
        if client is not None and os.getpid() != made_in:
            client.close()  # forked since: the sockets in its pool are another process's too
        current = publisher._options
        defaults = {
            "connect_timeout": current.connect_timeout,
            "read_timeout": current.read_timeout,
            "max_pool_connections": max(current.max_workers, 10),
        }
        return Connection(
            service_name, region, kwargs, session, client, defaults, current.max_workers
        )

    made = Client(publisher, service, connect, {})
    if line:  # unchecked, for a message that is dropped: it is not kept
        return made
    identities = (session, client, default_session(), kwargs)
    maker = "ours" if session is None and client is None else "callers"
    return kept.add(key_of(service_name, session, client, kwargs), made, identities, maker)


def _plain(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else value
