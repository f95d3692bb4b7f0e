"""What is sent next, and when to look again.

Pure but for its lock: no thread, no clock, no network; time is an argument.

The dispatcher calls :meth:`Scheduler.step`; a worker that comes back calls
:meth:`Scheduler.complete` and takes the next due request with it, so that nothing queues in the
executor and retries, cancels and deadlines stay in our hands.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .lane import NEVER, Lane
from .message import Message
from .request import Request
from .shares import Shares
from .split import Remainder
from .timers import Timers
from .tracker import Tracker

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
    """Decides which request goes out next.

    Args:
        workers: how many requests may be in flight; see :class:`Shares`.
        tracker: where the messages are; its lock guards everything here as well.
    """

    def __init__(self, workers: int, tracker: Tracker) -> None:
        self._tracker = tracker
        self._lock = tracker.lock
        self.shares = Shares(workers, tracker.active)
        self.timers = Timers()
        #: When the dispatcher will look again by itself.
        self.alarm = NEVER
        self._ready: deque[Lane] = deque()  # lanes with something due, in turn
        #: What lingers no longer: what was accepted up to then, in these lanes or in all.
        self._hurried: deque[tuple[float, list[Lane] | None]] = deque()
        #: Lanes whose messages somebody waits for, and until when they wait for company.
        self._gathering: deque[tuple[float, Lane]] = deque()

    def step(self, now: float) -> Turn:
        """Everything that is due: the dispatcher's turn."""
        tracker, shares, ready = self._tracker, self.shares, self._ready
        with self._lock:
            self._take_hurried(now)
            self._review_touched(now)
            for lane in self.timers.due(now):
                self._review(lane, now)
            shares.set_reserve(ready, now)
            requests = []
            while (request := self._next(now)) is not None:
                requests.append(request)
            turn = Turn(requests, tracker.expired_locked(), tracker.overdue_locked(now))
            # A lane whose oldest messages had ended already may have given nothing, and has more.
            self.alarm = now if shares.could_send(ready) else self._soonest()
            self.alarm = min(self.alarm, shares.patience_ends(ready))
            if self._gathering:
                self.alarm = min(self.alarm, self._gathering[0][0])
            return turn

    def complete(self, request: Request, remainder: Remainder, now: float) -> Turn:
        """A request has really come back: the worker's turn.

        At most one request is returned, for that same worker.
        """
        tracker, shares, ready = self._tracker, self.shares, self._ready
        with self._lock:
            lane = request.lane
            del tracker.in_flight[request]
            shares.note_back(request, now)
            if remainder.cautious is not None:
                lane.cautious = remainder.cautious
            if remainder.hold:
                lane.held_until = max(lane.held_until, now + remainder.hold)
            if request.split is not None:
                request.split.note_back()
            lane.take_back(request.groups, remainder)
            self._review(lane, now)
            shares.busy -= 1
            self._take_hurried(now)
            try:
                following = self._next(now)
            except BaseException:  # then release_worker() does it
                shares.busy += 1
                raise
            wake = self._soonest() < self.alarm
            wake = wake or shares.could_send(ready) or shares.is_kept_waiting(ready)
            return Turn(
                [] if following is None else [following], tracker.expired_locked(), [], wake
            )

    def release_worker(self) -> None:
        """A worker died of something unforeseen and will take no further request."""
        with self._lock:
            self.shares.busy -= 1

    def hurry(self, now: float, lanes: list[Lane] | None = None) -> None:
        """What was accepted up to ``now`` lingers no longer, in these lanes or in all.

        From the next turn on: no caller moves messages about, for Ctrl-C could hit it there.
        """
        with self._lock:
            self._hurried.append((now, lanes))

    def hurry_one(self, message: Message, now: float) -> bool:
        """Somebody waits for this message: what its lane has so far lingers no longer.

        While the lane has many requests in flight, what somebody waits for and comes within a
        moment shares one: that moment costs each less than the CPU time of a request of its own.

        Returns whether the dispatcher is to look now.
        """
        lane, shares = self._tracker.lane_of(message.route), self.shares
        with self._lock:
            if message.accepted <= lane.flush_until:  # somebody said so before
                return False
            if lane.has_company:  # noted: a turn under way may have read the clock before
                lane.waited_for = max(lane.waited_for, message.accepted)
                return False
            # How many requests an ordered lane may have is known when its inbox was looked at.
            may_send = shares.may_send(lane) or (lane.keeps_order and shares.busy < shares.workers)
            if not may_send or lane.in_flight < max(shares.workers / 2, _MANY):
                self._hurried.append((message.accepted, [lane]))
                return may_send  # otherwise whichever worker comes back takes it along
            lane.waited_for = message.accepted
            self._gathering.append((now + _COMPANY, lane))
            lane.has_company = True
            return now + _COMPANY < self.alarm

    # -- details; the caller holds the lock

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
            for lane in list(self._tracker.active) if lanes is None else lanes:
                if until > lane.flush_until:
                    lane.flush_until = until
                    self._review(lane, now)

    def _review_touched(self, now: float) -> None:
        touched, lane_of = self._tracker.touched, self._tracker.lane_of
        while firsts := list(touched):
            for lane in dict.fromkeys(lane_of(route) for (route,) in firsts):
                self._review(lane, now)
            # Not before, for Ctrl-C; and a signal handler may have been here meanwhile.
            for first in firsts:
                if touched and touched[0] is first:
                    touched.popleft()

    def _review(self, lane: Lane, now: float) -> None:
        """Look at one lane: what has expired, and whether it is ready.

        Sets when to look again, and from which length of an inbox on callers are to wake us.
        """
        try:
            self._look_at(lane, now)
        except BaseException:  # Ctrl-C in a caller's flush(): half a look would be the last one
            self._tracker.touched.extend((route,) for route in lane.routes[:1])
            raise

    def _look_at(self, lane: Lane, now: float) -> None:
        lane.forget_routes()
        self._tracker.expired += lane.expire(now)
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
            self._tracker.active[lane] = None
        else:
            self._tracker.active.pop(lane, None)
            self.timers.set(lane, NEVER)
            return
        if timer < lane.timer:
            self.timers.set(lane, timer)

    def _next(self, now: float) -> Request | None:
        if self.shares.are_out:
            return None
        for _ in range(len(self._ready)):
            lane = self._ready.popleft()
            if lane.held_until > now:  # its timer brings it back
                lane.queued = False
                continue
            if not self.shares.may_send(lane):
                self._ready.append(lane)
                continue
            lane.queued = False
            messages, split = lane.take(now)
            if messages:
                request = Request(lane, messages, split, self._tracker.grace)
                self.shares.note_sent(request, now)
                self._tracker.in_flight[request] = None
                self._review(lane, now)
                return request
            self._review(lane, now)
        return None

    def _soonest(self) -> float:
        return min(self.timers.soonest, self._tracker.soonest_end_locked())
