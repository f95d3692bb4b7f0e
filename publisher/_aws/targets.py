"""Where a lane's messages go: to a destination that takes batches, or into one operation."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from botocore.exceptions import NoCredentialsError

from .. import _clock
from .._account.causes import ACCESS, is_stale
from .._account.events import Attempt, Failure
from .._engine.contract import EntryError, Judgement, Limits, Packer, Service
from .connection import Connection, NotMadeError
from .errors import entry_failure
from .exceptions import exception_for
from .fast import encode
from .judging import MalformedAnswer, judge

logger = logging.getLogger("publisher")

#: Where the single operation is refused like its batch twin, it is not tried again for so many
#: seconds.
_REFUSED_FOR = 30.0
#: After so many seconds of single operations their batch twin is tried again: a permission takes a
#: while to spread, or was granted meanwhile.
_SINGLES_FOR = 30.0


class Call(NamedTuple):
    """The entry of a single operation."""

    size: int
    params: Mapping[str, Any]


def api_name(operation: str) -> str:
    """boto3's method name as the API has it: ``put_record`` -> ``PutRecord``."""
    return "".join(part.capitalize() for part in operation.split("_"))


class _Target:
    unknown_passes = True
    storable = False
    packer: Packer | None = None

    def __init__(
        self, service: Service, connection: Connection, operation: str, label: str
    ) -> None:
        self.service = service
        self.connection = connection
        self.operation = operation
        self.home = ""
        self._label = label

    @property
    def key(self) -> str:
        return f"{self.service.name}:{self.home or self.connection.region}:{self._label}"

    @property
    def region(self) -> str:
        """The client's region, which an ARN may contradict; empty where nobody says it."""
        return str(self.connection.region)

    @property
    def making(self) -> bool:
        """The boto3 client is not there yet."""
        return self.connection.made is None

    def _client(self) -> Any:
        try:
            client = self.connection.get_for_work()
        except Exception as error:
            raise NotMadeError from error
        self.connection.ask_guard()
        return client

    def error(self, failure: Failure) -> BaseException:
        client = self.connection.made
        mapping = {} if client is None else client.meta.method_to_api_mapping
        name = mapping.get(self.operation) or api_name(self.operation)
        return exception_for(failure, None if client is None else client.exceptions, name)

    def error_of(self, attempt: Attempt) -> BaseException | None:
        return None if attempt.failure is None else self.error(attempt.failure)

    def judge(self, error: BaseException, count: int) -> Judgement:
        judged = judge(
            error,
            self.service,
            count,
            unknown_passes=self.unknown_passes,
            operation=self.operation,
        )
        self._note_failed(error)
        return judged

    def entry_failure(self, error: EntryError, metadata: Mapping[str, Any]) -> Failure:
        return entry_failure(error, self.service, dict(metadata))

    def _note_failed(self, error: BaseException) -> None:
        """Have another client made, where the error is about the credentials of this one."""
        said = (getattr(error, "response", None) or {}).get("Error", {})
        stale = is_stale(str(said.get("Code")), str(said.get("Message")))
        if stale or isinstance(error, NoCredentialsError):
            self.connection.lacks_credentials()

    def named(self, operation: str) -> Any:
        other = copy.copy(self)
        other.operation = operation
        return other


