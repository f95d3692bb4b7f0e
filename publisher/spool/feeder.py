"""Offers again what stayed: what this process could not deliver, and what dead owners left. Pure.

It has no thread: :meth:`Feeder.feed` is called again and again by one. A destination that took
nothing is asked again after a while, by one request's worth.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from .._account.losses import Limiter
from .._engine.ends import FAILED, build_too_old
from .._text import printable
from .destinations import Destinations

if TYPE_CHECKING:
    from .._engine.core import Core
    from .._engine.message import Route
    from .._store.reading import Kept

logger = logging.getLogger("publisher")

#: Seconds for which a destination that took nothing is left alone: the first time, and at most.
_FIRST, _LONGEST = 1.0, 30.0
#: So many requests' worth of one destination are in memory at once, while it takes them.
_REQUESTS = 20
#: Of the memory's bounds so much is left to what is new.
_SHARE = 0.5
#: So many records are known by their place at most; what is beyond is read when those are gone.
_AHEAD = 100_000
_AT_ONCE = 1_000  # read in one go


class Source(Protocol):
    """Where records come from: the files of one owner."""

    rank: int  # among the sources: what it has goes before that of higher ones

    def take(self, limit: int) -> list[Kept]:
        """The next unsettled records, in their order; none where there are none now."""

    def read_again(self, kepts: Sequence[Kept]) -> list[Kept]:
        """Those of records that were taken which can be read still; the others are settled."""

    def settle_taken(self, kepts: Sequence[Kept]) -> None:
        """These have ended for good."""


class _Queue:
    """What stayed of one destination."""

    __slots__ = ("asleep", "kept", "left_alone_until", "offered", "pause", "where")

    def __init__(self, where: bytes) -> None:
        self.where = where
        self.kept: deque[Kept] = deque()
        self.offered = 0  # records that are in memory now
        self.pause = 0.0  # seconds; 0 while it takes what it is offered
        self.left_alone_until = 0.0
        self.asleep = False  # there is no way to it from here


class Feeder:
    """Lets in what stayed.

    Args:
        core: takes it.
        destinations: know the way.
        max_age: seconds, after which a message is given up.
        wall: seconds since the epoch.
        unread: whether there is more by now than the sources tell.
    """

    def __init__(
        self,
        core: Core,
        destinations: Destinations,
        max_age: float,
        wall: Callable[[], float],
        unread: Callable[[], bool],
    ) -> None:
        #: Of so many bytes of what was read the bodies are in memory; the others are read again.
        self.bodies = 8 << 20
        self._core = core
        self._destinations = destinations
        self._max_age = max_age
        self._wall = wall
        self._unread = unread
        self._queues: dict[bytes, _Queue] = {}
        #: What became of what was offered, from any thread: the record, and whether it has ended.
        self._news: deque[tuple[Kept, bool]] = deque()
        #: Lanes that keep their order, to which something was offered.
        self._lanes: dict[Any, _Queue] = {}
        self._limiter = Limiter(core.clock)
        self._ahead = 0
        self._bodies = 0  # bytes
        self.skipped = 0  # records that were no messages
        self.has_all = False  # whether the sources had no more at the last look
        self.taken = 0  # records that were taken from the sources

    # -- from any thread

    def ended(self, kepts: Iterable[Kept]) -> None:
        """These have ended for good, and are settled in their source."""
        self._news.extend((kept, True) for kept in kepts)

    def stay(self, kepts: Iterable[Kept]) -> None:
        """These were offered, and stay."""
        self._news.extend((kept, False) for kept in kepts)

    # -- the feeding thread's

    @property
    def waiting(self) -> int:
        """How many records wait to be offered, as far as they were read."""
        return self._ahead

    @property
    def unreachable(self) -> int:
        """How many of them there is no way for from here."""
        return sum(len(queue.kept) for queue in list(self._queues.values()) if queue.asleep)

    @property
    def oldest(self) -> float | None:
        """When the oldest of them was accepted, seconds since the epoch."""
        return min((q.kept[0].when for q in list(self._queues.values()) if q.kept), default=None)

    @property
    def offered(self) -> int:
        """How many records are in memory, offered and not heard of."""
        return sum(queue.offered for queue in list(self._queues.values()))

    @property
    def is_stuck(self) -> bool:
        """Whether no destination of what waits takes anything now."""
        return all(q.asleep or q.pause for q in list(self._queues.values()) if q.kept)

    def feed(self, sources: Sequence[Source], own: Source | None, now: float) -> float:
        """Read, and offer what there is room for; returns when to come again.

        Args:
            sources: of dead owners, the oldest first.
            own: what this process wrote.
            now: the core's clock.
        """
        self.take_news(now)
        is_all = self.has_all = self._read(sources, own)
        soonest = now + _LONGEST
        for queue in list(self._queues.values()):
            if queue.kept and not (queue.asleep or self._core.flow.closed):
                if queue.left_alone_until > now:
                    soonest = min(soonest, queue.left_alone_until)
                elif self._offer(queue, now):
                    soonest = now  # there may be more room
        if is_all:
            self._let_new_ones_through()
        for where, queue in list(self._queues.items()):
            if not (queue.kept or queue.offered):
                del self._queues[where]
        return soonest

    def wake_up(self) -> None:
        """There may be a way by now to what had none."""
        for queue in self._queues.values():
            queue.asleep = False

    # -- details

    def _read(self, sources: Sequence[Source], own: Source | None) -> bool:
        """Read on; whether all that stays is known.

        Of dead owners it is read as there is room, for it comes in its order. What this process
        wrote is read as a whole: of an ordered destination it comes as requests return.
        """
        for source in sources:
            while self._ahead < _AHEAD:
                if self._take(source, in_order=True) < _AT_ONCE:
                    break
            else:
                return False
        while own is not None and self._take(own, in_order=False) == _AT_ONCE:
            pass
        return True

    def _take(self, source: Source, *, in_order: bool) -> int:
        """Read some; how many there were. Between sources there is no order."""
        kepts = source.take(_AT_ONCE)
        self._ahead += len(kepts)
        self.taken += len(kepts)
        late: dict[bytes, _Queue] = {}
        for kept in kepts:
            queue = self._queue(kept.where)
            if not in_order and queue.kept and _order(kept) < _order(queue.kept[-1]):
                late[kept.where] = queue
            queue.kept.append(kept)
            if self._bodies < self.bodies:
                self._bodies += len(kept.entry)
            else:
                kept.entry = b""
        for queue in late.values():
            queue.kept = deque(sorted(queue.kept, key=_order))
        return len(kepts)

    def _queue(self, where: bytes) -> _Queue:
        queue = self._queues.get(where)
        if queue is None:
            queue = self._queues[where] = _Queue(where)
        return queue

    def take_news(self, now: float) -> None:
        """Hear of what was offered: what has ended is settled, what stays is offered again."""
        back: dict[bytes, list[Kept]] = {}
        ended: dict[Source, list[Kept]] = {}
        while self._news:
            kept, has_ended = self._news.popleft()
            queue = self._queue(kept.where)
            queue.offered -= 1
            if has_ended:
                queue.pause = queue.left_alone_until = 0.0
                ended.setdefault(kept.source, []).append(kept)
            else:
                back.setdefault(kept.where, []).append(kept)
        for where, kepts in back.items():
            queue = self._queues[where]
            self._ahead += len(kepts)
            queue.kept = deque(sorted([*kepts, *queue.kept], key=_order))
            queue.pause = min(max(queue.pause * 2, _FIRST), _LONGEST)
            queue.left_alone_until = now + queue.pause
        for source, kepts in ended.items():
            source.settle_taken(kepts)

    def _offer(self, queue: _Queue, now: float) -> bool:
        """Offer as many as there is room for; whether there was some."""
        core, flow = self._core, self._core.flow
        try:
            route = self._destinations.route(queue.where)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's text has boto3 raise
            self._put_to_sleep(queue, error)
            return False
        lane = core.tracker.lane_of(route)
        limits = lane.target.service.limits
        most = limits.entries * (1 if queue.pause else _REQUESTS) - queue.offered
        most = min(most, max(int(flow.max_messages * _SHARE), 1) - flow.messages)
        room = int(flow.max_bytes * _SHARE) - flow.bytes
        if most <= 0 or room <= 0:
            return False
        if lane.keeps_order:
            if not core.tracker.begin_offering(lane, self._has_heard_all):
                return False
            self._lanes[lane] = queue
        taken, entries, sizes = self._ready(queue, route, most, room)
        if not taken:
            return False
        if not core.kept.replay(route, entries, sizes, taken):
            self._give_back(queue, taken)
            return False
        queue.offered += len(taken)
        for kept in taken:
            kept.entry = b""  # the message has it
        return True

    def _ready(
        self, queue: _Queue, route: Route, most: int, room: int
    ) -> tuple[list[Kept], list[Any], list[int]]:
        """What may be offered, with entries and sizes, in its order; the rest is ended.

        Args:
            queue: that it comes from.
            route: where it goes.
            most: how many.
            room: bytes together; the first one may have more.
        """
        service = route.lane.target.service
        oldest = self._wall() - self._max_age
        heads = [queue.kept.popleft() for _ in range(min(most, len(queue.kept)))]
        self._ahead -= len(heads)
        taken: list[Kept] = []
        entries: list[Any] = []
        sizes: list[int] = []
        heads = self._with_bodies(heads)
        for place, kept in enumerate(heads):
            try:
                entry = service.load(kept.entry)
                size = service.measure(entry)
            except Exception:  # noqa: BLE001 - these bytes may be anybody's
                self.skipped += 1
                kept.source.settle_taken([kept])
                continue
            if kept.when < oldest:
                queue.offered += 1  # until it is heard of
                end = ((build_too_old, self._max_age, None), FAILED, None)
                self._core.kept.end_replayed(route, entry, size, kept, end)
                continue
            if taken and size > room:
                self._give_back(queue, heads[place:])
                break
            room -= size
            taken.append(kept)
            entries.append(entry)
            sizes.append(size)
        return taken, entries, sizes

    def _with_bodies(self, kepts: list[Kept]) -> list[Kept]:
        """These records, with bodies: those that were let go are read again."""
        again: dict[Source, list[Kept]] = {}
        for kept in kepts:
            if kept.entry:
                self._bodies -= len(kept.entry)
            else:
                again.setdefault(kept.source, []).append(kept)
        if not again:
            return kepts
        found = [kept for kept in kepts if kept.entry]
        for source, some in again.items():
            found += source.read_again(some)
        return sorted(found, key=_order)

    def _give_back(self, queue: _Queue, kepts: Sequence[Kept]) -> None:
        queue.kept.extendleft(reversed(kepts))
        self._ahead += len(kepts)
        self._bodies += sum(len(kept.entry) for kept in kepts)

    def _put_to_sleep(self, queue: _Queue, error: Exception) -> None:
        queue.asleep = True
        if (suppressed := self._limiter.suppressed(queue.where, 1)) is not None:
            logger.warning(
                "%d messages stay in the spool: %s (suppressed %d)",
                len(queue.kept),
                printable(error),
                suppressed,
                extra={"event": "publisher.spool_unreachable", "messages": len(queue.kept)},
            )

    def _let_new_ones_through(self) -> None:
        """Lanes to which all was offered that stays take new messages again."""
        for lane, queue in list(self._lanes.items()):
            if self._core.tracker.end_offering(lane, partial(self._is_through, queue)):
                self._core.runtime.wake()
                del self._lanes[lane]

    def _is_through(self, queue: _Queue) -> bool:
        """Whether all that stays of it was offered; what is heard of by now is looked at first."""
        return not queue.kept and self._has_heard_all()

    def _has_heard_all(self) -> bool:
        """Whether nothing stays that is in no queue yet."""
        return not (self._news or self._unread())


def _order(kept: Kept) -> tuple[int, int]:
    return kept.source.rank, kept.sequence
