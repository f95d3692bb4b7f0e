"""The lane of what needs no order: a message travels in whichever request has room for it. Pure.

Beside the inboxes it has the chunks of ``put_records``. A chunk is the entries of one call that
fill a request of their own, and it stands for them as one message while they share one fate. As
soon as they do not, it is taken apart, and its entries go on as messages in its place.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .._account.ledger import Counters
from .contract import Limits
from .lane import NEVER, Lane
from .message import Chunk, Message, Owner, Route
from .resend import Pieces, Retries, oldest_live
from .split import Remainder, Split
from .state import LOCK, PENDING, RUNNING, is_live


class UnorderedLane(Lane):
    """A lane that keeps no order; see :class:`Lane`.

    ``measure_all`` gives the bytes of several entries together, where the service has a quicker way
    than one by one.
    """

    def __init__(
        self,
        limits: Limits,
        measure: Callable[[Any], int],
        counters: Counters,
        core: Owner,
        target: Any,
        measure_all: Callable[[Sequence[Any]], int] | None = None,
    ) -> None:
        super().__init__(limits, measure, counters, core, target)
        self._measure_all = measure_all or (lambda entries: sum(map(measure, entries)))
        self._retries = Retries()
        self._pieces = Pieces()

    def is_idle(self) -> bool:
        return not self.in_flight and self.is_empty()

    def is_empty(self) -> bool:
        return not (
            self._retries.heap
            or self._pieces.queue
            or any(route.inbox or route.chunks for route in self.routes)
        )

    def groups_of(self, messages: list[Message]) -> list[str] | None:
        return None

    def due(self, now: float) -> float:
        if self._pieces.queue and self._pieces.may_go():
            return now
        if any(route.chunks for route in self.routes):
            return now
        return self._due_alone(now)

    def _due_alone(self, now: float) -> float:
        """When the first message that stands for itself is to go; see :meth:`due`."""
        due = self._retries.due(self.flush_until) if self._retries.heap else NEVER
        for route in self.routes:
            if inbox := route.inbox:
                if len(inbox) >= self.limits.entries or inbox[0].accepted <= self.flush_until:
                    return now
                due = min(due, inbox[0].accepted + route.delivery.linger)
        return due

    def next_deadline(self) -> float:
        deadline = min(self._retries.deadline, self._pieces.deadline)
        for _, queue in self._queues():
            deadline = min(deadline, queue[0].deadline)
        return deadline

    def take(self, now: float) -> tuple[list[Message], Split | None]:
        self.taken_size = None
        if self._pieces.queue and (piece := self._pieces.take()) is not None:
            return piece
        chunk = self._take_chunk(now)
        if chunk is not None:
            return [chunk], None
        if not self._retries.heap and len(self.routes) == 1:
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
        retries = self._retries
        if retries.due(self.flush_until) <= now and retries.heap[0][2].accepted < accepted:
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
        together = self.limits.together
        measure = self.measure
        with LOCK.rlock:
            batch, room, limit = self._retries.take_locked(now, self.limits, measure)
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
            size = self._measure_all([message.entry for message in live])
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

    def take_back(self, groups: list[str] | None, remainder: Remainder) -> None:
        for message, due in remainder.retries:
            self._retries.push(message, due)
        if remainder.pieces:
            self._pieces.push(remainder)

    def expire(self, now: float) -> list[Message]:
        expired = [*filter(is_live, _spread(self._expired_inboxes(now)))]
        for resent in (self._retries, self._pieces):
            if now >= resent.deadline:
                expired += filter(is_live, resent.expire(now))
        return expired

    def evict_oldest(self, taken: dict[Message, None]) -> Message | None:
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
        left = [*self._retries, *self._pieces]
        for route in self.routes:
            route.wake_at = 1  # who has a permit and no message here yet is to look after it
            for queue in (route.inbox, route.chunks):
                left += _emptied(queue)
        left = [*filter(is_live, _spread(left))]
        self._retries.clear()
        self._pieces.clear()
        return left

    def waiting(self) -> Iterator[Message]:
        for route in self.routes:
            yield from list(route.inbox)
            yield from _spread(list(route.chunks))
        yield from self._retries
        yield from self._pieces

    def oldest(self) -> float:
        return min(self.oldest_unsent(), oldest_live(itertools.chain(self._retries, self._pieces)))

    def oldest_unsent(self) -> float:
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

    def _expired_inboxes(self, now: float) -> Iterator[Message]:
        for _, queue in self._queues():
            while queue and queue[0].deadline <= now:
                yield queue.popleft()


def _emptied(queue: deque[Any]) -> list[Any]:
    """All that was in a queue; what callers append meanwhile is among it, or stays there."""
    return [queue.popleft() for _ in range(len(queue))]


def _spread(messages: Iterable[Message]) -> Iterator[Message]:
    """These messages, a chunk that was taken apart being replaced by those of its entries."""
    for message in messages:
        yield from message.parts or (message,)
