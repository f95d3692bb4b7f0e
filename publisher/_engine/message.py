"""What flows: the message, its attempts, and the events that hooks get.

A message is its own future. One small object carries a message from acceptance to outcome, because
ten thousand of them may wait at once: above its payload a waiting Kinesis record costs less than
300 bytes, its partition key included.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .future import FINISHED, PENDING, PublishFuture, Response

if TYPE_CHECKING:
    from .._options import Delivery
    from .lane import Lane


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


def label_of(attempt: Attempt) -> str:
    """The code of a try that failed; ``Counters.named`` makes the account's name of it."""
    if attempt.failure is not None:
        return attempt.failure.label
    return attempt.error_code or "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a hook is told. A new field breaks nobody: hooks take this one argument.

    Attributes:
        service: ``"sns"``, ``"kinesis"``.
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
        response: boto3's response, in ``on_delivered``.
        exception: what the future carries or, in ``on_retry``, what is being retried.
        messages: how many messages the event is about: other than 1 only in ``on_sent``, and 0
            there for an operation that is no message (``ListTopics``).
        duration: seconds, of the request in ``on_sent``, from acceptance in ``on_delivered``,
            ``on_failed``, ``on_dropped``.
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
    error_code: str | None = None
    response: Response | None = field(repr=False, default=None)
    exception: BaseException | None = None
    messages: int = 1
    duration: float | None = None
    delay: float | None = None
    reason: str | None = None
    errors: Mapping[str, int] = field(default_factory=dict)


class Route:
    """The way from one client view into one lane.

    The lane, the view's delivery options, and their inbox.

    An inbox of its own for each set of options keeps deadlines and lingers in order within it, so
    that looking at its head is enough. Callers only append to it; the scheduler takes from it under
    its lock.
    """

    __slots__ = ("backlog", "chunks", "delivery", "inbox", "lane", "wake_at")

    def __init__(self, lane: Lane, delivery: Delivery) -> None:
        self.lane = lane
        self.delivery = delivery
        self.inbox: deque[Message] = deque()
        #: Whole requests that callers made, appended to and taken from like the inbox.
        self.chunks: deque[Chunk] = deque()
        #: Callers wake the dispatcher when the inbox gets this long: 1 when the lane is idle, the
        #: batch limit while it lingers, infinity while it waits for a worker.
        self.wake_at: float = 1
        self.backlog: deque[Message] = (
            deque()
        )  # ordered lanes only: unsent messages that left the inbox


class Message(PublishFuture):
    """One accepted message.

    ``entry`` is what the service's own module made of the arguments at the call; the same object is
    sent at every try.
    """

    __slots__ = ("accepted", "entry", "history", "route")

    # Of a chunk there are more.
    count = 1  # messages that it stands for
    parts: list[BatchEntry] | None = None

    def __init__(self, route: Route, entry: Any, accepted: float) -> None:
        self._phase = PENDING
        self._value = None
        self._watch = None
        self.route = route
        self.entry = entry
        self.accepted = accepted  # the scheduler's clock, seconds
        self.history: tuple[Attempt, ...] = ()

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return self.history

    @property
    def deadline(self) -> float:
        """When it must have ended, on the scheduler's clock; a stand-still puts it off."""
        stood = self.route.lane.core.stood_since(self.accepted)
        return self.accepted + self.route.delivery.timeout + stood

    def age(self, now: float) -> float:
        """Seconds since it was accepted, but for those in which the process stood still."""
        return now - self.accepted - self.route.lane.core.stood_since(self.accepted)

    @property
    def failures(self) -> list[Failure]:
        """Of the tries that the retry policy counts, oldest first."""
        return [
            attempt.failure for attempt in self.history if attempt.failure and not attempt.split
        ]

    @property
    def goes_alone(self) -> bool:
        """Whether it is to be sent again without company, which it would only hold up."""
        last = self.history[-1].failure if self.history else None
        return last is not None and last.alone

    @property
    def tries(self) -> int:
        """The tries that the retry policy counts."""
        return sum(1 for attempt in self.history if not attempt.split)

    @property
    def size(self) -> int:
        """Bytes, as the service counts them; 0 once it has ended.

        Not stored: an int of its own costs 32 bytes.
        """
        return 0 if self.entry is None else self.route.lane.measure(self.entry)

    def _addressed_to(self) -> str:
        return str(self.route.lane.target.key)

    def _is_foreign(self) -> bool:
        return self.route.lane.core.pid != os.getpid()

    def _withdraw(self) -> bool:
        return self.route.lane.core.withdraw(self)

    def _hurry(self) -> None:
        if self._phase == PENDING:
            self.route.lane.core.hurry_one(self)

    def _acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        return self.route.lane.core.acquire(gate, timeout)


