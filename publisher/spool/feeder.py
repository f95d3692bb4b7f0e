"""Offers again what stayed: what this process could not deliver, and what dead owners left. Pure.

It has no thread: :meth:`Feeder.feed` is called again and again by one. A destination that took
nothing is asked again after a while, by one request's worth.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .._engine.ends import FAILED, build_too_old
from .._engine.lane import NEVER
from ..services._stored import UnknownVersion
from .destinations import Destinations
from .order import Order
from .queues import Queues, Shares
from .sources import Source, settle
from .telling import Telling
from .waiting import LONGEST, Group, Queue

if TYPE_CHECKING:
    from .._engine.core import Core
    from .._engine.lane import Lane
    from .._engine.message import Route
    from .._store.reading import Kept

#: So many requests' worth of one destination are in memory at once, while it takes them; of one
#: message group, of which a request carries one, so many messages.
_REQUESTS = 20
#: Of the memory's bounds so much is left to what is new.
_SHARE = 0.5
_AT_ONCE = 1_000  # given up in one go
_SOON = 0.02  # seconds after which it is asked again whether a group may be offered
#: Seconds between two looks at all groups, and at least so many for each of them.
_LOOKS, _LOOK_AT_ONE = 1.0, 1e-5


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
        self.queues = Queues(destinations.grouping, self._telling.unread)  # what waits
        #: What became of what was offered, from any thread: the record, and whether it has ended.
        self._news: deque[tuple[Kept, bool]] = deque()
        self._order = Order(core, destinations, self._has_heard_all)
        self._looks_at = -NEVER
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
        if now >= self._looks_at:
            self._look(now)
        soonest = now if self.queues.may_go_on else now + LONGEST
        for queue in self.queues:
            if queue.waiting:
                soonest = min(soonest, self._serve(queue, now))
        if is_near and self._has_heard_all() and self._order.let_through(self.queues):
            soonest = min(soonest, now + _SOON)
        self.queues.forget_empty()
        return soonest

    def _serve(self, queue: Queue, now: float) -> float:
        """Offer of a queue what there is room for; when to come again."""
        if self._core.flow.shut or (queue.asleep and queue.tried):
            return NEVER
        if queue.until > now:
            return queue.until
        if self._offer(queue, now):
            return now  # there may be more room
        return queue.wakes_at

    def wake_up(self) -> None:
        """There may be a way by now to what had none."""
        for queue in self.queues:
            queue.tried = False
        self._destinations.let_go(self._is_over)

    # -- details

    def take_news(self, now: float) -> None:
        """Hear of what was offered: what has ended is settled, what stays is offered again."""
        back: list[Kept] = []
        ended: list[Kept] = []
        while self._news:
            kept, has_ended = self._news.popleft()
            (ended if has_ended else back).append(kept)
        old = self._too_old.intersection(ended)  # which says nothing of their destinations
        for group in self.queues.done([kept for kept in ended if kept not in old]):
            group.queue.ended = True
            group.queue.go_on()
            group.go_on()
            group.queue.note(group)
            self._order.note(group)
        for group in self.queues.done(old):
            self._order.note(group)
        self._too_old -= old
        settle(ended)
        groups = self.queues.put_back(back)
        for group in groups:
            if group.queue.group_of is not None:
                group.leave_alone(now)
                group.queue.note(group)
        for queue in {group.queue for group in groups}:
            # While something of it ends it is not the destination that takes nothing.
            if queue.group_of is None or not queue.ended:
                queue.leave_alone(now)
            queue.ended = False

    def _route(self, queue: Queue) -> Route | None:
        """The way to it; None, and it sleeps, if there is none."""
        queue.tried = True
        try:
            route = self._destinations.route(queue.where)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's text has boto3 raise
            queue.asleep = True
            self._telling.unreachable(queue.where, queue.waiting, error)
            return None
        queue.asleep = False
        return route

    def _offer(self, queue: Queue, now: float) -> bool:
        """Offer as many as there is room for; whether there was some."""
        core, flow = self._core, self._core.flow
        route = self._route(queue)
        if route is None:
            return False
        lane = core.tracker.lane_of(route)
        slots = lane.target.service.limits.entries * (1 if queue.pause else _REQUESTS)
        most = min(slots - queue.out, _AT_ONCE, flow.max_messages - flow.messages)
        # What waits for this is not new: this goes on beside it.
        held = lane.staying.held_back if lane.staying is not None else 0
        most = min(most, max(int(flow.max_messages * _SHARE), 1) - flow.messages + held)
        room = max(int(flow.max_bytes * _SHARE) - flow.bytes, bool(held))
        if most <= 0 or room <= 0 or (lane.keeps_order and not self._has_heard_all()):
            return False
        each = _REQUESTS if lane.keeps_order else slots
        groups = queue.choose(most, max(slots // 2, 1), each, now)
        if lane.keeps_order:
            begun = self._order.begin(queue, lane, groups)
            for group in {*groups}.difference(begun):
                queue.sleep(group, now + _SOON)
            groups = begun
        if not groups:
            return False
        share = max(most // len(groups), 1)
        shares = [(group, 1 if group.pause else min(share, each - group.out)) for group in groups]
        taken, entries, sizes = self._ready(queue, route, shares, room, now)
        for group in groups:
            self._order.note(group)
        if not taken:
            return False
        if not core.kept.replay(route, entries, sizes, taken):
            self.queues.give_back(taken)
            return False
        for kept in taken:
            kept.entry = b""  # the message has it
        return True

    def _ready(
        self, queue: Queue, route: Route, shares: Shares, room: int, now: float
    ) -> tuple[list[Kept], list[Any], list[int]]:
        """What may be offered, with entries and sizes, in its order; the rest is ended.

        Args:
            queue: that it comes from.
            route: where it goes.
            shares: groups, and how many of each.
            room: bytes together; the first one may have more.
            now: the core's clock.
        """
        service = route.lane.target.service
        oldest = self._wall() - self._max_age
        try:
            heads = self.queues.take_heads(queue, shares)
        except OSError:
            queue.leave_alone(now)
            return [], [], []
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
                self.queues.done([kept])
                continue
            except Exception:  # noqa: BLE001 - these bytes may be anybody's
                self.skipped += 1
                kept.source.settle_taken([kept])
                self.queues.done([kept])
                continue
            if kept.when < oldest:
                self._too_old.add(kept)  # until it is heard of
                end = ((build_too_old, self._max_age, None), FAILED, None)
                self._core.kept.end_replayed(route, entry, size, kept, end)
                continue
            if not self._core.flow.could_hold(size, 1):  # its writer had other bounds: it stays
                self.skipped += 1
                self._telling.too_large(size)
                self.queues.done([kept])
                continue
            if taken and size > room:
                self.queues.give_back(heads[place:])
                break
            room -= size
            taken.append(kept)
            entries.append(entry)
            sizes.append(size)
        return taken, entries, sizes

    def _look(self, now: float) -> None:
        """Look at all groups, now and then: end what is too old, and find who waits for nothing."""
        self.queues.note_age(None)
        limit = self._wall() - self._max_age
        count = 0
        for queue in self.queues:
            count += len(queue.groups)
            for group in list(queue.groups.values()):
                if group.kept and group.kept[0].when < limit and not self._core.flow.shut:
                    self._give_up(queue, group, limit, now)
                self.queues.note_age(group)
        self._looks_at = now + max(_LOOKS, count * _LOOK_AT_ONE)
        self._order.look()

    def _give_up(self, queue: Queue, group: Group, limit: float, now: float) -> None:
        """End what is too old of a group."""
        first = itertools.islice(group.kept, _AT_ONCE)
        count = sum(1 for _ in itertools.takewhile(lambda kept: kept.when < limit, first))
        route = None if queue.asleep else self._route(queue)
        if route is not None:
            taken, _, _ = self._ready(queue, route, [(group, count)], 0, now)
            self.queues.give_back(taken)  # the clock has gone on between, so none is here
            return
        old = self.queues.take(group, count)
        self.skipped += count
        settle(old)
        self.queues.done(old)
        self._telling.given_up(queue.where, count, self._max_age)

    def _is_over(self, lane: Lane, where: bytes) -> bool:
        """Whether nothing stays of a lane, and nothing is under way."""
        if self.queues.get(where) is not None or not self._has_heard_all():
            return False
        return self._core.tracker.oldest([lane]) == NEVER and self._has_heard_all()

    def _has_heard_all(self) -> bool:
        """Whether nothing stays of this process that is in no queue yet."""
        return self.queues.own_is_read and not (self._news or self._unread())
