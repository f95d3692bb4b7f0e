"""What is sent again: retries when their backoff is over, and the pieces of split requests.

Pure: no thread, no clock, no network; time is an argument. A lane has what it needs of these, and
calls them under the tracker's lock.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .contract import Limits
from .lane import NEVER
from .message import Message
from .split import Remainder, Split
from .state import RUNNING, is_live

_order = itertools.count()


class Retries:
    """Messages that wait for their next try.

    Attributes:
        heap: when each is due, its place among equals, and the message. The lane looks whether
            there are any: usually there are none, and that costs no call.
        deadline: none of them expires before this.
    """

    __slots__ = ("deadline", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Message]] = []
        self.deadline = NEVER

    def __iter__(self) -> Iterator[Message]:
        for _, _, message in self.heap:
            yield message

    def push(self, message: Message, due: float) -> None:
        heapq.heappush(self.heap, (due, next(_order), message))
        self.deadline = min(self.deadline, message.deadline)

    def due(self, flush_until: float) -> float:
        """When the first one goes: its backoff over, it waits for company like a new message.

        A throttled destination answers every request with a few failures; each of them alone in a
        request of its own would cost as much as a full one.
        """
        if not self.heap:
            return NEVER
        due, _, message = self.heap[0]
        lingering = due + message.route.delivery.linger
        if message.accepted <= flush_until or lingering >= message.deadline:
            return due
        return lingering

    def take_locked(
        self, now: float, limits: Limits, measure: Callable[[Any], int]
    ) -> tuple[list[Message], int, int]:
        """As many as a request may have of those whose backoff is over.

        The caller holds ``LOCK``.

        Returns:
            them, the bytes that are left for others, and how many messages there may be in all.
        """
        batch: list[Message] = []
        heap, room, limit = self.heap, limits.bytes, limits.entries
        while heap and heap[0][0] <= now and len(batch) < limit:
            message = heap[0][2]
            if message._phase == RUNNING:
                size = measure(message.entry)
                room -= size
                alone = message.goes_alone or size > limits.together
                if batch and (room < 0 or alone):
                    return batch, room, len(batch)
                batch.append(message)
                limit = 1 if alone else limit
            heapq.heappop(heap)
        return batch, room, limit

    def expire(self, now: float) -> list[Message]:
        """Remove and return those whose deadline has come.

        What has ended already goes too, or its deadline would be looked at for ever.
        """
        expired = [message for message in self if message.deadline <= now]
        if expired:
            self.heap = [item for item in self.heap if item[2].deadline > now]
            heapq.heapify(self.heap)
        self.deadline = min((message.deadline for message in self), default=NEVER)
        return expired

    def clear(self) -> None:
        self.heap.clear()
        self.deadline = NEVER


class Pieces:
    """The parts of rejected requests, each to go alone and at once.

    Attributes:
        queue: each with what it shares with the other pieces of its request, the next one first.
            The lane looks whether there are any: usually there are none, and that costs no call.
        deadline: none of their messages expires before this.
    """

    __slots__ = ("deadline", "queue")

    def __init__(self) -> None:
        self.queue: deque[tuple[list[Message], Split | None]] = deque()
        self.deadline = NEVER

    def __iter__(self) -> Iterator[Message]:
        for messages, _ in self.queue:
            yield from messages

    def push(self, remainder: Remainder) -> None:
        for piece in remainder.pieces:
            self.queue.append((piece, remainder.split))
            for message in piece:
                self.deadline = min(self.deadline, message.deadline)

    def may_go(self) -> bool:
        """Whether one of them may be sent."""
        return any(split is None or split.may_go for _, split in self.queue)

    def take(
        self, let_go: Callable[[list[Message]], object] | None = None
    ) -> tuple[list[Message], Split | None] | None:
        """The next one that may be sent, without what ended since; None if there is none.

        Args:
            let_go: told which messages have ended and will not be sent again.
        """
        for _ in range(len(self.queue)):
            messages, split = self.queue.popleft()
            if split is not None and not split.may_go:
                self.queue.append((messages, split))
                continue
            live = [message for message in messages if is_live(message)]
            if let_go is not None and len(live) < len(messages):
                let_go([message for message in messages if message not in live])
            if live:
                return live, split
            if split is not None:
                split.note_back()
        return None

    def expire(self, now: float) -> list[Message]:
        """Remove and return the messages whose deadline has come, those that have ended too."""
        expired: list[Message] = []
        kept: deque[tuple[list[Message], Split | None]] = deque()
        for messages, split in self.queue:
            late = [message for message in messages if message.deadline <= now]
            expired += late
            left = [message for message in messages if message.deadline > now]
            if left:
                kept.append((left, split))
            elif split is not None:
                split.note_back()
        self.queue = kept
        self.deadline = min((message.deadline for message in self), default=NEVER)
        return expired

    def clear(self) -> None:
        self.queue.clear()
        self.deadline = NEVER


def oldest_live(messages: Iterable[Message]) -> float:
    """When the oldest of these that have not ended was accepted; NEVER if there is none."""
    return min((message.accepted for message in messages if is_live(message)), default=NEVER)
