"""What stayed and waits to be offered again, by destination: read ahead, within bounds. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from .._store.record import SHIFT

if TYPE_CHECKING:
    from .._store.reading import Kept

#: Seconds for which a destination that took nothing is left alone: the first time, and at most.
_FIRST, LONGEST = 1.0, 30.0
#: So many records are known by their place at most; what is beyond is read when those are gone.
_AHEAD = 50_000
#: The same, with those of destinations that take nothing now: these do not keep others waiting.
_FAR = 1_000_000
_AT_ONCE = 1_000  # read in one go
#: So much of what others left is read at one look, before some of it is offered.
_READS = 5_000
_ROUNDS = 1_000  # of one source at one look, at most


class Source(Protocol):
    """Where records come from: the files of one owner."""

    rank: int  # among the sources: what it has goes before that of higher ones

    def take(self, limit: int) -> list[Kept]:
        """The next unsettled records, in their order; none where there are none now."""

    def read_again(self, kepts: Sequence[Kept]) -> list[Kept]:
        """Those of records that were taken which can be read still; the others are settled."""

    def settle_taken(self, kepts: Sequence[Kept]) -> None:
        """These have ended for good."""


class Queue:
    """What stayed of one destination."""

    __slots__ = ("asleep", "kept", "left_alone_until", "offered", "pause", "tried", "where")

    def __init__(self, where: bytes) -> None:
        self.where = where
        self.kept: deque[Kept] = deque()
        self.offered = 0  # records that are in memory now
        self.pause = 0.0  # seconds; 0 while it takes what it is offered
        self.left_alone_until = 0.0
        self.asleep = False  # there is no way to it from here,
        self.tried = False  # as was seen since the last call of wake_up()

    def leave_alone(self, now: float) -> None:
        """It took nothing: it is asked again after a while."""
        self.pause = min(max(self.pause * 2, _FIRST), LONGEST)
        self.left_alone_until = now + self.pause


class Queues:
    """What stayed of all destinations, as far as it was read.

    Args:
        tell_unread: of a source, or a queue, of which something cannot be read now.
    """

    def __init__(self, tell_unread: Callable[[Any, OSError], None]) -> None:
        #: Of so many bytes of what was read the bodies are in memory; the others are read again.
        self.bodies = 8 << 20
        self._tell_unread = tell_unread
        self._queues: dict[bytes, Queue] = {}
        self._bodies = 0  # bytes
        self.waiting = 0  # records, in all queues
        self.has_all = False  # whether the sources had no more at the last look
        self.may_go_on = False  # whether that ended although there was room
        self.own_is_read = True  # all that stays of this process, at the last look
        self.taken = 0  # records that were taken from the sources

    def __iter__(self) -> Iterator[Queue]:
        return iter(list(self._queues.values()))

    def __contains__(self, where: bytes) -> bool:
        return where in self._queues

    def find(self, where: bytes) -> Queue:
        """The queue of what was written of a destination; it is made if there is none."""
        queue = self._queues.get(where)
        if queue is None:
            queue = self._queues[where] = Queue(where)
        return queue

    def forget_empty(self) -> None:
        """Let go of destinations of which nothing waits, and nothing was offered and not ended."""
        for where, queue in list(self._queues.items()):
            if not (queue.kept or queue.offered):
                del self._queues[where]

    @property
    def oldest(self) -> float | None:
        """When the oldest record was accepted, seconds since the epoch; None if there is none."""
        return min((queue.kept[0].when for queue in self if queue.kept), default=None)

    @property
    def offered(self) -> int:
        """How many records are in memory, offered and not heard of."""
        return sum(queue.offered for queue in self)

    @property
    def is_stuck(self) -> bool:
        """Whether no destination of what waits takes anything now."""
        return all(queue.asleep or queue.pause for queue in self if queue.kept)

    # -- reading

    def read(self, sources: Sequence[Source], own: Source | None) -> bool:
        """Read on; whether there was room for all that could be read.

        Of dead owners it is read as there is room, for it comes in its order. What this process
        wrote is read as a whole: of an ordered destination it comes as requests return.
        """
        is_near = self.has_all = True
        left = _READS
        for source in sources:
            try:
                while is_near and (count := self._take(source)):
                    left -= count
                    is_near = left > 0 and self._has_room()
            except OSError as error:  # the next look tries again
                self._tell_unread(source, error)
                self.has_all = False
        self.may_go_on = left <= 0 and self._has_room()
        self.has_all = self.has_all and is_near
        self.own_is_read = own is None
        if own is not None:
            try:
                for _ in range(_ROUNDS):
                    if not self._take(own):
                        self.own_is_read = True
                        break
            except OSError as error:
                self._tell_unread(own, error)
            self.has_all = self.has_all and self.own_is_read
        return is_near

    def _has_room(self) -> bool:
        """Whether more of what others left may be read."""
        near = sum(len(queue.kept) for queue in self if not (queue.asleep or queue.pause))
        return near < _AHEAD and self.waiting < _FAR

    def _take(self, source: Source) -> int:
        """Read some; how many there were. Between sources there is no order."""
        kepts = source.take(_AT_ONCE)
        self.waiting += len(kepts)
        self.taken += len(kepts)
        room = self.bodies - self._bodies
        by_where: dict[bytes, list[Kept]] = {}
        for kept in kepts:
            if room > 0:
                room -= len(kept.entry)
            else:
                kept.entry = b""
            by_where.setdefault(kept.where, []).append(kept)
        self._bodies = self.bodies - room
        for where, some in by_where.items():
            queue = self.find(where)
            some.sort(key=_sequence)  # as most of them are already
            is_late = bool(queue.kept) and _order(some[0]) < _order(queue.kept[-1])
            queue.kept.extend(some)
            if is_late:
                queue.kept = deque(sorted(queue.kept, key=_order))
        return len(kepts)

    # -- out of a queue, and back

    def take_heads(self, queue: Queue, most: int, now: float) -> list[Kept]:
        """Take the first ones out of a queue, with their bodies; none if they cannot be read now.

        Those whose bodies were let go are read again, one segment's at a time: of one that cannot
        be read all are given back.
        """
        heads = self.take(queue, most)
        again: dict[tuple[Source, int], list[Kept]] = {}
        for kept in heads:
            if not kept.entry:
                again.setdefault((kept.source, kept.sequence >> SHIFT), []).append(kept)
        if not again:
            return heads
        found = [kept for kept in heads if kept.entry]
        failed: OSError | None = None
        for (source, _), some in again.items():
            try:
                found += source.read_again(some) if failed is None else some
            except OSError as error:
                failed = error
                found += some
        found.sort(key=_order)
        if failed is None:
            return found
        self._tell_unread(queue, failed)
        self.give_back(queue, found)
        queue.leave_alone(now)
        return []

    def take(self, queue: Queue, most: int) -> list[Kept]:
        """Take the first ones out of a queue, with such bodies as are in memory."""
        heads = [queue.kept.popleft() for _ in range(min(most, len(queue.kept)))]
        self.waiting -= len(heads)
        self._bodies -= sum(len(kept.entry) for kept in heads)
        return heads

    def give_back(self, queue: Queue, kepts: Sequence[Kept]) -> None:
        """Those that were taken out last go back to their place."""
        queue.kept.extendleft(reversed(kepts))
        self.waiting += len(kepts)
        self._bodies += sum(len(kept.entry) for kept in kepts)

    def put_back(self, queue: Queue, kepts: Iterable[Kept]) -> None:
        """Those that were offered, and stay, wait again, each in its place."""
        before = len(queue.kept)
        queue.kept = deque(sorted([*kepts, *queue.kept], key=_order))
        self.waiting += len(queue.kept) - before


def settle(kepts: Iterable[Kept]) -> None:
    """Have each source note which of its records have ended."""
    by_source: dict[Source, list[Kept]] = {}
    for kept in kepts:
        by_source.setdefault(kept.source, []).append(kept)
    for source, some in by_source.items():
        source.settle_taken(some)


_sequence = attrgetter("sequence")  # the order within a source


def _order(kept: Kept) -> tuple[int, int]:
    return kept.source.rank, kept.sequence
