"""What an ordered lane does while messages of it stay in a store: none is overtaken. Pure.

Order is kept within a group, so each group is behind by itself, and the others go on. What is in
memory of a group is older than all of it that stays, but for what was offered again: that stands
there in its order.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from .groups import Groups
from .message import Message
from .state import RUNNING, is_live

_EVER = -math.inf  # whatever comes in was accepted after that


class Staying:
    """Whether what comes in of a group may be sent, or stays as well.

    Args:
        groups: of the lane.
        group_of: gives an entry's group.
        admit: has the lane look at what came in.

    Attributes:
        evicted: what callers took out that stays, until the lane's next look: it is not for them to
            move messages about, for Ctrl-C could hit it there.
        fresh: by group, what is to be taken out, as it stands behind what stays.
        later: by group, what is kept by no store, and goes when all that was accepted before it
            and stays has gone.
    """

    __slots__ = (
        "_admit",
        "_behind",
        "_group_of",
        "_groups",
        "_halted",
        "evicted",
        "fresh",
        "later",
    )

    def __init__(
        self, groups: Groups, group_of: Callable[[Any], str], admit: Callable[[], None]
    ) -> None:
        self._groups = groups
        self._group_of = group_of
        self._admit = admit
        #: Groups of which something stays: it goes before whatever was accepted after the time
        #: that stands here. What was accepted before may have not been looked at yet. Callers look
        #: here too.
        self._behind: dict[str, float] = {}
        #: Those of which something stays that was in memory. What was offered of them by then may
        #: have to stand behind that: it stays as well, until they are offered anew.
        self._halted: set[str] = set()
        self.evicted: list[Message] = []
        self.fresh: dict[str, list[Message]] = {}
        self.later: dict[str, deque[Message]] = {}

    # -- asked by any thread

    def __len__(self) -> int:
        """Of how many groups something stays."""
        return len(self._behind)

    @property
    def behind(self) -> list[str]:
        """The groups of which something stays."""
        return list(self._behind)

    @property
    def held_back(self) -> int:
        """How many messages wait until what stays before them has gone; some end meanwhile."""
        later = [message for some in list(self.later.values()) for message in list(some)]
        return sum(map(is_live, later))

    def is_behind(self, group: str) -> bool:
        """Whether what stays of a group goes before whatever comes in of it."""
        return group in self._behind

    def is_behind_with(self, entry: Any) -> bool:
        """Whether what stays of an entry's group goes before it."""
        return bool(self._behind) and self._group_of(entry) in self._behind

    # -- the lane's; the caller holds the tracker's lock

    def note(self, messages: Iterable[Message]) -> None:
        """These were in memory and stay: what stands behind them in their groups does, too."""
        stays: dict[str, set[Message]] = {}
        for message in messages:
            stays.setdefault(self._group_of(message.entry), set()).add(message)
        for key, those in stays.items():
            self._halted.add(key)
            self._behind[key] = _EVER
            group = self._groups.find(key)
            if group is None:
                continue
            # Of one that was on the wire, or evicted from an inbox, nothing is left here; all that
            # was never sent is behind it.
            places = (place for place, message in enumerate(group.queue) if message in those)
            resent = sum(id(message) in self._groups.resent for message in list(group.queue)[:1])
            first = next(places, resent)
            queue, group.queue = group.queue, deque(itertools.islice(group.queue, first))
            unkept: list[Message] = []
            for message in filter(self._groups.waits, itertools.islice(queue, first, None)):
                if message.kept is None:
                    unkept.append(message)
                else:
                    self.fresh.setdefault(key, []).append(message)
            if unkept:  # what is there came when these were waiting
                self._later(key).extendleft(reversed(unkept))

    def note_evicted(self) -> None:
        """As :meth:`note`, for what callers took out; before what came in is looked at."""
        if self.evicted:
            evicted, self.evicted = self.evicted, []
            self.note(evicted)

    def fall_behind(self, message: Message) -> None:
        """A message that did not come in stays: what is accepted after it stands behind it."""
        key = self._group_of(message.entry)
        self._behind[key] = min(self._behind.get(key, math.inf), message.accepted)

    def keeps_out(self, group: str, message: Message) -> bool:
        """Whether a message that comes in stays; if so, it is taken out at the next look."""
        if not self._goes_before(group, message) or message.kept is None:
            return False
        if message.replayed and group not in self._halted:
            return False
        self.fresh.setdefault(group, []).append(message)
        return True

    def holds_back(self, group: str, message: Message) -> bool:
        """Whether a message that comes in waits until what stays of its group has gone."""
        if not self._goes_before(group, message) or message.kept is not None:
            return False
        self._later(group).append(message)
        return True

    def let_before(self, group: str, message: Message) -> None:
        """A message joins its group: what waits and was accepted before it goes first."""
        later = self.later.get(group)
        if later is None or not message.replayed:
            return
        while later and later[0].accepted < message.since:
            self._groups.join(group, later.popleft())
        if not later:
            del self.later[group]

    def taken_out_locked(self) -> list[Message]:
        """What is to stay, claimed; the caller holds ``LOCK``."""
        fresh, self.fresh = self.fresh, {}
        found = []
        for message in itertools.chain.from_iterable(fresh.values()):
            if self._groups.waits(message):  # or somebody else has it
                message._phase = RUNNING
                self._groups.resent.pop(id(message), None)
                found.append(message)
        return found

    def messages(self) -> Iterator[Message]:
        """All that waits here; some may have ended already."""
        for some in (*self.fresh.values(), *self.later.values()):
            yield from some

    def clear(self) -> None:
        """Forget what waits."""
        self.fresh.clear()
        self.later.clear()

    # -- the tracker's, for whoever offers what stays

    def begin_offering(
        self, groups: Collection[str], leaving: Collection[str], *, here: bool
    ) -> list[str]:
        """Of which of these groups the messages that stay may be offered now.

        Args:
            groups: their names.
            leaving: those of which something was taken out, and the store may not know yet.
            here: to this lane, where they stand behind what waits; to another one they are offered
                when nothing of their group is here.
        """
        begun = [key for key in self._known(groups, leaving) if here or not self._groups.has(key)]
        self._halted.difference_update(begun)
        self._behind.update(dict.fromkeys(begun, _EVER))
        return begun

    def let_through(self, groups: Collection[str], leaving: Collection[str]) -> list[str]:
        """All that stays of these groups was offered: new messages go their usual way.

        Returns those of which it is so; of the others something more is to stay.
        """
        through = self._known(groups, leaving)
        for key in through:
            self._halted.discard(key)
            self._behind.pop(key, None)
            for message in self.later.pop(key, ()):
                self._groups.join(key, message)
        return through

    def _known(self, groups: Collection[str], leaving: Collection[str]) -> list[str]:
        """Those of which the store knows all that stays."""
        self._admit()  # what came in before stands where it belongs
        return [key for key in groups if key not in self.fresh and key not in leaving]

    def _goes_before(self, group: str, message: Message) -> bool:
        """Whether what stays of a group goes before a message that comes in of it."""
        since = self._behind.get(group)
        return since is not None and message.accepted > since

    def _later(self, key: str) -> deque[Message]:
        later = self.later.setdefault(key, deque())
        while later and not self._groups.waits(later[0]):  # it has ended
            later.popleft()
        return later