class BatchEntry(Message):
    """One entry of a caller's ``put_records`` or ``publish_batch``.

    Tells its batch when it ends.
    """

    __slots__ = ("batch",)

    def __init__(self, route: Route, entry: Any, accepted: float, batch: BatchFuture) -> None:
        super().__init__(route, entry, accepted)
        self.batch: BatchFuture | None = batch  # until it ends

    def _outcome(self, timeout: float | None) -> BaseException | Response:
        # Built anew for each hook that reads it and never kept: the batch's response is made
        # from the parts.
        value = self._value
        if type(value) is tuple:
            build, first, second = value
            return build(first, second)  # type: ignore[no-any-return]  # as in PublishFuture
        return super()._outcome(timeout)


class Chunk(Message):
    """Entries of one call that fill a request of their own: one message while they share one fate.

    An object for each entry is most of what a large ``put_records`` costs besides boto3's own
    call. They are made by :meth:`apart_locked`, as soon as anything but "all delivered at the first
    try" becomes of the chunk. ``entry`` is then None, ``parts`` has the messages of the entries,
    and the chunk itself has ended.
    """

    __slots__ = ("batch", "count", "parts", "total")

    def __init__(
        self, route: Route, entries: Sequence[Any], total: int, accepted: float, batch: BatchFuture
    ) -> None:
        super().__init__(route, entries, accepted)
        self.batch: BatchFuture | None = batch  # until it ends
        self.count = len(entries)
        self.total = total  # bytes
        self.parts: list[BatchEntry] | None = None

    @property
    def size(self) -> int:
        return 0 if self.entry is None else self.total

    def apart_locked(self) -> list[BatchEntry]:
        """The messages of its entries, which go on in its place; the caller holds ``LOCK``.

        There are none where it was delivered as a whole.
        """
        if self.parts is None:
            if self.entry is None:
                return []
            batch = self.batch
            assert batch is not None
            parts = [BatchEntry(self.route, entry, self.accepted, batch) for entry in self.entry]
            for part in parts:
                part._phase = self._phase
            # All of it or, where a signal handler raises, nothing: no call comes between.
            self.parts = parts
            self._phase = FINISHED
            self.entry = self.batch = None
        return self.parts

    def __repr__(self) -> str:
        state = "apart" if self.parts is not None else self._phase.lower()
        return f"<Chunk at {id(self):#x} of {self.count} entries, {state}>"


class BatchFuture(PublishFuture):
    """The future of a whole ``put_records`` or ``publish_batch``.

    The ledger counts its entries, not this.

    ``cancel`` cancels the entries that no request has carried yet; it succeeds if that was all of
    them.
    """

    __slots__ = ("_pid", "build", "chunks", "remaining")

    def __init__(self, build: Callable[[BatchFuture], Any]) -> None:
        super().__init__()
        self._pid = os.getpid()
        self.build = build
        self.chunks: list[Message] = []  # in the caller's order
        self.remaining = 0  # entries that have not ended; guarded by LOCK

    @property
    def entries(self) -> list[Message]:
        """A message for each entry, but one for those that share their fate so far."""
        found: list[Message] = []
        for chunk in self.chunks:
            found += [chunk] if chunk.parts is None else chunk.parts
        return found

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The tries of all entries, without repeats, oldest first."""
        seen = {attempt: None for entry in self.entries for attempt in entry.attempts}
        return tuple(sorted(seen, key=lambda attempt: attempt.started))

    def _addressed_to(self) -> str:
        # None where not even the first entry has been let in yet.
        return f"{self.chunks[0]._addressed_to()} batch" if self.chunks else "batch"

    def _withdraw(self) -> bool:
        withdrawn = [entry.cancel() for entry in self.entries]
        return all(withdrawn) and self.cancelled()

    def _hurry(self) -> None:
        for entry in self.entries[-1:]:  # the last accepted: what it carries along is older
            entry._hurry()

    def _acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        return self.chunks[0]._acquire(gate, timeout)

    def _is_foreign(self) -> bool:
        return self._pid != os.getpid()
