"""Offers again what stayed: what this process could not deliver, and what dead owners left. Pure.

It has no thread: :meth:`Feeder.feed` is called again and again by one. A destination that took
nothing is asked again after a while, by one request's worth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .._engine.ends import FAILED, build_too_old
from .._engine.lane import NEVER
from ..services._stored import UnknownVersion
from .destinations import Destinations
from .queues import LONGEST, Queue, Queues, Source, settle
from .telling import Telling

if TYPE_CHECKING:
    from .._engine.core import Core
    from .._engine.lane import Lane
    from .._engine.message import Route
    from .._store.reading import Kept

#: So many requests' worth of one destination are in memory at once, while it takes them.
_REQUESTS = 20
#: Of the memory's bounds so much is left to what is new.
_SHARE = 0.5
_AT_ONCE = 1_000  # given up in one go


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
        self._core = core
        self._destinations = destinations
        self._max_age = max_age
        self._wall = wall
        self._unread = unread
        self._telling = Telling(core)
        self.queues = Queues(self._telling.unread)  # what waits
        #: What became of what was offered, from any thread: the record, and whether it has ended.
        self._news: deque[tuple[Kept, bool]] = deque()
        #: Lanes that keep their order and are behind what stays, by what is written of them.
        self._lanes: dict[Any, bytes] = {}
        self._too_old: set[Kept] = set()  # ended as such, and not heard of yet
        self.skipped = 0  # records that were no messages

    # -- from any thread

    def ended(self, kepts: Iterable[Kept]) -> None:
        """These have ended for good, and are settled in their source."""
        self._news.extend((kept, True) for kept in kepts)

    def stay(self, kepts: Iterable[Kept]) -> None:
        """These were offered, and stay."""
        self._news.extend((kept, False) for kept in kepts)

    # -- the feeding thread's

    def feed(self, sources: Sequence[Source], own: Source | None, now: float) -> float:
        """Read, and offer what there is room for; returns when to come again.

        Args:
            sources: of dead owners, the oldest first.
            own: what this process wrote.
            now: the core's clock.
        """
        self.take_news(now)
        is_near = self.queues.read(sources, own)
        soonest = now if self.queues.may_go_on else now + LONGEST
        for queue in self.queues:
            if queue.kept:
                soonest = min(soonest, self._serve(queue, now))
        if is_near and self.queues.own_is_read:
            self._let_new_ones_through()
        self.queues.forget_empty()
        return soonest

    def _serve(self, queue: Queue, now: float) -> float:
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
        for queue in self.queues:
            queue.tried = False
        self._destinations.let_go(self._is_over)

    # -- details

    def take_news(self, now: float) -> None:
        """Hear of what was offered: what has ended is settled, what stays is offered again."""
        back: dict[bytes, list[Kept]] = {}
        ended: list[Kept] = []
        while self._news:
            kept, has_ended = self._news.popleft()
            queue = self.queues.find(kept.where)
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
            queue = self.queues.find(where)
            self.queues.put_back(queue, kepts)
            queue.leave_alone(now)
        settle(ended)

    def _route(self, queue: Queue) -> Route | None:
        """The way to it; None, and it sleeps, if there is none."""
        queue.tried = True
        try:
            route = self._destinations.route(queue.where)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's text has boto3 raise
            queue.asleep = True
            self._telling.unreachable(queue.where, len(queue.kept), error)
            return None
        queue.asleep = False
        return route

    def _offer(self, queue: Queue, now: float) -> bool:
        """Offer as many as there is room for; whether there was some."""
        core, flow = self._core, self._core.flow
        route = self._route(queue)
        if route is None:
            self._give_up(queue, now)
            return False
        lane = core.tracker.lane_of(route)
        limits = lane.target.service.limits
        most = limits.entries * (1 if queue.pause else _REQUESTS) - queue.offered
        most = min(most, _AT_ONCE)
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
            self.queues.give_back(queue, taken)
            return False
        queue.offered += len(taken)
        for kept in taken:
            kept.entry = b""  # the message has it
        return True

    def _ready(
        self, queue: Queue, route: Route, most: int, room: int, now: float
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
        heads = self.queues.take_heads(queue, most, now)
        taken: list[Kept] = []
        entries: list[Any] = []
        sizes: list[int] = []
        if heads and min([kept.when for kept in heads]) >= oldest:
            usual = service.load_all([kept.entry for kept in heads])
            if usual is not None and sum(usual[1]) <= room:
                return heads, list(usual[0]), list(usual[1])
        for place, kept in enumerate(heads):
            try:
                entry = service.load(kept.entry)
                size = service.measure(entry)
            except UnknownVersion:  # a later package's: it stays on disk
                self.skipped += 1
                self._telling.unknown_version()
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
            if not self._core.flow.could_hold(size, 1):  # its writer had other bounds: it stays
                self.skipped += 1
                self._telling.too_large(size)
                continue
            if taken and size > room:
                self.queues.give_back(queue, heads[place:])
                break
            room -= size
            taken.append(kept)
            entries.append(entry)
            sizes.append(size)
        return taken, entries, sizes

    def _give_up(self, queue: Queue, now: float) -> None:
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
            self.queues.give_back(queue, kepts)  # the clock has gone on between, so none is here
            return
        self.skipped += count
        settle(self.queues.take(queue, count))
        self._telling.given_up(queue.where, count, self._max_age)

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
        is_offered = where not in self.queues or not self.queues.find(where).kept
        return is_offered and self._has_heard_all()

    def _is_over(self, lane: Lane, where: bytes) -> bool:
        """Whether nothing stays of a lane, and nothing is under way."""
        if where in self.queues or not self._has_heard_all():
            return False
        return self._core.tracker.oldest([lane]) == NEVER and self._has_heard_all()

    def _has_heard_all(self) -> bool:
        """Whether nothing stays of this process that is in no queue yet."""
        return self.queues.own_is_read and not (self._news or self._unread())
