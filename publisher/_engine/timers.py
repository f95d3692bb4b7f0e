"""When each lane is to be looked at next.

Pure: time is an argument. The tracker's lock guards it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

from .lane import NEVER, Lane

_order = itertools.count()
_BOUND = 128


class Timers:
    """The next look at each lane.

    What a lane has in the heap is a list with the lane in it. Emptied, it stands for no look any
    more, and keeps no idle lane alive, nor its boto3 client, until its time comes.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, list[Lane]]] = []  # when, order, Lane.timer_entry
        self._bound = _BOUND  # so many are looked through for stale ones

    def __len__(self) -> int:
        return len(self._heap)

    def lanes(self) -> list[Lane]:
        """Those that are to be looked at."""
        return [lane for _, _, entry in self._heap for lane in entry]

    @property
    def soonest(self) -> float:
        """When the next look is due; NEVER if there is none."""
        return self._heap[0][0] if self._heap else NEVER

    def set(self, lane: Lane, at: float) -> None:
        """Look at this lane then, and not before; NEVER: not at all."""
        lane.timer_entry.clear()
        lane.timer = at
        if at < NEVER:
            lane.timer_entry = [lane]
            heapq.heappush(self._heap, (at, next(_order), lane.timer_entry))
            if len(self._heap) >= self._bound:
                self._drop_stale()

    def due(self, now: float) -> Iterator[Lane]:
        """The lanes whose time has come, each taken out when it is asked for."""
        while self._heap and self._heap[0][0] <= now:
            for lane in tuple(heapq.heappop(self._heap)[2]):  # none, or one
                lane.timer = NEVER
                yield lane

    def _drop_stale(self) -> None:
        """Forget the looks that an earlier one has replaced.

        Each linger would leave one behind until its deadline.
        """
        self._heap = [timer for timer in self._heap if timer[2]]
        heapq.heapify(self._heap)
        self._bound = max(_BOUND, 2 * len(self._heap))
