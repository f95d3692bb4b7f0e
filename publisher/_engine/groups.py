"""The message groups of an ordered lane. Pure."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator

from .message import Message, Route
from .state import PENDING, RUNNING, is_live

_NEVER = math.inf
_order = itertools.count()


class Group:
    """The waiting messages of one MessageGroupId, oldest first."""

    __slots__ = ("busy", "due", "key", "queue")

    def __init__(self, key: str) -> None:
        self.key = key
        self.queue: deque[Message] = deque()
        self.busy = False  # an entry of it is on the wire, or in a piece that goes next
        self.due = -_NEVER  # when its head, a retry, may go


class Groups:
    """The groups of which something waits or is on the wire.

    Each stands in ``runnable``, sleeps while its head backs off, or is busy.

    Attributes:
        runnable: may go, in turn. One in which nothing waits by then is forgotten when it is met.
        resent: heads that were sent before and wait to be sent again, by identity.
        resent_deadline: none of these expires before this.
    """

    __slots__ = ("_by_key", "_held", "resent", "resent_deadline", "runnable")

    def __init__(self) -> None:
        self._by_key: dict[str, Group] = {}
        self._held: list[tuple[float, int, Group]] = []  # the one that may go first in front
        self.runnable: deque[Group] = deque()
        self.resent: dict[int, Message] = {}
        self.resent_deadline = _NEVER

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Group]:
        return iter(self._by_key.values())

    def find(self, key: str) -> Group | None:
        return self._by_key.get(key)

    def has(self, key: str) -> bool:
        """Whether something of a group waits, or is on the wire."""
        group = self._by_key.get(key)
        return group is not None and (group.busy or self.head(group) is not None)

    def join(self, key: str, message: Message) -> None:
        """Have a message stand behind those of its group."""
        group = self._by_key.get(key)
        if group is None:
            group = self._by_key[key] = Group(key)
            self.runnable.append(group)
        group.queue.append(message)

    def put_back(self, key: str, message: Message, due: float) -> None:
        """One that was on the wire is to be sent again, before all others of its group."""
        group = self._by_key[key]
        group.queue.appendleft(message)
        group.due = due
        self.resent[id(message)] = message
        self.resent_deadline = min(self.resent_deadline, message.deadline)

    def waits(self, message: Message) -> bool:
        """Whether it is to be sent still, and nobody has taken it out."""
        phase = message._phase
        return phase == PENDING or (phase == RUNNING and id(message) in self.resent)

    def head(self, group: Group) -> Message | None:
        """The group's next message to send; what has ended or was taken out is passed over."""
        while group.queue:
            head = group.queue[0]
            if self.waits(head):
                return head
            gone = group.queue.popleft()
            if not is_live(gone):  # expired or evicted a moment ago, it needs its entry to be ended
                gone.entry = None
        return None

    def forget(self, group: Group) -> None:
        """Nothing of it waits, and it stands nowhere."""
        del self._by_key[group.key]

    def free(self, keys: Iterable[str]) -> None:
        """No entry of these groups is on the wire any more: the next one may go when it is due."""
        for key in keys:
            group = self._by_key[key]
            group.busy = False
            if not group.queue:
                self.forget(group)
            elif group.due > -_NEVER:
                heapq.heappush(self._held, (group.due, next(_order), group))
            else:
                self.runnable.append(group)

    def release(self, now: float) -> float:
        """Have those go that have backed off; returns when the next one may."""
        while self._held and self._held[0][0] <= now:
            self.runnable.append(heapq.heappop(self._held)[2])
        return self._held[0][0] if self._held else _NEVER

    def expire_resent(self, now: float) -> list[Message]:
        """Those that were sent before, and whose deadline has come."""
        if now < self.resent_deadline:
            return []
        late = [message for message in self.resent.values() if message.deadline <= now]
        for message in late:
            del self.resent[id(message)]
        left = (message.deadline for message in self.resent.values())
        self.resent_deadline = min(left, default=_NEVER)
        return late

    def clear(self) -> None:
        """Nothing is sent any more but what is on the wire."""
        self._by_key = {group.key: group for group in self if group.busy}
        for group in self:
            group.queue.clear()
        self.runnable.clear()
        self._held.clear()
        self.resent.clear()
        self.resent_deadline = _NEVER


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
