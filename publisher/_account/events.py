"""What a try met, and the events that hooks are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .._pickling import outlives_fields

Response: TypeAlias = dict[str, Any]


@outlives_fields
@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try failed, as far as it matters to what is done next.

    Attributes:
        code: the service's error code, or the exception's class name.
        text: the service's or the exception's text, control characters escaped.
        final: sending the same again cannot succeed.
        unknown: the request may have been stored all the same.
        timed_out: no answer came in time.
        error: what the whole request met; None where an answer said so of one entry.
        sender_fault: what the answer said of the entry.
        metadata: boto3's ResponseMetadata of the answer, if there was one.
        operation: the API's name of the operation that failed, where that was another one than the
            message's own (``"AssumeRole"``); else empty.
        local: it arose in this process, in code that is neither botocore's nor ours.
        unreadable: there was an answer, and it does not say what became of the entries.
        alone: in company it would be a reason to split; its siblings may have passed.
        no_credentials: whoever hands out credentials said no, or there is nobody to ask; nothing
            was sent.
        out_of_time: the signature or token was good at another time; a new one may be good now.
    """

    code: str
    text: str
    final: bool = False
    unknown: bool = False
    timed_out: bool = False
    error: BaseException | None = None
    sender_fault: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    operation: str = ""
    local: bool = False
    unreadable: bool = False
    alone: bool = False
    no_credentials: bool = False
    out_of_time: bool = False

    @property
    def label(self) -> str:
        """The code, that of another operation named; ``Counters.named`` bounds it.

        ``"AssumeRole:AccessDenied"``: the code alone would be taken for the destination's.
        """
        return f"{self.operation}:{self.code}" if self.operation else self.code

    @property
    def request_id(self) -> str | None:
        found = self.metadata.get("RequestId")
        return str(found) if found else None


@outlives_fields
@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver a message.

    Attributes:
        started: when the request went out, seconds since the epoch.
        delay: seconds the message waited before it on purpose (backoff); 0.0 for the first try and
            after a split.
        duration: seconds the request took.
        error_code: the service's code or the exception's class name; None for the try that
            delivered.
        error_message: the service's text with control characters escaped; None for the try that
            delivered.
        request_id: AWS's id of the request, None where no answer was read.
        split: the request was rejected as a whole and is sent again in parts; the retry policy does
            not count it.
        outcome_unknown: the service may have stored the message although this try failed.
        failure: ours; what exceptions are made from.
        backoff: ours; seconds that the message then waits on purpose for its next try.
    """

    started: float
    delay: float
    duration: float
    error_code: str | None = None
    error_message: str | None = None
    request_id: str | None = None
    split: bool = False
    outcome_unknown: bool = False
    failure: Failure | None = field(default=None, repr=False, compare=False)
    backoff: float = field(default=0.0, repr=False, compare=False)


def label_of(attempt: Attempt) -> str:
    """The code of a try that failed; ``Counters.named`` makes the account's name of it."""
    if attempt.failure is not None:
        return attempt.failure.label
    return attempt.error_code or "unknown"


@outlives_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a hook is told. A new field breaks nobody: hooks take this one argument.

    Attributes:
        service: boto3's name of it, such as ``"sns"``.
        operation: boto3's method name that the caller called (``"publish"``); in ``on_sent`` the
            one that went out.
        destination: ``"service:region:name"``.
        params: the message itself as boto3 keyword arguments; private, so never part of the repr.
            Empty in ``on_sent``.
        size: bytes, as the service counts them; in ``on_sent`` those of the whole request.
        attempts: the tries so far.
        error_code: what went wrong, as the account names it: fit for a key or a label, for names
            are short, plain and few. The service's code or the exception's class name; ``"other"``
            for one that is odd or one too many. In ``on_retry`` and ``on_failed``; in ``on_sent``
            where the request delivered nothing.
        response: boto3's response, in ``on_delivered``; what the future has, in ``on_spooled`` of a
            message that was left to the relay.
        exception: what the future carries or, in ``on_retry``, what is being retried.
        messages: how many messages the event is about: other than 1 only in ``on_sent``, and 0
            there for an operation that is no message (``ListTopics``).
        duration: seconds, of the request in ``on_sent``, from acceptance in ``on_delivered``,
            ``on_failed``, ``on_dropped``, ``on_spooled``.
        delay: seconds until the next try, in ``on_retry``.
        reason: ``"buffer_full"``, ``"expired"`` or ``"closed"``, in ``on_dropped``.
        errors: how many of the request's messages failed this time, by error code, named as
            ``error_code`` is; in ``on_sent``. What an operation that is no message met counts as 1.
    """

    service: str
    operation: str
    destination: str
    params: Mapping[str, Any] = field(repr=False, default_factory=dict)
    size: int = 0
    attempts: tuple[Attempt, ...] = ()
    response: Response | None = field(repr=False, default=None)
    exception: BaseException | None = None
    messages: int = 1
    duration: float | None = None
    delay: float | None = None
    reason: str | None = None
    errors: Mapping[str, int] = field(default_factory=dict)
    error_code: str | None = None
