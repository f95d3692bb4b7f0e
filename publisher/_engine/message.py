"""What flows: the message, which is its own future.

One small object carries a message from acceptance to outcome, because
ten thousand of them may wait at once: above its payload a waiting Kinesis record costs less than
300 bytes, its partition key included.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .future import PublishFuture
from .state import FINISHED, PENDING

if TYPE_CHECKING:
    from .._account.events import Attempt, Failure, Response
    from .._account.ledger import Counters
    from .._options import Delivery
    from .contract import Limits


class Owner(Protocol):
    """What messages ask of the core that accepted them."""

    pid: int  # the process it belongs to

    def withdraw(self, message: Message) -> bool:
        """Cancel a message that no request has carried yet; True if that was done."""

    def hurry_one(self, message: Message) -> None:
        """Somebody waits for a message that no request has carried yet."""

    def stood_since(self, began: float) -> float:
        """For how many seconds after ``began`` the process stood still."""

    def acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        """Wait for ``gate`` to be released, which the end of a message does."""


class Holder(Protocol):
    """What a message asks of the lane that it goes through."""

    core: Owner
    target: Any
    measure: Callable[[Any], int]
    counters: Counters
    limits: Limits
    keeps_order: bool
    keeps_entries: bool
    written: bytes | None

    def is_behind_with(self, entry: Any) -> bool:
        """Whether what stays of its group in the store goes before such an entry."""


class Route:
    """The way from one client view into one lane.

    The lane, the view's delivery options, and their inbox.

    An inbox of its own for each set of options keeps deadlines and lingers in order within it, so
    that looking at its head is enough. Callers only append to it; the scheduler takes from it under
    its lock.
    """

    __slots__ = (
        "backlog",
        "chunks",
        "counters",
        "delivery",
        "inbox",
        "keeps_order",
        "lane",
        "wake_at",
    )

    def __init__(self, lane: Holder, delivery: Delivery) -> None:
        self.lane = lane
        # Of the lane. A call that need not look at it is quicker where the caches are cold.
        self.counters = lane.counters
        self.keeps_order = lane.keeps_order
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
    # Where there is a store; see store.py.
    kept: Any = None  # what the store knows it by
    replayed = False  # it stayed there, and is offered again;
    since = 0.0  # then, when it was accepted first

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
    """The future of a whole ``put_records``, ``publish_batch`` or the like.

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
        # The last accepted of each lane: what it carries along is older.
        for entry in {entry.route.lane: entry for entry in self.entries}.values():
            entry._hurry()

    def _acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        return self.chunks[0]._acquire(gate, timeout)

    def _is_foreign(self) -> bool:
        return self._pid != os.getpid()
