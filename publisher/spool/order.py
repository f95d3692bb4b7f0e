"""What stays of a message group and what is new of it: neither overtakes the other. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .destinations import Destinations
from .queues import Queues
from .waiting import Group, Queue

if TYPE_CHECKING:
    from .._engine.core import Core
    from .._engine.lane import Lane


class Order:
    """Asks the lanes whether what stays may be offered, and lets new messages through after it.

    Clients with different arguments may be written alike: then there are several lanes to a
    destination, and what one of them left is offered to another.

    Args:
        core: that the lanes are of.
        destinations: know the lanes.
        has_heard_all: whether nothing stays that was not read yet.
    """

    def __init__(
        self, core: Core, destinations: Destinations, has_heard_all: Callable[[], bool]
    ) -> None:
        self._core = core
        self._destinations = destinations
        self._has_heard_all = has_heard_all
        #: By destination, groups of which nothing waits to be offered, as far as is known.
        self._through: dict[bytes, dict[str, None]] = {}

    def begin(self, queue: Queue, lane: Lane, groups: list[Group]) -> list[Group]:
        """Those of groups of which messages may be offered to a lane now."""
        tracker = self._core.tracker
        names = [group.key for group in groups]
        others = [one for one in self._destinations.lanes(queue.where) if one is not lane]
        for one in others:
            if one.staying is not None:
                asked = list(filter(one.staying.is_behind, names))
                begun = tracker.begin_offering(one, asked, self._has_heard_all, here=False)
                refused = {*asked}.difference(begun)
                names = [name for name in names if name not in refused]
        begun = {*tracker.begin_offering(lane, names, self._has_heard_all, here=True)}
        if len(begun) < len(groups):
            self._core.runtime.wake()  # what is to be taken out is, at the next look
        return [group for group in groups if group.key in begun]

    def note(self, group: Group) -> None:
        """Something of a group has been taken out, or has ended."""
        if group.queue.group_of is not None and not group.kept:
            self._through.setdefault(group.queue.where, {})[group.key] = None

    def look(self) -> None:
        """Note all groups that are behind: of some nothing may have been offered here."""
        for where, lane in self._destinations.behind():
            if lane.staying is not None:
                self._through.setdefault(where, {}).update(dict.fromkeys(lane.staying.behind))

    def let_through(self, queues: Queues) -> bool:
        """New messages of groups go their usual way when all that stays of them was offered.

        Where there are several lanes it has to have ended, for it is in another one.

        Returns whether some are to be asked again soon.
        """
        for where, names in list(self._through.items()):
            queue = queues.get(where)
            groups = {} if queue is None else queue.groups
            lanes = [lane for lane in self._destinations.lanes(where) if lane.is_behind]
            free = [
                name
                for name in names
                if (group := groups.get(name)) is None
                or not (group.kept or (group.out and len(lanes) > 1))
            ]
            left: dict[str, None] = {}
            for lane in lanes:
                if lane.staying is not None:
                    asked = list(filter(lane.staying.is_behind, free))
                    through = self._core.tracker.let_through(lane, asked, self._has_heard_all)
                    left.update(dict.fromkeys({*asked}.difference(through)))
                    if through:
                        self._core.runtime.wake()
            if left:
                self._through[where] = left
            else:
                del self._through[where]
        return bool(self._through)
