"""Where every unresolved message is: waiting in a lane, in flight, or handed out to be ended.

Pure but for its lock: no thread, no clock, no network; time is an argument.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from operator import itemgetter
from typing import cast

from .._account.ledger import Counters
from .lane import NEVER, Lane
from .message import Message, Route
from .request import Request
from .state import LOCK, is_live


class Tracker:
    """Knows where every unresolved message is.

    Args:
        grace: seconds past its deadline for which a message may stay unresolved while a request
            carries it.
    """

    def __init__(self, grace: float) -> None:
        #: Guards everything here, in the scheduler and in the lanes, but for the inboxes' right
        #: ends and ``touched``. Re-entrant: a signal handler that publishes into a full buffer may
        #: find it held by the thread it interrupted.
        self.lock = threading.RLock()
        self.grace = grace
        #: Routes whose inbox reached ``wake_at``, each in a tuple of its own; appended to by
        #: callers, without the lock.
        self.touched: deque[tuple[Route]] = deque()
        self.active: dict[Lane, None] = {}  # lanes with something waiting or in flight
        self.in_flight: dict[Request, None] = {}
        self.expired: list[Message] = []  # their deadline came while they waited
        self._leaving: list[list[Message]] = []  # handed out to be ended, not settled yet
        #: What callers took out to end it, and Ctrl-C may keep them from it: what of that is still
        #: live ends at its deadline, or with drain().
        self._taken: dict[Message, None] = {}

    # -- taking out, to end it

    def settled(self, messages: list[Message]) -> None:
        """What a Turn or ``drain`` handed out to be ended has ended.

        A flush need not wait for it any more.
        """
        if messages:
            with self.lock:
                self._leaving = [batch for batch in self._leaving if batch is not messages]
                for message in messages if self._taken else ():
                    self._taken.pop(message, None)

    def evict_oldest(self) -> Message | None:
        """Remove and return the oldest message that was never sent; None if there is none."""
        with self.lock:
            while lanes := [(lane.oldest_unsent(), lane) for lane in self.lanes_locked()]:
                since, lane = min(lanes, key=itemgetter(0))
                if since == NEVER:
                    break
                message = lane.evict_oldest(self._taken)
                if message is not None:  # or it was cancelled just now
                    if message.kept is not None:  # then what stands behind it stays as well
                        self._touch_locked(lane)
                    return message
            return None

    def drain(self) -> tuple[list[Message], list[Message]]:
        """Remove everything that waits.

        Returns:
            that, and the live messages that are in flight (which stay there).
        """
        with self.lock:
            # Ctrl-C may hit anywhere here: first they are noted, then taken out.
            for lane in self.lanes_locked():
                self._taken.update(dict.fromkeys(lane.waiting()))
            self._taken.update(dict.fromkeys(self.expired))
            for lane in self.lanes_locked():
                # Callers do not hold the lock: there may be more by now.
                self._taken.update(dict.fromkeys(lane.drain()))
            self.expired = []
            carried: dict[Message, None] = {}
            for request in self.in_flight:
                with LOCK.rlock:  # a worker may be taking a chunk apart
                    carried.update(dict.fromkeys(filter(is_live, request.messages)))
                request.oldest = NEVER  # whenever it returns: nobody waits for that any more
            self._taken.update(carried)
            waiting = [message for message in self._left_behind_locked() if message not in carried]
            return waiting, list(carried)

    def expired_locked(self) -> list[Message]:
        """Take out the messages whose deadline came while they waited."""
        expired = self.leave_locked(self.expired)
        self.expired = []
        return expired

    def overdue_locked(self, now: float) -> list[Message]:
        """Take out the messages whose deadline and grace ran out while something carries them."""
        overdue: list[Message] = []
        for request in self.in_flight:
            if request.expires <= now:
                with LOCK.rlock:
                    live = [message for message in request.messages if is_live(message)]
                late = [message for message in live if message.deadline + self.grace <= now]
                overdue += late
                if stays := [message for message in late if message.kept is not None]:
                    if request.lane.staying is not None:
                        request.lane.staying.note(stays)
                    self._touch_locked(request.lane)
                left = [message for message in live if message.deadline + self.grace > now]
                request.expires = min((m.deadline for m in left), default=NEVER) + self.grace
                request.oldest = min((m.accepted for m in left), default=NEVER)
        for message in self._left_behind_locked():
            if message.deadline + self.grace <= now:
                del self._taken[message]  # it is not offered twice
                overdue.append(message)
        return self.leave_locked(list(dict.fromkeys(overdue)))

    def leave_locked(self, messages: list[Message]) -> list[Message]:
        """These are handed out to be ended."""
        if messages:
            self._leaving.append(messages)
        return messages

    # -- what stays in a store is offered again

    def begin_offering(
        self, lane: Lane, groups: Collection[str], is_all: Callable[[], bool], *, here: bool
    ) -> Collection[str]:
        """Of which groups of a lane that stays which may be offered now, in its order.

        Args:
            lane: it.
            groups: their names.
            is_all: whether what offers has read all that the store knows of; asked under the lock.
            here: it is offered to this lane, and not to another one to the same destination.
        """
        with self.lock:
            if lane.staying is None:
                return groups
            begun: list[str] = []
            if is_all():
                begun = lane.staying.begin_offering(groups, self._leaving_locked(lane), here=here)
            if len(begun) < len(groups):  # there may be something to be taken out
                self._touch_locked(lane)
            return begun

    def let_through(
        self, lane: Lane, groups: Collection[str], is_all: Callable[[], bool]
    ) -> Collection[str]:
        """Have new messages of groups go their usual way, as all that stays of them was offered.

        Args:
            lane: that they belong to.
            groups: their names.
            is_all: whether the store has nothing more to offer; asked under the lock.

        Returns:
            those of which it is so.
        """
        with self.lock:
            if lane.staying is None:
                return groups
            through: list[str] = []
            if is_all():
                through = lane.staying.let_through(groups, self._leaving_locked(lane))
            self._touch_locked(lane)  # what waited for that may go
            return through

    def overflow(self, message: Message, tell: Callable[[Message], None]) -> None:
        """A message that did not come in stays: what comes later is not to overtake it.

        The store is told under the lock: who looks there whether all was offered sees both, or
        neither.
        """
        with self.lock:
            if (staying := self.lane_of(message.route).staying) is not None:
                staying.fall_behind(message)
            tell(message)

    def waits_for_store(self) -> bool:
        """Whether what no store keeps waits where something stays, or may yet stay, before it."""
        with self.lock:
            return any(
                lane.staying is not None and any(one.kept is None for one in lane.waiting())
                for lane in self.lanes_locked()
            )

    def _leaving_locked(self, lane: Lane) -> set[str]:
        """The groups of a lane of which something was taken out that stays, and has not ended."""
        leaving = itertools.chain(*self._leaving, self._left_behind_locked())
        some = [each for each in leaving if each.kept is not None and each.route.lane is lane]
        return set(lane.groups_of(some) or ())

    def _touch_locked(self, lane: Lane) -> None:
        self.touched.extend((route,) for route in lane.routes[:1])

    # -- looking

    def left_by_callers(self) -> list[Message]:
        """What callers took out to end it and have not ended yet."""
        if not self._taken:
            return []
        with self.lock:
            return self._left_behind_locked()

    def oldest(self, lanes: Collection[Lane] | None = None) -> float:
        """When the oldest unresolved message was accepted; NEVER if there is none."""
        with self.lock:
            looked_at = self.lanes_locked() if lanes is None else lanes
            oldest = min((lane.oldest() for lane in looked_at), default=NEVER)
            for request in self.in_flight:
                if lanes is None or request.lane in lanes:
                    oldest = min(oldest, request.oldest)
            for message in itertools.chain(*self._leaving, self._left_behind_locked()):
                if lanes is None or message.route.lane in lanes:
                    oldest = min(oldest, message.accepted)
            return oldest

    def is_done(self, until: float, lanes: Collection[Lane] | None = None) -> bool:
        """Whether all that was accepted up to ``until`` has ended.

        Asked at each end while somebody waits in flush(): mostly one of the requests says no.
        """
        with self.lock:
            for request in self.in_flight:
                if request.oldest <= until and (lanes is None or request.lane in lanes):
                    return False
            for lane in self.active if lanes is None else lanes:
                if lane.oldest() <= until:
                    return False
            return self.oldest(lanes) > until

    def oldest_by_counters(self) -> dict[Counters, float]:
        """When the oldest unresolved message of each destination that has one was accepted."""
        with self.lock:
            found: dict[Counters, float] = {}
            times = [(lane.counters, lane.oldest()) for lane in self.lanes_locked()]
            times += [(request.lane.counters, request.oldest) for request in self.in_flight]
            for counters, time in times:
                if time < found.get(counters, NEVER):
                    found[counters] = time
            return found

    def unresolved(self, until: float, lanes: Collection[Lane] | None = None) -> int:
        """How many messages accepted up to ``until`` are unresolved."""
        with self.lock, LOCK.rlock:  # a worker may be taking a chunk apart
            return sum(
                message.count
                for message in self._registered_locked(lanes)
                if message.accepted <= until and is_live(message)
            )

    def soonest_end_locked(self) -> float:
        """When the first of what is carried ends, come what may; NEVER if nothing is."""
        soonest = min([request.expires for request in self.in_flight], default=NEVER)
        for message in self._taken:  # mostly none
            soonest = min(soonest, message.deadline + self.grace)
        return soonest

    def _registered_locked(self, lanes: Collection[Lane] | None) -> Iterator[Message]:
        for lane in self.lanes_locked() if lanes is None else lanes:
            yield from lane.waiting()
        for request in self.in_flight:
            if lanes is None or request.lane in lanes:
                yield from request.messages
        for message in itertools.chain(*self._leaving, self._left_behind_locked()):
            if lanes is None or message.route.lane in lanes:
                yield message

    def lanes_locked(self) -> list[Lane]:
        """The lanes that have, or may have, something unresolved."""
        touched = [self.lane_of(route) for (route,) in list(self.touched)]
        return list(dict.fromkeys([*self.active, *touched]))

    @staticmethod
    def lane_of(route: Route) -> Lane:
        """The lane of a touched route, which may have been forgotten."""
        lane = cast("Lane", route.lane)  # of which a message need not know so much
        if route not in lane.routes:  # where there are many, idle ones are
            lane.routes.append(route)
        return lane

    def _left_behind_locked(self) -> list[Message]:
        """What callers took out to end it and have not ended yet."""
        if not self._taken:
            return []
        with LOCK.rlock:  # somebody may be taking a chunk apart
            parts = [part for message in self._taken for part in message.parts or (message,)]
            self._taken = dict.fromkeys(filter(is_live, parts))
        return list(self._taken)
