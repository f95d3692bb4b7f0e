"""The message groups of an ordered lane. Pure."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator

from .lane import NEVER
from .message import Message, Route
from .state import PENDING

_order = itertools.count()


class Group:
    """The waiting messages of one MessageGroupId, oldest first."""

    __slots__ = ("busy", "due", "key", "queue")

    def __init__(self, key: str) -> None:
        self.key = key
        self.queue: deque[Message] = deque()
        self.busy = False  # an entry of it is on the wire, or in a piece that goes next
        self.due = -NEVER  # when its head, a retry, may go


class Held:
    """Groups whose head backs off, the one that may go first in front."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Group]] = []

    @property
    def due(self) -> float:
        """When the first of them may go."""
        return self._heap[0][0] if self._heap else NEVER

    def push(self, group: Group) -> None:
        heapq.heappush(self._heap, (group.due, next(_order), group))

    def release(self, now: float) -> Iterator[Group]:
        """Remove those that may go."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]

    def forget_empty(self) -> None:
        """Remove those in which nothing waits."""
        self._heap = [each for each in self._heap if each[2].queue]
        heapq.heapify(self._heap)

    def clear(self) -> None:
        self._heap.clear()


def take_kept(
    groups: dict[str, Group], resent: dict[int, Message], later: deque[Message]
) -> list[Message]:
    """Remove and return what a store keeps of these groups; the caller holds ``LOCK``.

    Args:
        groups: by their key; those that are left empty are removed, but for busy ones.
        resent: what was sent before and waits to be sent again, by identity.
        later: gets what no store keeps.
    """
    taken: list[Message] = []
    unkept: list[Message] = []
    for group in list(groups.values()):
        left: deque[Message] = deque()
        for message in group.queue:
            if message.kept is None and (message._phase == PENDING or id(message) in resent):
                unkept.append(message)
            elif message.kept is None:
                left.append(message)
            # What somebody else took out to end it stands here still.
            elif message._phase == PENDING or resent.pop(id(message), None) is not None:
                taken.append(message)
        group.queue, group.due = left, -NEVER
        if not left and not group.busy:
            del groups[group.key]
    later.extendleft(reversed(unkept))  # what is there came when these were waiting
    return taken


def trim(backlog: deque[Message]) -> None:
    """Forget what was sent, or has ended, at the head of a queue of unsent messages."""
    while backlog and backlog[0]._phase != PENDING:
        backlog.popleft()


def unsent(routes: Iterable[Route]) -> Iterator[deque[Message]]:
    """Each way in's queue of unsent messages that has the oldest."""
    for route in routes:
        for queue in (route.backlog, route.inbox):
            trim(queue)
            if queue:
                yield queue
                break
