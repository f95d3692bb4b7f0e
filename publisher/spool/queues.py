"""What stayed and waits to be offered again: read ahead, within bounds. Pure.

There is a queue for each destination, and in it one for each message group where the destination
keeps their order. Groups are told apart when their records are read.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .._store.record import SHIFT
from .sources import Source
from .waiting import Group, Queue

if TYPE_CHECKING:
    from .._store.reading import Kept

#: So many records are known by their place at most; what is beyond is read when those are gone.
_AHEAD = 50_000
#: The same, with those of destinations and groups of which nothing is taken now: these do not keep
#: others waiting.
_FAR = 1_000_000
_GROUP = 3  # so many records take the memory of what is noted of a group
_AT_ONCE = 1_000  # read in one go
#: So much of what others left is usually read at one look, before some of it is offered.
READS = 5_000
_ROUNDS = 1_000  # of one source at one look, at most


Shares = Sequence[tuple[Group, int]]  # groups, and how many records of each


class Queues:
    """What stayed of all destinations, as far as it was read.

    Args:
        grouping: for what was written of a destination, ``group_of`` of a :class:`Queue`.
        tell_unread: of a source, or a queue, of which something cannot be read now.
    """

    def __init__(
        self,
        grouping: Callable[[bytes], Callable[[bytes], str] | None],
        tell_unread: Callable[[Any, OSError], None],
    ) -> None:
        #: Of so many bytes of what was read the bodies are in memory; the others are read again.
        self.bodies = 8 << 20
        self.reads = READS  # so much of what others left at one look
        self._grouping = grouping
        self._tell_unread = tell_unread
        self._queues: dict[bytes, Queue] = {}
        self._out: dict[Kept, Group] = {}  # what was taken out of a group
        self._bodies = 0  # bytes
        self.waiting = 0  # records, in all queues
        self._oldest: float | None = None
        #: Whether the sources had no more at the last look, or could not be read.
        self.has_all = False
        self.unread: WeakSet[Source] = WeakSet()  # those of others that could not
        self.may_go_on = False  # whether that ended although there was room
        self.own_is_read = True  # all that stays of this process, at the last look
        self.taken = 0  # records that were taken from the sources

    def __iter__(self) -> Iterator[Queue]:
        return iter(list(self._queues.values()))

    def get(self, where: bytes) -> Queue | None:
        """The queue of what was written of a destination."""
        return self._queues.get(where)

    def forget_empty(self) -> None:
        """Let go of destinations of which nothing waits, and nothing was offered and not ended."""
        for where, queue in list(self._queues.items()):
            if not queue.groups:
                del self._queues[where]

    @property
    def oldest(self) -> float | None:
        """When the oldest record was accepted, seconds since the epoch; None if there is none.

        As it was at the last look, when all were noted anew.
        """
        return self._oldest if self.waiting else None

    def note_age(self, group: Group | None) -> None:
        """Note when the first record of a group was accepted; None: begin anew."""
        if group is None:
            self._oldest = None
        elif group.kept:
            self._oldest = min(self._oldest or math.inf, group.kept[0].when)

    @property
    def offered(self) -> int:
        """How many records are in memory, offered and not heard of."""
        return len(self._out)

    @property
    def is_stuck(self) -> bool:
        """Whether nothing of what waits is taken now."""
        return all(q.asleep or q.pause or not q.near for q in self if q.waiting)

    # -- reading

    def read(self, sources: Sequence[Source], own: Source | None) -> bool:
        """Read on; whether there was room for all that could be read.

        Of dead owners it is read as there is room, for it comes in its order. What this process
        wrote is read as a whole: of an ordered destination it comes as requests return.
        """
        is_near = self.has_all = True
        left = self.reads
        for source in sources:
            try:
                while is_near and (count := self._read(source)):
                    left -= count
                    is_near = left > 0 and self._has_room()
                self.unread.discard(source)
            except OSError as error:  # the next look tries again
                self._tell_unread(source, error)
                self.unread.add(source)
        self.may_go_on = left <= 0 and self._has_room()
        self.has_all = self.has_all and is_near
        self.own_is_read = own is None
        if own is not None:
            try:
                for _ in range(_ROUNDS):
                    if not self._read(own):
                        self.own_is_read = True
                        break
            except OSError as error:
                self._tell_unread(own, error)
            self.has_all = self.has_all and self.own_is_read
        return is_near

    def _has_room(self) -> bool:
        """Whether more of what others left may be read."""
        near = sum(queue.near for queue in self if not (queue.asleep or queue.pause))
        far = self.waiting + _GROUP * sum(len(queue.groups) for queue in self)
        return near < _AHEAD and far < _FAR

    def _read(self, source: Source) -> int:
        """Read some; how many there were. Between sources there is no order."""
        kepts = source.take(_AT_ONCE)
        self.taken += len(kepts)
        by_where: dict[bytes, list[Kept]] = {}
        for kept in kepts:
            by_where.setdefault(kept.where, []).append(kept)
        for where, some in by_where.items():
            some.sort(key=_sequence)  # as most of them are already
            self._add(where, some)
        room = self.bodies - self._bodies
        for kept in kepts:
            if room > 0:
                room -= len(kept.entry)
            else:
                kept.entry = b""
        self._bodies = self.bodies - room
        return len(kepts)

    def _add(self, where: bytes, kepts: list[Kept]) -> None:
        """Have records of one destination wait, each in its group."""
        queue = self._queues.get(where)
        if queue is None:
            queue = self._queues[where] = Queue(where, self._grouping(where))
        by_group = {"": kepts}
        if queue.group_of is not None:
            by_group = {}
            for kept in kepts:
                by_group.setdefault(queue.group_of(kept.entry), []).append(kept)
        for key, some in by_group.items():
            group = queue.find(key)
            is_late = bool(group.kept) and _order_of(some[0]) < _order_of(group.kept[-1])
            group.kept.extend(some)
            if is_late:
                group.kept = deque(sorted(group.kept, key=_order_of))
            self._count(group, len(some), 0)
            self.note_age(group)

    # -- sources that are put down

    def moving(self) -> set[Source]:
        """The sources of which something was offered and not heard of, or may be offered now."""
        moving = {kept.source for kept in self._out}
        for queue in self:
            if not (queue.asleep or queue.pause):
                for group in queue.groups.values():
                    if not group.pause:
                        moving.update(kept.source for kept in group.kept)
        return moving

    def forget(self, sources: set[Source]) -> None:
        """Let go of what was read of these and waits; it stays in their files."""
        for queue in self:
            for group in list(queue.groups.values()):
                gone = [kept for kept in group.kept if kept.source in sources]
                if gone:
                    group.kept = deque(kept for kept in group.kept if kept.source not in sources)
                    self._bodies -= sum(len(kept.entry) for kept in gone)
                    self._count(group, -len(gone), 0)

    # -- out of a group, and back

    def take_heads(self, queue: Queue, shares: Shares) -> list[Kept]:
        """Take the first ones out of groups, with their bodies.

        Those whose bodies were let go are read again, one segment's at a time.

        Args:
            queue: that the groups are of.
            shares: the groups, and how many of each.

        Raises:
            OSError: some cannot be read now; all were given back.
        """
        heads = [kept for group, most in shares for kept in self.take(group, most)]
        again: dict[tuple[Source, int], list[Kept]] = {}
        for kept in heads:
            if not kept.entry:
                again.setdefault((kept.source, kept.sequence >> SHIFT), []).append(kept)
        lost: set[Kept] = set()
        try:
            for (source, _), some in again.items():
                found = {kept.sequence: kept.entry for kept in source.read_again(some)}
                lost.update(kept for kept in some if kept.sequence not in found)
                for kept in some:
                    kept.entry = found.get(kept.sequence, b"")
        except OSError as error:
            self._tell_unread(queue, error)
            self.give_back([kept for kept in heads if kept not in lost])
            raise
        finally:
            self.done(lost)
        return [kept for kept in heads if kept not in lost]

    def take(self, group: Group, most: int) -> list[Kept]:
        """Take the first ones out of a group, with such bodies as are in memory."""
        heads = [group.kept.popleft() for _ in range(min(most, len(group.kept)))]
        self._out.update(dict.fromkeys(heads, group))
        self._bodies -= sum(len(kept.entry) for kept in heads)
        self._count(group, -len(heads), len(heads))
        return heads

    def give_back(self, kepts: Sequence[Kept]) -> None:
        """Those that were taken out last go back to their places."""
        for kept in reversed(kepts):
            group = self._out.pop(kept)
            group.kept.appendleft(kept)
            self._bodies += len(kept.entry)
            self._count(group, 1, -1)

    def put_back(self, kepts: Iterable[Kept]) -> list[Group]:
        """Those that were offered, and stay, wait again in their places; returns their groups."""
        back: dict[Group, list[Kept]] = {}
        for kept in kepts:
            back.setdefault(self._out.pop(kept), []).append(kept)
        for group, some in back.items():
            group.kept = deque(sorted([*some, *group.kept], key=_order_of))
            self._count(group, len(some), -len(some))
        return list(back)

    def done(self, kepts: Iterable[Kept]) -> Iterable[Group]:
        """Those that were taken out are not to be offered again; returns their groups."""
        groups = Counter(map(self._out.pop, kepts))
        for group, count in groups.items():
            self._count(group, 0, -count)
        return groups

    def _count(self, group: Group, waiting: int, out: int) -> None:
        """So many records more of a group wait, and are out."""
        queue = group.queue
        self.waiting += waiting
        queue.waiting += waiting
        queue.out += out
        group.out += out
        queue.note(group)


_sequence = attrgetter("sequence")  # the order within a source


def _order_of(kept: Kept) -> tuple[int, int]:
    return kept.source.rank, kept.sequence
