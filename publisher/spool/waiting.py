"""What stayed of one destination, by message group where it keeps their order. Pure.

Groups do not wait for each other. Nothing here looks at all of them at each turn, for there may be
as many as records.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._store.reading import Kept

#: Seconds for which what came back is left alone: the first time, and at most.
_FIRST, LONGEST = 1.0, 30.0
_DEEP = 1_000  # records of one group that keep others from being read, at most

_order = itertools.count()


class Pause:
    """For how long what came back is left alone."""

    __slots__ = ("pause", "until")

    def __init__(self) -> None:
        self.pause = 0.0  # seconds; 0 while what is offered is taken
        self.until = 0.0

    def leave_alone(self, now: float) -> None:
        """It took nothing. What comes back meanwhile was offered before."""
        if now >= self.until:
            self.pause = min(max(self.pause * 2, _FIRST), LONGEST)
            self.until = now + self.pause

    def go_on(self) -> None:
        """Something of it has ended."""
        self.pause = self.until = 0.0


class Group(Pause):
    """What stayed of one message group, or of a destination that keeps no order, in its order."""

    __slots__ = ("kept", "key", "near", "out", "queue", "stands")

    def __init__(self, queue: Queue, key: str) -> None:
        super().__init__()
        self.queue = queue
        self.key = key
        self.kept: deque[Kept] = deque()
        self.out = 0  # records that were taken out, and have neither ended nor come back
        self.near = 0  # records that keep others from being read
        self.stands = False  # it has a place in its queue


class Queue(Pause):
    """What stayed of one destination.

    Args:
        where: what was written of it.
        group_of: an entry's group, as it is on disk; None where the destination keeps no order.
    """

    __slots__ = (
        "_again",
        "_ready",
        "_sleeping",
        "asleep",
        "ended",
        "group_of",
        "groups",
        "near",
        "out",
        "tried",
        "trying",
        "waiting",
        "where",
    )

    def __init__(self, where: bytes, group_of: Callable[[bytes], str] | None) -> None:
        super().__init__()
        self.where = where
        self.group_of = group_of
        self.groups: dict[str, Group] = {}
        self.waiting = 0  # records
        self.out = 0  # as of a group
        self.near = 0  # as of a group
        self.ended = False  # something has, since the last time that something came back
        self.asleep = False  # there is no way to it from here,
        self.tried = False  # as was seen since the last call of wake_up()
        self.trying: set[Group] = set()  # came back, and are in memory again
        # Groups of which something may be taken out; what is untrue of one by then is seen later.
        self._ready: deque[Group] = deque()
        self._again: deque[Group] = deque()  # that came back, and may be tried again
        self._sleeping: list[tuple[float, int, Group]] = []  # the first one to be woken in front

    def find(self, key: str) -> Group:
        """A group by its name; it is made if there is none."""
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(self, key)
        return group

    @property
    def wakes_at(self) -> float:
        """When the first group that sleeps is to be looked at."""
        return self._sleeping[0][0] if self._sleeping else math.inf

    def note(self, group: Group) -> None:
        """Something of a group has changed: what it counts for, and where it stands."""
        limit = _DEEP if self.group_of else len(group.kept)
        near = 0 if group.pause else min(len(group.kept), limit)
        self.near += near - group.near
        group.near = near
        if group.out and group.pause:
            self.trying.add(group)
        else:
            self.trying.discard(group)
        if group.kept and not group.stands:
            self._line_up(group)
        elif not (group.kept or group.out):
            self.groups.pop(group.key, None)

    def sleep(self, group: Group, until: float) -> None:
        """Have a group wait that stands nowhere."""
        group.stands = True
        heapq.heappush(self._sleeping, (until, next(_order), group))

    def choose(self, most: int, tries: int, each: int, now: float) -> list[Group]:
        """Groups of which something may be offered, in turn; they stand nowhere from now on.

        Args:
            most: how many.
            tries: how many that came back may be in memory; the others go before them.
            each: how many records of one group may be.
            now: the core's clock.
        """
        while self._sleeping and self._sleeping[0][0] <= now:
            self._line_up(heapq.heappop(self._sleeping)[2])
        chosen: list[Group] = []
        while self._ready and len(chosen) < most:
            group = self._ready.popleft()
            group.stands = False
            if group.pause:
                self._line_up(group)
            elif group.kept and group.out < each:  # or it is noted when something has come back
                chosen.append(group)
        tries -= len(self.trying)
        while self._again and len(chosen) < most and tries > 0:
            group = self._again.popleft()
            group.stands = False
            if group.until > now:
                self.sleep(group, group.until)
            elif group.kept and not group.out:
                chosen.append(group)
                tries -= 1
        return chosen

    def _line_up(self, group: Group) -> None:
        group.stands = True
        (self._again if group.pause else self._ready).append(group)
