"""The exceptions of this package.

::

    PublisherError
    ├── InvalidMessage
    │   └── RefusedMessage
    ├── BufferFull
    │   └── SpoolFull
    ├── SpoolUnavailable
    ├── DeliveryError
    │   ├── DeliveryTimeout
    │   ├── PublisherClosed
    │   ├── RetriesExhausted
    │   └── StillSpooled
    └── ForkedProcess

What the caller got wrong is raised at the call. What happens after a message was accepted is on its
future, and is the exception boto3 would have raised wherever the service or the network gave one.
Every exception pickles.
"""

from __future__ import annotations

import errno
import functools
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError


class PublisherError(Exception):
    """Base of everything this package raises of its own."""


class InvalidMessage(PublisherError, ParamValidationError, ValueError):
    """An argument is missing, unknown, of the wrong type or over a limit; nothing was accepted.

    The text names the parameter, the type or size found, the rule and where the rule comes from,
    never the value. ``except botocore.exceptions.ParamValidationError`` catches it, as it would
    catch boto3's own. What boto3 would have sent, for the service to refuse, is a
    :class:`RefusedMessage`.
    """

    def __init__(self, report: str) -> None:
        ParamValidationError.__init__(self, report=report)

    def about(self, place: str, operation: str) -> InvalidMessage:
        """This error, said of one place (``"Records[3]"``) in a call of ``operation``.

        Where the place is empty it is said of the whole call.
        """
        return InvalidMessage(_placed(place, self.kwargs["report"]))


class RefusedMessage(InvalidMessage, ClientError):
    """What boto3 would have sent and the service refused: over a limit, or no valid name.

    Handlers written for boto3 catch it: it is a ``ClientError`` with the service's code in
    ``response["Error"]["Code"]``. Nothing was sent, so ``response`` has no request id.

    Args:
        report: as of :class:`InvalidMessage`.
        code: the service's error code (``"ValidationException"``).
        operation: boto3's method name (``"put_record"``).
    """

    def __init__(self, report: str, code: str, operation: str) -> None:
        name = "".join(part.capitalize() for part in operation.split("_"))
        response: Any = {
            "Error": {"Code": code, "Message": report, "Type": "Sender"},
            "ResponseMetadata": {"HTTPStatusCode": 400, "HTTPHeaders": {}, "RetryAttempts": 0},
        }
        ClientError.__init__(self, response, name)
        InvalidMessage.__init__(self, report)
        self._operation = operation

    def __reduce__(self) -> tuple[Any, ...]:
        code = self.response["Error"]["Code"]
        return type(self), (self.kwargs["report"], code, self._operation)

    def about(self, place: str, operation: str) -> InvalidMessage:
        """This error, with its code, said of one place in a call of ``operation`` or of it all."""
        code = self.response["Error"]["Code"]
        return RefusedMessage(_placed(place, self.kwargs["report"]), code, operation)


def _placed(place: str, report: str) -> str:
    return f"{place}: {report}" if place else report


class BufferFull(PublisherError):
    """The bound on accepted but unresolved messages was reached; the message was never sent."""


class SpoolFull(BufferFull):
    """The files of the spool hold ``max_bytes``; the message is not on disk and was never sent."""


