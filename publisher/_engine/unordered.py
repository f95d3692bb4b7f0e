"""The lane of what needs no order: a message travels in whichever request has room for it. Pure.

Beside the inboxes it has the chunks of ``put_records``. A chunk is the entries of one call that
fill a request of their own, and it stands for them as one message while they share one fate. As
soon as they do not, it is taken apart, and its entries go on as messages in its place.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from .lane import NEVER, Lane
from .message import Chunk, Message, Route
from .request import Answer, Split
from .state import LOCK, PENDING, RUNNING, is_live

_order = itertools.count()


class UnorderedLane(Lane):
    """A lane that keeps no order; see :class:`Lane`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._retries: list[tuple[float, int, Message]] = []  # heap: due, order, message

    def is_idle(self) -> bool:
        return not self.in_flight and self.is_empty()

    def is_empty(self) -> bool:
        return not (
            self._retries
            or self._pieces
            or any(route.inbox or route.chunks for route in self.routes)
        )

    def groups_of(self, messages: list[Message]) -> list[str] | None:
        return None

    def due(self, now: float) -> float:
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

    def next_deadline(self) -> float:
        deadline = self._resent_deadline
        for _, queue in self._queues():
            deadline = min(deadline, queue[0].deadline)
        return deadline

    def take(self, now: float) -> tuple[list[Message], Split | None]:
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
        for message, due in answer.retries:
            heapq.heappush(self._retries, (due, next(_order), message))
            self._resent_deadline = min(self._resent_deadline, message.deadline)
        self._take_back_pieces(answer)

    def expire(self, now: float) -> list[Message]:
        expired = [*filter(is_live, _spread(self._expired_inboxes(now)))]
        if now >= self._resent_deadline:
            expired += self._expire_resent(now)
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
        for route in self.routes:
            yield from list(route.inbox)
            yield from _spread(list(route.chunks))
        for _, _, message in self._retries:
            yield message
        for messages, _ in self._pieces:
            yield from messages

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

    def _again(self) -> Iterator[Message]:
        for _, _, message in self._retries:
            yield message
        for messages, _ in self._pieces:
            yield from messages

    def _let_go(self, messages: list[Message]) -> None:
        pass

    def _expire_resent(self, now: float) -> list[Message]:
        # What has ended already goes too, or its deadline would be looked at for ever.
        expired = [message for _, _, message in self._retries if message.deadline <= now]
        if expired:
            self._retries = [item for item in self._retries if item[2].deadline > now]
            heapq.heapify(self._retries)
        expired += self._expire_pieces(now)
        self._resent_deadline = min((message.deadline for message in self._again()), default=NEVER)
        return [message for message in expired if is_live(message)]


def _emptied(queue: deque[Any]) -> list[Any]:
    """All that was in a queue; what callers append meanwhile is among it, or stays there."""
    return [queue.popleft() for _ in range(len(queue))]


def _spread(messages: Iterable[Message]) -> Iterator[Message]:
    """The same with the entries of a chunk that was taken apart where it stood in its place."""
    for message in messages:
        yield from message.parts or (message,)
