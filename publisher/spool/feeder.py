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
from .._engine.lane import NEVER
from .._store.record import SHIFT
from .._text import printable
from ..services._stored import UnknownVersion
from .destinations import Destinations

if TYPE_CHECKING:
    from .._engine.core import Core
    from .._engine.lane import Lane
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
#: The same, with those of destinations that take nothing now: these do not keep others waiting.
_FAR = 1_000_000
_AT_ONCE = 1_000  # read in one go
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


class _Queue:
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
        #: Lanes that keep their order and are behind what stays, by what is written of them.
        self._lanes: dict[Any, bytes] = {}
        self._own_is_read = True  # all that stays of this process, at the last look
        self._too_old: set[Kept] = set()  # ended as such, and not heard of yet
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
        is_near = self._read(sources, own)
        soonest = now + _LONGEST
        for queue in list(self._queues.values()):
            if queue.kept:
                soonest = min(soonest, self._serve(queue, now))
        if is_near and self._own_is_read:
            self._let_new_ones_through()
        for where, queue in list(self._queues.items()):
            if not (queue.kept or queue.offered):
                del self._queues[where]
        return soonest

    def _serve(self, queue: _Queue, now: float) -> float:
        """Offer of a queue what there is room for; when to come again."""
        for lane in self._destinations.lanes(queue.where):
            if lane.is_behind:
                self._lanes[lane] = queue.where
        if self._core.flow.closed:
            return NEVER
        if queue.asleep and queue.tried:
            self._give_up(queue, now)
        elif queue.left_alone_until > now:
            self._give_up(queue, now)
            return queue.left_alone_until
        elif self._offer(queue, now):
            return now  # there may be more room
        return NEVER

    def wake_up(self) -> None:
        """There may be a way by now to what had none."""
        for queue in self._queues.values():
            queue.tried = False
        self._destinations.let_go(self._is_over)

    # -- details

    def _read(self, sources: Sequence[Source], own: Source | None) -> bool:
        """Read on; whether there was room for all that could be read.

        Of dead owners it is read as there is room, for it comes in its order. What this process
        wrote is read as a whole: of an ordered destination it comes as requests return.
        """
        is_near = self.has_all = True
        for source in sources:
            try:
                while is_near and self._take(source):
                    is_near = self._has_room()
            except OSError as error:  # the next look tries again
                self._tell_unread(source, error)
                self.has_all = False
        self.has_all = self.has_all and is_near
        self._own_is_read = own is None
        if own is not None:
            try:
                for _ in range(_ROUNDS):
                    if not self._take(own):
                        self._own_is_read = True
                        break
            except OSError as error:
                self._tell_unread(own, error)
            self.has_all = self.has_all and self._own_is_read
        return is_near

    def _has_room(self) -> bool:
        """Whether more of what others left may be read."""
        queues = list(self._queues.values())
        near = sum(len(queue.kept) for queue in queues if not (queue.asleep or queue.pause))
        return near < _AHEAD and self._ahead < _FAR

    def _take(self, source: Source) -> int:
        """Read some; how many there were. Between sources there is no order."""
        kepts = source.take(_AT_ONCE)
        self._ahead += len(kepts)
        self.taken += len(kepts)
        late: dict[bytes, _Queue] = {}
        for kept in kepts:
            queue = self._queue(kept.where)
            if queue.kept and _order(kept) < _order(queue.kept[-1]):
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
        ended: list[Kept] = []
        while self._news:
            kept, has_ended = self._news.popleft()
            queue = self._queue(kept.where)
            queue.offered -= 1
            if has_ended:
                if kept in self._too_old:  # which says nothing of its destination
                    self._too_old.discard(kept)
                else:
                    queue.pause = queue.left_alone_until = 0.0
                ended.append(kept)
            else:
                back.setdefault(kept.where, []).append(kept)
        for where, kepts in back.items():
            queue = self._queues[where]
            self._ahead += len(kepts)
            queue.kept = deque(sorted([*kepts, *queue.kept], key=_order))
            self._leave_alone(queue, now)
        _settle(ended)

    @staticmethod
    def _leave_alone(queue: _Queue, now: float) -> None:
        queue.pause = min(max(queue.pause * 2, _FIRST), _LONGEST)
        queue.left_alone_until = now + queue.pause

    def _route(self, queue: _Queue) -> Route | None:
        """The way to it; None, and it sleeps, if there is none."""
        queue.tried = True
        try:
            route = self._destinations.route(queue.where)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's text has boto3 raise
            self._put_to_sleep(queue, error)
            return None
        queue.asleep = False
        return route

    def _offer(self, queue: _Queue, now: float) -> bool:
        """Offer as many as there is room for; whether there was some."""
        core, flow = self._core, self._core.flow
        route = self._route(queue)
        if route is None:
            self._give_up(queue, now)
            return False
        lane = core.tracker.lane_of(route)
        limits = lane.target.service.limits
        most = limits.entries * (1 if queue.pause else _REQUESTS) - queue.offered
        most = min(most, max(int(flow.max_messages * _SHARE), 1) - flow.messages)
        room = int(flow.max_bytes * _SHARE) - flow.bytes
        if most <= 0 or room <= 0:
            return False
        if lane.keeps_order:
            behind = [one for one in self._destinations.lanes(queue.where) if one.is_behind]
            for one in dict.fromkeys([lane, *behind]):
                if not core.tracker.begin_offering(one, self._has_heard_all):
                    return False
                self._lanes[one] = queue.where
        taken, entries, sizes = self._ready(queue, route, most, room, now)
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
        self, queue: _Queue, route: Route, most: int, room: int, now: float
    ) -> tuple[list[Kept], list[Any], list[int]]:
        """What may be offered, with entries and sizes, in its order; the rest is ended.

        Args:
            queue: that it comes from.
            route: where it goes.
            most: how many.
            room: bytes together; the first one may have more.
            now: the core's clock.
        """
        service = route.lane.target.service
        oldest = self._wall() - self._max_age
        heads = self._heads(queue, most, now)
        taken: list[Kept] = []
        entries: list[Any] = []
        sizes: list[int] = []
        for place, kept in enumerate(heads):
            try:
                entry = service.load(kept.entry)
                size = service.measure(entry)
            except UnknownVersion:  # a later package's: it stays on disk
                self.skipped += 1
                self._tell(
                    UnknownVersion,
                    logging.WARNING,
                    "a message in the spool is of a version that is not known here, and stays",
                    "publisher.spool_version",
                    1,
                )
                continue
            except Exception:  # noqa: BLE001 - these bytes may be anybody's
                self.skipped += 1
                kept.source.settle_taken([kept])
                continue
            if kept.when < oldest:
                queue.offered += 1  # until it is heard of
                self._too_old.add(kept)
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

    def _heads(self, queue: _Queue, most: int, now: float) -> list[Kept]:
        """Take the first ones out of a queue, with their bodies; none if they cannot be read now.

        Those whose bodies were let go are read again, one segment's at a time: of one that cannot
        be read all are given back.
        """
        heads = [queue.kept.popleft() for _ in range(min(most, len(queue.kept)))]
        self._ahead -= len(heads)
        self._bodies -= sum(len(kept.entry) for kept in heads)
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
        self._give_back(queue, found)
        self._leave_alone(queue, now)
        return []

    def _give_up(self, queue: _Queue, now: float) -> None:
        """End what is too old, in a queue of which nothing is offered now."""
        oldest = self._wall() - self._max_age
        count = 0
        for kept in queue.kept:
            if kept.when >= oldest or count == _AT_ONCE:
                break
            count += 1
        if not count:
            return
        route = None if queue.asleep else self._route(queue)
        if route is not None:
            kepts, entries, sizes = self._ready(queue, route, count, 0, now)
            del entries, sizes
            self._give_back(queue, kepts)  # the clock has gone on between, so none is here
            return
        old = [queue.kept.popleft() for _ in range(count)]
        self._ahead -= count
        self._bodies -= sum(len(kept.entry) for kept in old)
        self.skipped += count
        _settle(old)
        self._tell(
            ("old", queue.where),
            logging.ERROR,
            f"{count} messages of the spool are given up: there was no way to their destination"
            f" from here for {self._max_age:g} s",
            "publisher.spool_expired",
            count,
        )

    def _give_back(self, queue: _Queue, kepts: Sequence[Kept]) -> None:
        queue.kept.extendleft(reversed(kepts))
        self._ahead += len(kepts)
        self._bodies += sum(len(kept.entry) for kept in kepts)

    def _put_to_sleep(self, queue: _Queue, error: Exception) -> None:
        queue.asleep = True
        count = len(queue.kept)
        text = f"{count} messages stay in the spool: {printable(error)}"
        self._tell(queue.where, logging.WARNING, text, "publisher.spool_unreachable", count)

    def _tell_unread(self, what: Any, error: OSError) -> None:
        text = f"a part of the spool cannot be read now, and stays: {printable(error)}"
        self._tell(type(what), logging.WARNING, text, "publisher.spool_unread", 1)

    def _tell(self, key: Any, level: int, text: str, event: str, count: int) -> None:
        """Write a line, now and then; on the thread of callbacks, for handlers are user code."""
        suppressed = self._limiter.suppressed(key, 1)
        if suppressed is not None:
            extra = {"event": event, "messages": count}
            line = partial(logger.log, level, "%s (suppressed %d)", text, suppressed, extra=extra)
            self._core.runtime.call([(lambda _: line(), None)])

    def _let_new_ones_through(self) -> None:
        """Lanes to which all was offered that stays take new messages again.

        So does one of which what stayed has gone another way.
        """
        tracker = self._core.tracker
        for lane, where in list(self._lanes.items()):
            is_through = partial(self._is_through, where)
            if tracker.begin_offering(lane, is_through) and tracker.end_offering(lane, is_through):
                self._core.runtime.wake()
                del self._lanes[lane]

    def _is_through(self, where: bytes) -> bool:
        """Whether all that stays of it was offered; what is heard of by now is looked at first."""
        queue = self._queues.get(where)
        return not (queue and queue.kept) and self._has_heard_all()

    def _is_over(self, lane: Lane, where: bytes) -> bool:
        """Whether nothing stays of a lane, and nothing is under way."""
        if where in self._queues or not self._has_heard_all():
            return False
        return self._core.tracker.oldest([lane]) == NEVER and self._has_heard_all()

    def _has_heard_all(self) -> bool:
        """Whether nothing stays of this process that is in no queue yet."""
        return self._own_is_read and not (self._news or self._unread())


def _settle(kepts: Iterable[Kept]) -> None:
    """Have each source note which of its records have ended."""
    by_source: dict[Source, list[Kept]] = {}
    for kept in kepts:
        by_source.setdefault(kept.source, []).append(kept)
    for source, some in by_source.items():
        source.settle_taken(some)


def _order(kept: Kept) -> tuple[int, int]:
    return kept.source.rank, kept.sequence