class BatchTarget(_Target):
    """A destination that takes batches: a topic, a stream.

    Entries travel in the batch twin of the operation that the caller called.

    A role that may use the single operation but not its batch twin still works: when the twin is
    refused, entries travel one by one.
    """

    storable = True

    def __init__(self, service: Service, connection: Connection, address: Any) -> None:
        super().__init__(service, connection, service.single, service.label(address))
        self.address = address
        self.home, self.owner = service.home(address)
        self.permission = service.permission
        self.packer = type(service).packer
        # On the monotonic clock, until when
        self._singles_until = 0.0  # single operations go in place of their twin,
        self._singles_refused_until = 0.0  # and those do not
        self._warned = False

    def name_owner(self) -> None:
        """Add the account to its name: another account has a destination of the same name."""
        self._label = f"{self._label}@{self.owner or 'own'}"

    @property
    def _goes_single(self) -> bool:
        return _clock.now() < self._singles_until

    def sends(self, count: int) -> str:
        # The lane may have changed to the single operation since this request was taken. Several
        # entries still go as a batch: where that is refused, its messages then go one by one.
        return self.service.single if count == 1 and self._goes_single else self.service.batch

    @property
    def limits(self) -> Limits:
        limits = self.service.limits
        return Limits(1, limits.bytes) if self._goes_single else limits

    def send(
        self, entries: Sequence[Any], operation: str
    ) -> tuple[list[Mapping[str, Any] | EntryError], Mapping[str, Any]]:
        client = self._client()
        service = self.service
        if operation != service.batch:
            try:
                response = getattr(client, service.single)(
                    **service.single_request(self.address, entries[0])
                )
            except Exception as error:
                self._note_refused(error)
                raise
            response.get("ResponseMetadata", {}).pop("MaxAttemptsReached", None)
            if not response.get(service.receipt):
                raise MalformedAnswer(f"the answer has no {service.receipt}", response)
            self._warn()
            return [
                {key: value for key, value in response.items() if key in service.about_entries}
            ], response
        response = self._send_batch(getattr(client, service.batch), entries)
        try:
            # botocore says so of every answer, where it is told not to retry.
            response.get("ResponseMetadata", {}).pop("MaxAttemptsReached", None)
            return service.read(response, len(entries)), response
        except (ValueError, TypeError, AttributeError) as error:
            raise MalformedAnswer(
                str(error), response if isinstance(response, dict) else {}
            ) from None

    def _send_batch(self, call: Callable[..., Any], entries: Sequence[Any]) -> Any:
        """One request, the quickest way that is open."""
        service, address, direct = self.service, self.address, self.connection.direct
        if direct is not None:
            parse = partial(encode, service, address, entries, None)
            response = direct.send(address, entries, lambda answered: call(**parse(answered)))
            if response is not None:
                return response
        if not self.connection.fast:
            return call(**service.batch_request(address, entries))
        learn = None if direct is None else partial(direct.learn, address)
        return call(**encode(service, address, entries, learn))

    def change_to_single(self, code: str) -> bool:
        service = self.service
        now = _clock.now()
        if (
            code not in ACCESS
            or service.single_permission == service.permission
            or now < self._singles_refused_until
        ):
            return False
        self._singles_until = now + _SINGLES_FOR
        return True

    def _note_refused(self, error: Exception) -> None:
        """Note that the single operation is refused too: then batches cost fewer requests."""
        # botocore's errors of the network have the attribute, and nothing in it.
        code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code")
        if code in ACCESS and not self._warned:
            self._singles_refused_until = _clock.now() + _REFUSED_FOR
            self._singles_until = 0.0

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s: %s is refused, so messages go one by one with %s, at many times the requests;"
                " allow %s",
                self.key,
                api_name(self.service.batch),
                api_name(self.service.single),
                self.service.permission,
                extra={
                    "event": "publisher.single",
                    "destination": self.key,
                    "permission": self.service.permission,
                },
            )

    def response(self, reply: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
        return self.service.single_response(reply, outcome)

    def params(self, entry: Any) -> dict[str, Any]:
        return self.service.single_request(self.address, entry)


class CallTarget(_Target):
    """A single operation: the caller's arguments go to boto3 as they are.

    What it may meet is the service's to say ("that stream exists already"): only throttling, 5xx
    and connection errors are retried.
    """

    unknown_passes = False

    def __init__(self, service: Service, connection: Connection, operation: str) -> None:
        super().__init__(service, connection, operation, api_name(operation))
        self.permission = f"{service.name}:{api_name(operation)}"
        self.limits = Limits(1, 2**63)

    def sends(self, count: int) -> str:
        return self.operation

    def send(
        self, entries: Sequence[Any], operation: str
    ) -> tuple[list[Mapping[str, Any] | EntryError], Mapping[str, Any]]:
        client = self._client()
        response = getattr(client, operation)(**entries[0].params)
        response.get("ResponseMetadata", {}).pop("MaxAttemptsReached", None)
        return [response], response

    def change_to_single(self, code: str) -> bool:
        return False

    def response(self, reply: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
        return dict(outcome)

    def params(self, entry: Any) -> dict[str, Any]:
        return dict(entry.params)


def call_size(params: Any) -> int:
    """About how many bytes a call's arguments hold: those of its strings and byte strings."""
    if isinstance(params, str):
        return len(params) if params.isascii() else len(params.encode(errors="replace"))
    if isinstance(params, (bytes, bytearray, memoryview)):
        return len(params)
    if isinstance(params, Mapping):
        return sum(call_size(key) + call_size(value) for key, value in params.items())
    if isinstance(params, (list, tuple, set, frozenset)):
        return sum(call_size(value) for value in params)
    return 8
