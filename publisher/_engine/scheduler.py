"""What is sent next, and when to look again.

Pure but for its lock: no thread, no clock, no network; time is an argument.

The dispatcher calls :meth:`Scheduler.step`; a worker that comes back calls
:meth:`Scheduler.complete` and takes the next due request with it, so that nothing queues in the
executor and retries, cancels and deadlines stay in our hands.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from .._account.ledger import Counters
from .lane import NEVER, Lane
from .message import Message, Route
from .request import Remainder, Request
from .state import LOCK, is_live

_order = itertools.count()
_TIMERS = 128
#: After so many seconds in which no request came back or went out, a destination that has nothing
#: in flight waits no longer for a worker that others keep.
_STALL = 0.25
#: Seconds for which a message that somebody waits for waits for others of its kind, where its lane
#: has half the workers already, and at least so many.
_COMPANY = 0.001
_MANY = 4


@dataclass(slots=True)
class Turn:
    """What to do after the lock is released.

    Attributes:
        requests: to be sent, each by a worker of its own; the scheduler counts those workers as
            busy already.
        expired: messages whose deadline came while they waited; they are in no registry any more.
        overdue: messages whose deadline and grace ran out while a request carries them.
        wake: the dispatcher has to look earlier than it planned to.
    """

    requests: list[Request] = field(default_factory=list)
    expired: list[Message] = field(default_factory=list)
    overdue: list[Message] = field(default_factory=list)
    wake: bool = False


class Scheduler:
    """Shares the workers among the lanes.

    Args:
        workers: how many requests may be in flight; beside them one in reserve, for a lane that has
            nothing in flight, and as many more while nothing comes back.
        grace: seconds past its deadline for which a message may stay unresolved while a request
            carries it.
    """

    def __init__(self, workers: int, grace: float) -> None:
        #: Guards everything here and in the lanes, but for the inboxes' right ends and ``touched``.
        #: Re-entrant: a signal handler that publishes into a full buffer may find it held by the
        #: thread it interrupted.
        self.lock = threading.RLock()
        #: Routes whose inbox reached ``wake_at``, each in a tuple of its own; appended to by
        #: callers, without the lock.
        self.touched: deque[tuple[Route]] = deque()
        self.in_flight: dict[Request, None] = {}
        self.workers = workers  # how many there are
        self.busy = 0
        #: How many more may be busy for lanes that have nothing in flight: what hangs would keep
        #: all workers for as long as a request may take.
        self.reserve = 1
        self._moved = -NEVER  # when a request last went out or came back
        self._doubtful = 0  # requests in flight of lanes that had timed out
        #: When the dispatcher will look again by itself.
        self.alarm = NEVER
        self._grace = grace
        self._active: dict[Lane, None] = {}  # lanes with something waiting or in flight
        self._ready: deque[Lane] = deque()  # lanes with something due, in turn
        self._timers: list[tuple[float, int, list[Lane]]] = []  # when, order, Lane.timer_entry
        self._timers_bound = _TIMERS  # so many are looked through for stale ones
        self._expired: list[Message] = []
        self._leaving: list[list[Message]] = []  # handed out to be ended, not settled yet
        #: What callers took out to end it, and Ctrl-C may keep them from it: what of that is still
        #: live ends at its deadline, or with drain().
        self._taken: dict[Message, None] = {}
        #: What lingers no longer: what was accepted up to then, in these lanes or in all.
        self._hurried: deque[tuple[float, list[Lane] | None]] = deque()
        #: Lanes whose messages somebody waits for, and until when they wait for company.
        self._gathering: deque[tuple[float, Lane]] = deque()

    def step(self, now: float) -> Turn:
        """Everything that is due: the dispatcher's turn."""
        with self.lock:
            self._take_hurried(now)
            self._review_touched(now)
            while self._timers and self._timers[0][0] <= now:
                for lane in tuple(heapq.heappop(self._timers)[2]):  # none, or one
                    lane.timer = NEVER
                    self._review(lane, now)
            self._set_reserve(now)
            requests = []
            while (request := self._next(now)) is not None:
                requests.append(request)
            turn = Turn(requests, self._take_expired(), self._overdue(now))
            # A lane whose oldest messages had ended already may have given nothing, and has more.
            self.alarm = now if self._could_send() else self._soonest()
            if self._is_kept_waiting():
                self.alarm = min(self.alarm, self._moved + _STALL)
            if self._gathering:
                self.alarm = min(self.alarm, self._gathering[0][0])
            return turn

    def complete(self, request: Request, remainder: Remainder, now: float) -> Turn:
        """A request has really come back: the worker's turn.

        At most one request is returned, for that same worker.
        """
        with self.lock:
            lane = request.lane
            del self.in_flight[request]
            lane.in_flight -= 1
            self._doubtful -= request.doubtful
            self._moved = now
            if remainder.cautious is not None:
                lane.cautious = remainder.cautious
            if remainder.hold:
                lane.held_until = max(lane.held_until, now + remainder.hold)
            if request.split is not None:
                request.split.note_back()
            lane.take_back(request.groups, remainder)
            self._review(lane, now)
            self.busy -= 1
            self._take_hurried(now)
            try:
                following = self._next(now)
            except BaseException:  # then release_worker() does it
                self.busy += 1
                raise
            wake = self._soonest() < self.alarm or self._could_send() or self._is_kept_waiting()
            return Turn([] if following is None else [following], self._take_expired(), [], wake)

    def settled(self, messages: list[Message]) -> None:
        """What a Turn or ``drain`` handed out to be ended has ended.

        A flush need not wait for it any more.
        """
        if messages:
            with self.lock:
                self._leaving = [batch for batch in self._leaving if batch is not messages]
                for message in messages if self._taken else ():
                    self._taken.pop(message, None)

    def release_worker(self) -> None:
        """A worker died of something unforeseen and will take no further request."""
        with self.lock:
            self.busy -= 1

    def hurry(self, now: float, lanes: list[Lane] | None = None) -> None:
        """What was accepted up to ``now`` lingers no longer, in these lanes or in all.

        From the next turn on: no caller moves messages about, for Ctrl-C could hit it there.
        """
        with self.lock:
            self._hurried.append((now, lanes))

    def hurry_one(self, message: Message, now: float) -> bool:
        """Somebody waits for this message: what its lane has so far lingers no longer.

        While the lane has many requests in flight, what somebody waits for and comes within a
        moment shares one: that moment costs each less than the CPU time of a request of its own.

        Returns whether the dispatcher is to look now.
        """
        lane = message.route.lane
        with self.lock:
            if message.accepted <= lane.flush_until:  # somebody said so before
                return False
            if lane.has_company:  # noted: a turn under way may have read the clock before
                lane.waited_for = max(lane.waited_for, message.accepted)
                return False
            # How many requests an ordered lane may have is known when its inbox was looked at.
            may_send = self._may_send(lane) or (lane.keeps_order and self.busy < self.workers)
            if not may_send or lane.in_flight < max(self.workers / 2, _MANY):
                self._hurried.append((message.accepted, [lane]))
                return may_send  # otherwise whichever worker comes back takes it along
            lane.waited_for = message.accepted
            self._gathering.append((now + _COMPANY, lane))
            lane.has_company = True
            return now + _COMPANY < self.alarm

    def _take_hurried(self, now: float) -> None:
        while self._gathering and self._gathering[0][0] <= now:
            # In this order, for whatever is raised in this thread: at worst it is done twice.
            lane = self._gathering[0][1]
            lane.has_company = False
            self._hurried.append((max(now, lane.waited_for), [lane]))
            self._gathering.popleft()
        if not self._hurried:
            return
        self._review_touched(now)
        while self._hurried:
            until, lanes = self._hurried.popleft()
            for lane in list(self._active) if lanes is None else lanes:
                if until > lane.flush_until:
                    lane.flush_until = until
                    self._review(lane, now)

    def evict_oldest(self) -> Message | None:
        """Remove and return the oldest message that was never sent; None if there is none."""
        with self.lock:
            while lanes := [(lane.oldest_unsent(), lane) for lane in self._all_lanes()]:
                since, lane = min(lanes, key=itemgetter(0))
                if since == NEVER:
                    break
                message = lane.evict_oldest(self._taken)
                if message is not None:  # or it was cancelled just now
                    return message
            return None

    def drain(self) -> tuple[list[Message], list[Message]]:
        """Remove everything that waits.

        Returns:
            that, and the live messages that are in flight (which stay there).
        """
        with self.lock:
            # Ctrl-C may hit anywhere here: first they are noted, then taken out.
            for lane in self._all_lanes():
                self._taken.update(dict.fromkeys(lane.waiting()))
            self._taken.update(dict.fromkeys(self._expired))
            for lane in self._all_lanes():
                # Callers do not hold the lock: there may be more by now.
                self._taken.update(dict.fromkeys(lane.drain()))
            self._expired = []
            carried: dict[Message, None] = {}
            for request in self.in_flight:
                with LOCK.rlock:  # a worker may be taking a chunk apart
                    carried.update(dict.fromkeys(filter(is_live, request.messages)))
                request.oldest = NEVER  # whenever it returns: nobody waits for that any more
            self._taken.update(carried)
            waiting = [message for message in self._left_behind() if message not in carried]
            return waiting, list(carried)

    def left_by_callers(self) -> list[Message]:
        """What callers took out to end it and have not ended yet."""
        if not self._taken:
            return []
        with self.lock:
            return self._left_behind()

    def oldest(self, lanes: Collection[Lane] | None = None) -> float:
        """When the oldest unresolved message was accepted; NEVER if there is none."""
        with self.lock:
            looked_at = self._all_lanes() if lanes is None else lanes
            oldest = min((lane.oldest() for lane in looked_at), default=NEVER)
            for request in self.in_flight:
                if lanes is None or request.lane in lanes:
                    oldest = min(oldest, request.oldest)
            for message in itertools.chain(*self._leaving, self._left_behind()):
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
            for lane in self._active if lanes is None else lanes:
                if lane.oldest() <= until:
                    return False
            return self.oldest(lanes) > until

    def oldest_by_counters(self) -> dict[Counters, float]:
        """The same for each destination that has an unresolved message."""
        with self.lock:
            found: dict[Counters, float] = {}
            times = [(lane.counters, lane.oldest()) for lane in self._all_lanes()]
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
                for message in self._registered(lanes)
                if message.accepted <= until and is_live(message)
            )

    # -- details; the caller holds the lock

    def _registered(self, lanes: Collection[Lane] | None) -> Iterator[Message]:
        for lane in self._all_lanes() if lanes is None else lanes:
            yield from lane.waiting()
        for request in self.in_flight:
            if lanes is None or request.lane in lanes:
                yield from request.messages
        for message in itertools.chain(*self._leaving, self._left_behind()):
            if lanes is None or message.route.lane in lanes:
                yield message

    def _all_lanes(self) -> list[Lane]:
        touched = [self._lane_of(route) for (route,) in list(self.touched)]
        return list(dict.fromkeys([*self._active, *touched]))

    @staticmethod
    def _lane_of(route: Route) -> Lane:
        lane = route.lane
        if route not in lane.routes:  # it was forgotten
            lane.routes.append(route)
        return lane

    def _review_touched(self, now: float) -> None:
        while firsts := list(self.touched):
            for lane in dict.fromkeys(self._lane_of(route) for (route,) in firsts):
                self._review(lane, now)
            # Not before, for Ctrl-C; and a signal handler may have been here meanwhile.
            for first in firsts:
                if self.touched and self.touched[0] is first:
                    self.touched.popleft()

    def _review(self, lane: Lane, now: float) -> None:
        """Look at one lane: what has expired, and whether it is ready.

        Sets when to look again, and from which length of an inbox on callers are to wake us.
        """
        try:
            self._look_at(lane, now)
        except BaseException:  # Ctrl-C in a caller's flush(): half a look would be the last one
            self.touched.extend((route,) for route in lane.routes[:1])
            raise

    def _look_at(self, lane: Lane, now: float) -> None:
        lane.forget_routes()
        self._expired += lane.expire(now)
        due = lane.due(now)
        while due > now and lane.set_wake_at(now, due):
            due = lane.due(now)
        timer = lane.next_deadline()
        held = due < NEVER and lane.held_until > now
        if due <= now or held:
            for route in lane.routes:
                route.wake_at = NEVER
                # Nobody wakes us for what comes now: the next look is before it could end.
                timer = min(timer, now + route.delivery.timeout)
        if held:
            due = max(due, lane.held_until)
        if due <= now:
            if not lane.queued:
                lane.queued = True
                self._ready.append(lane)
        else:
            timer = min(timer, due)
        if lane.in_flight or due < NEVER or not lane.is_empty():
            self._active[lane] = None
        else:
            self._active.pop(lane, None)
            self._set_timer(lane, NEVER)
            return
        if timer < lane.timer:
            self._set_timer(lane, timer)

    def _set_timer(self, lane: Lane, at: float) -> None:
        # What stood for the look before is emptied: in the heap until then, it would keep an idle
        # lane alive, and its boto3 client.
        lane.timer_entry.clear()
        lane.timer = at
        if at < NEVER:
            lane.timer_entry = [lane]
            heapq.heappush(self._timers, (at, next(_order), lane.timer_entry))
            if len(self._timers) >= self._timers_bound:
                self._drop_stale_timers()

    def _drop_stale_timers(self) -> None:
        """Forget the looks that an earlier one has replaced.

        Each linger would leave one behind until its deadline.
        """
        self._timers = [timer for timer in self._timers if timer[2]]
        heapq.heapify(self._timers)
        self._timers_bound = max(_TIMERS, 2 * len(self._timers))

    def _may_send(self, lane: Lane) -> bool:
        if lane.in_flight and self.busy >= self.workers:  # what is left is the reserve
            return False
        # While several lanes are active none holds more than half the workers, nor do all those
        # together that have timed out: a stalled one would take them all.
        half = max(1, self.workers // 2)
        if lane.cautious and self._doubtful >= half:
            return False
        share = half if len(self._active) > 1 else self.workers
        return lane.in_flight < min(share, lane.capacity())

    def _could_send(self) -> bool:
        return self.busy < self.workers + self.reserve and any(map(self._may_send, self._ready))

    def _set_reserve(self, now: float) -> None:
        if self.busy <= self.workers:
            self.reserve = min(self.reserve, 1)
        elif self._is_kept_waiting() and self._moved + _STALL <= now:
            self.reserve = self.workers

    def _is_kept_waiting(self) -> bool:
        """Whether a lane that has nothing in flight finds no worker, and could still get one."""
        if not 0 < self.reserve < self.workers or self.busy < self.workers + self.reserve:
            return False
        return any(not lane.in_flight and self._may_send(lane) for lane in self._ready)

    def _next(self, now: float) -> Request | None:
        if self.busy >= self.workers + self.reserve:
            return None
        for _ in range(len(self._ready)):
            lane = self._ready.popleft()
            if lane.held_until > now:  # its timer brings it back
                lane.queued = False
                continue
            if not self._may_send(lane):
                self._ready.append(lane)
                continue
            lane.queued = False
            messages, split = lane.take(now)
            if messages:
                request = Request(lane, messages, split, self._grace)
                lane.in_flight += 1
                self.busy += 1
                self._doubtful += request.doubtful
                self._moved = now
                self.in_flight[request] = None
                self._review(lane, now)
                return request
            self._review(lane, now)
        return None

    def _take_expired(self) -> list[Message]:
        expired = self._leave(self._expired)
        self._expired = []
        return expired

    def _leave(self, messages: list[Message]) -> list[Message]:
        if messages:
            self._leaving.append(messages)
        return messages

    def _overdue(self, now: float) -> list[Message]:
        overdue: list[Message] = []
        for request in self.in_flight:
            if request.expires <= now:
                with LOCK.rlock:
                    live = [message for message in request.messages if is_live(message)]
                late = [message for message in live if message.deadline + self._grace <= now]
                overdue += late
                left = [message for message in live if message.deadline + self._grace > now]
                request.expires = min((m.deadline for m in left), default=NEVER) + self._grace
                request.oldest = min((m.accepted for m in left), default=NEVER)
        for message in self._left_behind():
            if message.deadline + self._grace <= now:
                del self._taken[message]  # it is not offered twice
                overdue.append(message)
        return self._leave(list(dict.fromkeys(overdue)))

    def _left_behind(self) -> list[Message]:
        """What callers took out to end it and have not ended yet."""
        if not self._taken:
            return []
        with LOCK.rlock:  # somebody may be taking a chunk apart
            parts = [part for message in self._taken for part in message.parts or (message,)]
            self._taken = dict.fromkeys(filter(is_live, parts))
        return list(self._taken)

    def _soonest(self) -> float:
        soonest = self._timers[0][0] if self._timers else NEVER
        for message in self._taken:
            soonest = min(soonest, message.deadline + self._grace)
        return min(soonest, min((request.expires for request in self.in_flight), default=NEVER))
