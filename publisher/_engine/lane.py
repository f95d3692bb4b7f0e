"""What the scheduler, the entrance and the clients ask of a lane, and what all lanes share.

Pure: no thread, no clock, no network; time is an argument.

A lane holds the unsent messages of one destination. Callers append to the inboxes of its routes,
ask for a route and whether a lane is idle; everything else is called by the scheduler under its
lock. Every accepted message of a lane is, at any time, in exactly one of: an inbox, a route's
chunks, the retries, the pieces of a split request, a group of an ordered lane, or a request in
flight.
"""

from __future__ import annotations

import abc
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .._account.ledger import Counters
from .contract import Limits
from .message import Message, Owner, Route
from .split import Remainder, Split
from .staying import Staying

NEVER = math.inf
_MAX_ROUTES = 100


class Lane(abc.ABC):
    """The unsent messages of one destination.

    Kinds of lanes are siblings: each says what is abstract here in its own way, and none extends
    another.

    Args:
        limits: of one request.
        measure: entry -> bytes.
        counters: where its messages are counted.
        core: what its messages ask for themselves.
        target: what the sender needs to know to send it; the lane does not look at it.
    """

    def __init__(
        self,
        limits: Limits,
        measure: Callable[[Any], int],
        counters: Counters,
        core: Owner,
        target: Any,
    ) -> None:
        self.limits = limits
        self.measure = measure
        self.counters = counters
        self.core = core
        self.target = target
        self.routes: list[Route] = []
        #: Whether messages go in the order in which they were accepted, or at least some of them.
        self.keeps_order = False
        #: Whether an entry is still needed after its message has ended, until its request returns.
        self.keeps_entries = False
        self.written: bytes | None = None  # what a store writes of its destination
        #: Where order has to be kept while messages stay in a store.
        self.staying: Staying | None = None
        self.taken_size: int | None = None  # of the last take(), where it was counted
        # What the scheduler keeps on it.
        self.in_flight = 0
        self.cautious = False  # a request timed out: one at a time until one succeeds
        self.held_until = -NEVER  # the service said when to come back
        self.queued = False  # stands in the scheduler's queue of ready lanes
        self.timer = NEVER  # the scheduler's next look at it,
        self.timer_entry: list[Lane] = []  # and what stands for that in its heap: emptied, no look
        self.flush_until = -NEVER  # what was accepted up to then is due at once
        self.has_company = False  # somebody waits for a message; others may join for a moment,
        self.waited_for = -NEVER  # up to the one that was accepted then

    def route(self, delivery: Any) -> Route:
        """The way into this lane for messages with these delivery options."""
        for route in list(self.routes):
            if route.delivery is delivery:
                return route
        route = Route(self, delivery)
        self.routes.append(route)  # two callers at once may each add one: both are looked at
        return route

    def forget_routes(self) -> None:
        """Let go of empty routes where there are many: views with ever other options made them.

        One that is used again joins again; see ``Tracker.lane_of``.
        """
        if len(self.routes) <= _MAX_ROUTES:
            return
        for route in list(self.routes):
            if not (route.inbox or route.chunks or route.backlog):
                route.wake_at = 1  # first: from here on who appends wakes us
                if not (route.inbox or route.chunks):
                    self.routes.remove(route)

    @abc.abstractmethod
    def is_idle(self) -> bool:
        """True when nothing waits here and nothing is in flight.

        Called without the tracker's lock: it changes nothing.
        """

    @abc.abstractmethod
    def is_empty(self) -> bool:
        """True when nothing waits here; requests in flight do not count."""

    @abc.abstractmethod
    def groups_of(self, messages: list[Message]) -> list[str] | None:
        """The message groups that ``messages`` make busy; None where the lane keeps no order."""

    def capacity(self) -> float:
        """How many requests of this lane may be in flight for reasons of its own."""
        return 1 if self.cautious else NEVER

    @abc.abstractmethod
    def due(self, now: float) -> float:
        """When the next request is to go.

        At or before ``now`` means at once, NEVER that there is nothing to send.
        """

    def set_wake_at(self, now: float, due: float) -> bool:
        """Set from which length of its inbox on each route's callers are to wake the dispatcher.

        That is at once, where a message could be due before ``due``, when the lane is looked at
        next: a retry's backoff or another route's linger may be longer than this one's. True if an
        inbox has that length already: a caller that compared against the old number did not wake
        anybody.
        """
        reached = False
        for route in self.routes:
            idle = not route.inbox and now + route.delivery.linger < due
            route.wake_at = 1 if idle else self.limits.entries
            reached = reached or len(route.inbox) >= route.wake_at or bool(route.chunks)
        return reached

    @abc.abstractmethod
    def next_deadline(self) -> float:
        """No waiting message expires before this."""

    @abc.abstractmethod
    def take(self, now: float) -> tuple[list[Message], Split | None]:
        """The messages of the next request, claimed for a worker; empty if nothing can go."""

    @abc.abstractmethod
    def take_back(self, groups: list[str] | None, remainder: Remainder) -> None:
        """A request has really come back: hold what is to be sent again until it is due.

        Args:
            groups: what :meth:`groups_of` said of its messages.
            remainder: what is to be sent again.
        """

    @abc.abstractmethod
    def expire(self, now: float) -> list[Message]:
        """Remove and return the waiting messages whose deadline has come, or that are to stay."""

    # -- where there is a store

    @property
    def is_behind(self) -> bool:
        """Whether what stays in the store of some group goes before what comes in of it."""
        return self.staying is not None and len(self.staying) > 0

    def is_behind_with(self, entry: Any) -> bool:
        """Whether what stays of its group goes before such an entry."""
        return self.staying is not None and self.staying.is_behind_with(entry)

    @abc.abstractmethod
    def evict_oldest(self, taken: dict[Message, None]) -> Message | None:
        """Remove and return the oldest message that was never sent, claimed; None without one.

        It is noted in ``taken`` before it goes.
        """

    @abc.abstractmethod
    def drain(self) -> list[Message]:
        """Remove and return everything that waits; after the last request, or in place of it."""

    @abc.abstractmethod
    def waiting(self) -> Iterator[Message]:
        """Everything that waits here, in no order; some may have ended already."""

    @abc.abstractmethod
    def oldest(self) -> float:
        """When the oldest waiting message was accepted; NEVER if none waits."""

    @abc.abstractmethod
    def oldest_unsent(self) -> float:
        """When the oldest message that was never sent was accepted; NEVER if there is none."""

    def _oldest_inbox(self) -> deque[Message] | None:
        """The inbox whose first message was accepted before those of the others."""
        best: deque[Message] | None = None
        for route in self.routes:
            if route.inbox and (best is None or route.inbox[0].accepted < best[0].accepted):
                best = route.inbox
        return best