class SpoolUnavailable(PublisherError):
    """The spool's directory cannot be read or written: an error of its disk or file system.

    Raised at the call, or on the future. The text has the name of the error (``ENOSPC``) and what
    to do about it, never the message itself. The ``OSError`` is the ``__cause__``.
    """

    def __init__(self, message: str = "", *, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.__cause__ = cause

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(type(self), cause=self.__cause__), self.args


#: What helps against what a disk or a file system says.
_REMEDIES = {
    "ENOSPC": "free some space there, or lower the spool's max_bytes",
    "EDQUOT": "raise the quota of this user there, or lower the spool's max_bytes",
    "EROFS": "mount its file system writable",
    "EACCES": "let the user of this process write there",
    "EPERM": "let the user of this process write there",
    "EIO": "look into the kernel's log, for the disk reports errors",
    "ENOENT": "do not remove it while a process uses it",
    "EMFILE": "raise the limit on open files of this process",
    "ENFILE": "raise the limit on open files of this machine",
}


def spool_unavailable(directory: str, error: OSError) -> SpoolUnavailable:
    """The exception of a message that ``directory`` could not take, or not give back."""
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    remedy = _REMEDIES.get(name, "look into the log of this machine")
    return SpoolUnavailable(
        f"the spool's directory {directory!r} cannot be used: {name}"
        f"{f', {error.strerror}' if error.strerror else ''}; {remedy}",
        cause=error,
    )


class DeliveryError(PublisherError):
    """Base of the exceptions for messages that this package gave up, not the service.

    Attributes:
        outcome_unknown: True where a request that carried the message was sent and its answer never
            read, so that the service may have stored it; False where the message is known not to be
            stored.
        last_code: the error code of the last try (``"Throttling"``, ``"ReadTimeoutError"``), None
            if there was none.

    The last error, if any, is the ``__cause__``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        outcome_unknown: bool = False,
        last_code: str | None = None,
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown
        self.last_code = last_code
        self.__cause__ = cause

    def __reduce__(self) -> tuple[Any, ...]:
        keywords: dict[str, Any] = {
            "outcome_unknown": self.outcome_unknown,
            "last_code": self.last_code,
            "cause": self.__cause__,
        }
        return functools.partial(type(self), **keywords), self.args


class DeliveryTimeout(DeliveryError):
    """No outcome within ``delivery_timeout`` seconds of acceptance.

    It is no ``TimeoutError``, so that ``future.result(timeout=5)`` tells "not yet" from "lost".
    """


class PublisherClosed(DeliveryError, RuntimeError):
    """The publisher was closed.

    Raised at the call, or on a future that ``close(timeout)`` had to abandon.
    """


class RetriesExhausted(DeliveryError):
    """The retry policy gave up on an error that may pass.

    What is raised is an instance of both this class and the last error's, so that
    ``except sns.exceptions.ThrottledException`` and ``except RetriesExhausted`` both catch it.
    """


class StillSpooled(DeliveryError):
    """Not lost: its message stays on disk in the spool and is offered again.

    The future waits no longer, for ``delivery_timeout`` is over or the publisher was closed. The
    message is sent later by this process, by the next one on that directory, or by a relay.
    """


class ForkedProcess(PublisherError, RuntimeError):
    """The message was accepted by the parent process, which keeps and delivers it.

    Its outcome is known only there.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "this future was accepted before a fork: the parent process delivers the message"
            " and knows its outcome"
        )


@functools.lru_cache(maxsize=256)
def _exhausted_class(kind: type[BaseException]) -> type[RetriesExhausted]:
    try:
        return type(kind.__name__, (RetriesExhausted, kind), {"__reduce__": _reduce_exhausted})
    except (
        TypeError
    ):  # its class cannot be combined with ours: better half the information than none
        return RetriesExhausted


def _reduce_exhausted(self: RetriesExhausted) -> tuple[Any, ...]:
    return _rebuild_exhausted, (self.__cause__, str(self), self.outcome_unknown, self.last_code)


def _rebuild_exhausted(
    error: BaseException, message: str, outcome_unknown: bool, last_code: str | None
) -> RetriesExhausted:
    cause: Any = type(error)
    kind: type[RetriesExhausted] = _exhausted_class(cause)
    exhausted = kind.__new__(kind)
    # The attributes of the last error (response, operation_name, kwargs), then ours; its __init__
    # is not called, for botocore's classes each take arguments of their own.
    exhausted.__dict__.update(error.__dict__)
    Exception.__init__(exhausted, message)
    exhausted.outcome_unknown = outcome_unknown
    exhausted.last_code = last_code
    exhausted.__cause__ = error
    return exhausted


def retries_exhausted(
    error: BaseException, *, tries: int, outcome_unknown: bool, last_code: str | None
) -> RetriesExhausted:
    """The exception of a message that the policy gave up after ``tries`` tries, with ``error``."""
    maybe = "; the service may have stored the message" if outcome_unknown else ""
    message = (
        f"gave up after {tries} {'try' if tries == 1 else 'tries'}, last error: {error}{maybe}"
    )
    return _rebuild_exhausted(error, message, outcome_unknown, last_code)
