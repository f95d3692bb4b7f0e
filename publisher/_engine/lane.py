"""Which messages go in which request, and when it is due. Pure: no thread, no clock, no network.

Time is an argument.

A lane holds the unsent messages of one destination. Callers append to the inboxes of its routes;
everything else here is called by the scheduler under its lock. Every accepted message of a lane is,
at any time, in exactly one of: an inbox, a route's chunks, the retries, the pieces of a split
request, a group of an ordered lane, or a request in flight.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from .._account.ledger import Counters
from .contract import Limits
from .message import Chunk, Message, Route
from .request import Answer, Split
from .state import LOCK, PENDING, RUNNING, is_live

NEVER = math.inf
_MAX_ROUTES = 100
_order = itertools.count()


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


class Lane:
    """The unsent messages of one destination.

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
        #: Whether an entry is still needed after its message has ended, until its request returns.
        self.keeps_entries = False
        self.limits = limits
        self.measure = measure
        self.counters = counters
        self.core = core
        self.target = target
        self.routes: list[Route] = []
        #: Whether messages go in the order in which they were accepted, or at least some of them.
        self.keeps_order = False
        #: Bytes of several entries together; the service may have a quicker way.
        self.measure_all: Callable[[Sequence[Any]], int] = lambda entries: sum(
            map(measure, entries)
        )
        self.taken_size: int | None = None  # of the last take(), where it was counted
        self.in_flight = 0
        self.cautious = False  # a request timed out: one at a time until one succeeds
        self.held_until = -NEVER  # the service said when to come back
        self.queued = False  # stands in the scheduler's queue of ready lanes
        self.timer = NEVER  # the scheduler's next look at it,
        self.timer_entry: list[Lane] = []  # and what stands for that in its heap: emptied, no look
        self.flush_until = -NEVER  # what was accepted up to then is due at once
        self.has_company = False  # somebody waits for a message; others may join for a moment
        self._retries: list[tuple[float, int, Message]] = []  # heap: due, order, message
        self._pieces: deque[tuple[list[Message], Split | None]] = deque()
        self._resent_deadline = NEVER  # no retry or piece expires before this

    # -- what may go, and when

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

        One that is used again joins again; see ``Scheduler.touched``.
        """
        if len(self.routes) <= _MAX_ROUTES:
            return
        for route in list(self.routes):
            if not (route.inbox or route.chunks or route.backlog):
                route.wake_at = 1  # first: from here on who appends wakes us
                if not (route.inbox or route.chunks):
                    self.routes.remove(route)

    def is_idle(self) -> bool:
        """True when nothing waits here and nothing is in flight."""
        return not self.in_flight and self.is_empty()

    def is_empty(self) -> bool:
        """True when nothing waits here; requests in flight do not count."""
        return not (
            self._retries
            or self._pieces
            or any(route.inbox or route.chunks for route in self.routes)
        )

    def groups_of(self, messages: list[Message]) -> list[str] | None:
        """The message groups that ``messages`` make busy; None, for this lane keeps no order."""
        return None

    def capacity(self) -> float:
        """How many requests of this lane may be in flight for reasons of its own."""
        return 1 if self.cautious else NEVER

    def due(self, now: float) -> float:
        """When the next request is to go.

        At or before ``now`` means at once, NEVER that there is nothing to send.
        """
        if self._a_piece_may_go() or any(route.chunks for route in self.routes):
            return now
        return self._due_alone(now)

    def _due_alone(self, now: float) -> float:
        """The same for the messages that stand for themselves."""
        due = self._retry_due()
        for route in self.routes:
            if inbox := route.inbox:
                if len(inbox) >= self.limits.entries or inbox[0].accepted <= self.flush_until:
                    return now
                due = min(due, inbox[0].accepted + route.delivery.linger)
        return due

    def _retry_due(self) -> float:
        """When the first retry goes: its backoff over, it waits for company like a new message.

        A throttled destination answers every request with a few failures; each of them alone in a
        request of its own would cost as much as a full one.
        """
        if not self._retries:
            return NEVER
        due, _, message = self._retries[0]
        lingering = due + message.route.delivery.linger
        if message.accepted <= self.flush_until or lingering >= message.deadline:
            return due
        return lingering

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

    def next_deadline(self) -> float:
        """No waiting message expires before this."""
        deadline = self._resent_deadline
        for _, queue in self._queues():
            deadline = min(deadline, queue[0].deadline)
        return deadline

    def take(self, now: float) -> tuple[list[Message], Split | None]:
        """The messages of the next request, claimed for a worker; empty if nothing can go."""
        self.taken_size = None
        piece = self._take_piece()
        if piece is not None:
            return piece
        chunk = self._take_chunk(now)
        if chunk is not None:
            return [chunk], None
        if not self._retries and len(self.routes) == 1:
            whole = self._take_whole(self.routes[0].inbox)
            if whole is not None:
                return whole, None
        return self._take_each(now), None

    def _take_chunk(self, now: float) -> Message | None:
        """The oldest chunk, unless something older is due beside it; None if there is none."""
        while any(route.chunks for route in self.routes):
            chunks = min(
                (route.chunks for route in self.routes if route.chunks),
                key=lambda chunks: chunks[0].accepted,
            )
            chunk = chunks[0]
            if chunk.parts is not None:  # from here on each stands for itself
                parts = [part for part in chunk.parts if part._phase == PENDING]
                chunk.route.inbox.extendleft(reversed(parts))
                chunks.popleft()
                continue
            if self._is_due_before(chunk.accepted, now):
                return None
            chunks.popleft()
            with LOCK.rlock:
                if chunk._phase == PENDING:  # or it was cancelled
                    chunk._phase = RUNNING
                    self.taken_size = chunk.total
                    return chunk
        return None

    def _is_due_before(self, accepted: float, now: float) -> bool:
        """Whether a message that stands for itself is due, and older than ``accepted``."""
        if self._retry_due() <= now and self._retries[0][2].accepted < accepted:
            return True
        for route in self.routes:
            if inbox := route.inbox:
                since = inbox[0].accepted
                due = (
                    len(inbox) >= self.limits.entries
                    or since <= self.flush_until
                    or since + route.delivery.linger <= now
                )
                if due and since < accepted:
                    return True
        return False

    def _take_each(self, now: float) -> list[Message]:
        batch: list[Message] = []
        room = self.limits.bytes
        limit = self.limits.entries
        together = self.limits.together
        measure = self.measure
        with LOCK.rlock:
            while self._retries and self._retries[0][0] <= now and len(batch) < limit:
                message = self._retries[0][2]
                if message._phase == RUNNING:
                    size = measure(message.entry)
                    room -= size
                    alone = message.goes_alone or size > together
                    if batch and (room < 0 or alone):
                        return batch
                    batch.append(message)
                    limit = 1 if alone else limit
                heapq.heappop(self._retries)
            while len(batch) < limit and (inbox := self._oldest_inbox()) is not None:
                # the usual case in one tight loop: as much of this inbox as fits
                only = len(self.routes) == 1
                while inbox and len(batch) < limit:
                    message = inbox[0]
                    if message._phase == PENDING:
                        size = measure(message.entry)
                        room -= size
                        if batch and (room < 0 or size > together):
                            return batch
                        message._phase = RUNNING
                        batch.append(message)
                        if size > together:
                            limit = 1
                    inbox.popleft()
                    if not only:
                        break
        return batch

    def _take_whole(self, inbox: deque[Message]) -> list[Message] | None:
        """As many messages of an inbox as a request may have; None if they are too large together.

        The usual case, in few steps for each message.
        """
        taken = [inbox.popleft() for _ in range(min(self.limits.entries, len(inbox)))]
        with LOCK.rlock:
            live = [message for message in taken if message._phase == PENDING]
            size = self.measure_all([message.entry for message in live])
            if size > self.limits.bytes or (size > self.limits.together and self._has_large(live)):
                inbox.extendleft(reversed(taken))
                return None
            for message in live:
                message._phase = RUNNING
        self.taken_size = size
        return live

    def _has_large(self, messages: list[Message]) -> bool:
        return any(self.measure(each.entry) > self.limits.together for each in messages)

    # -- what comes back

    def take_back(self, answer: Answer) -> None:
        """A request has really come back: hold what is to be sent again until it is due."""
        for message, due in answer.retries:
            heapq.heappush(self._retries, (due, next(_order), message))
            self._resent_deadline = min(self._resent_deadline, message.deadline)
        self._take_back_pieces(answer)

    def _take_back_pieces(self, answer: Answer) -> None:
        for piece in answer.pieces:
            self._pieces.append((piece, answer.split))
            for message in piece:
                self._resent_deadline = min(self._resent_deadline, message.deadline)

    def expire(self, now: float) -> list[Message]:
        """Remove and return the waiting messages whose deadline has come."""
        expired = [*filter(is_live, _spread(self._expired_inboxes(now)))]
        if now >= self._resent_deadline:
            expired += self._expire_resent(now)
        return expired

    def evict_oldest(self, taken: dict[Message, None]) -> Message | None:
        """Remove and return the oldest message that was never sent, claimed; None without one.

        It is noted in ``taken`` before it goes.
        """
        with LOCK.rlock:
            while (queue := self._oldest_queue()) is not None:
                head: Message = queue[0]
                if type(head) is Chunk and head._phase == PENDING:  # one of its entries goes
                    head.apart_locked()
                for message in _spread([head]):
                    if message._phase == PENDING:
                        # No call in between, for Ctrl-C.
                        taken[message] = None
                        message._phase = RUNNING
                        if message is head:
                            queue.popleft()
                        return message
                queue.popleft()
        return None

    def drain(self) -> list[Message]:
        """Remove and return everything that waits; after the last request, or in place of it."""
        left = list(self._again())
        for route in self.routes:
            route.wake_at = 1  # who has a permit and no message here yet is to look after it
            for queue in (route.inbox, route.chunks):
                left += _emptied(queue)
        left = [*filter(is_live, _spread(left))]
        self._retries.clear()
        self._pieces.clear()
        self._resent_deadline = NEVER
        return left

    def waiting(self) -> Iterator[Message]:
        """Everything that waits here, in no order; some may have ended already."""
        for route in self.routes:
            yield from list(route.inbox)
            yield from _spread(list(route.chunks))
        for _, _, message in self._retries:
            yield message
        for messages, _ in self._pieces:
            yield from messages

    def oldest(self) -> float:
        """When the oldest waiting message was accepted; NEVER if none waits."""
        resent = (message.accepted for message in self._again() if is_live(message))
        return min(self.oldest_unsent(), min(resent, default=NEVER))

    def oldest_unsent(self) -> float:
        """The same for what no request has carried yet."""
        oldest = NEVER
        for _, queue in self._queues():
            while queue:
                head = queue[0]
                if any(map(is_live, _spread([head]))):
                    oldest = min(oldest, head.accepted)
                    break
                queue.popleft()
        return oldest

    # -- details

    def _queues(self) -> Iterator[tuple[Route, deque[Any]]]:
        """The ways into this lane that have something in them."""
        for route in self.routes:
            if route.inbox:
                yield route, route.inbox
            if route.chunks:
                yield route, route.chunks

    def _oldest_queue(self) -> deque[Any] | None:
        queues = [queue for _, queue in self._queues()]
        return min(queues, key=lambda queue: queue[0].accepted, default=None)

    def _oldest_inbox(self) -> deque[Message] | None:
        best: deque[Message] | None = None
        for route in self.routes:
            if route.inbox and (best is None or route.inbox[0].accepted < best[0].accepted):
                best = route.inbox
        return best

    def _expired_inboxes(self, now: float) -> Iterator[Message]:
        for _, queue in self._queues():
            while queue and queue[0].deadline <= now:
                yield queue.popleft()

    def _again(self) -> Iterator[Message]:
        for _, _, message in self._retries:
            yield message
        for messages, _ in self._pieces:
            yield from messages

    def _take_piece(self) -> tuple[list[Message], Split | None] | None:
        """The next piece of a split request, without what ended since; None if there is none."""
        for _ in range(len(self._pieces)):
            messages, split = self._pieces.popleft()
            if split is not None and not split.may_go:
                self._pieces.append((messages, split))
                continue
            live = [message for message in messages if is_live(message)]
            if len(live) < len(messages):
                self._let_go([message for message in messages if message not in live])
            if live:
                return live, split
            if split is not None:
                split.note_back()
        return None

    def _a_piece_may_go(self) -> bool:
        return any(split is None or split.may_go for _, split in self._pieces)

    def _let_go(self, messages: list[Message]) -> None:
        """Messages of a piece will not be sent again, whoever ended them."""

    def _expire_resent(self, now: float) -> list[Message]:
        # What has ended already goes too, or its deadline would be looked at for ever.
        expired = [message for _, _, message in self._retries if message.deadline <= now]
        if expired:
            self._retries = [item for item in self._retries if item[2].deadline > now]
            heapq.heapify(self._retries)
        expired += self._expire_pieces(now)
        self._resent_deadline = min((message.deadline for message in self._again()), default=NEVER)
        return [message for message in expired if is_live(message)]

    def _expire_pieces(self, now: float) -> list[Message]:
        expired: list[Message] = []
        kept: deque[tuple[list[Message], Split | None]] = deque()
        for messages, split in self._pieces:
            late = [message for message in messages if message.deadline <= now]
            expired += late
            left = [message for message in messages if message.deadline > now]
            if left:
                kept.append((left, split))
            elif split is not None:
                split.note_back()
        self._pieces = kept
        self._let_go(expired)
        return expired


def _emptied(queue: deque[Any]) -> list[Any]:
    """All that was in a queue; what callers append meanwhile is among it, or stays there."""
    return [queue.popleft() for _ in range(len(queue))]


def _spread(messages: Iterable[Message]) -> Iterator[Message]:
    """The same with the entries of a chunk that was taken apart where it stood in its place."""
    for message in messages:
        yield from message.parts or (message,)
