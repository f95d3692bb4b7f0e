"""Who may have a worker.

Pure: time is an argument. The tracker's lock guards it.

A lane alone may have all workers. While several are active none has more than half of them, and
those that have timed out have no more than half together: a stalled one would take them all, for as
long as a request may take. For the same reason there are workers in reserve, for lanes that have
nothing in flight.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .lane import NEVER, Lane
from .request import Request

#: After so many seconds in which no request came back or went out, a destination that has nothing
#: in flight waits no longer for a worker that others keep.
_STALL = 0.25


class Shares:
    """Shares the workers among the lanes.

    Args:
        workers: how many requests may be in flight; beside them one in reserve, and as many more
            while nothing comes back.
        active: the lanes with something waiting or in flight.
    """

    def __init__(self, workers: int, active: Collection[Lane]) -> None:
        self.workers = workers
        self._active = active
        self.busy = 0
        self.reserve = 1  # how many more may be busy for lanes that have nothing in flight
        self._moved = -NEVER  # when a request last went out or came back
        self._doubtful = 0  # requests in flight of lanes that had timed out

    @property
    def are_out(self) -> bool:
        """Whether all workers are busy, those in reserve too."""
        return self.busy >= self.workers + self.reserve

    def may_send(self, lane: Lane) -> bool:
        """Whether a request of this lane may go out now, where a worker is free for it."""
        if lane.in_flight and self.busy >= self.workers:  # what is left is the reserve
            return False
        half = max(1, self.workers // 2)
        if lane.cautious and self._doubtful >= half:
            return False
        share = half if len(self._active) > 1 else self.workers
        return lane.in_flight < min(share, lane.capacity())

    def could_send(self, ready: Iterable[Lane]) -> bool:
        """Whether one of these lanes may send, and there is a worker."""
        return not self.are_out and any(map(self.may_send, ready))

    def note_sent(self, request: Request, now: float) -> None:
        """A request goes out."""
        request.lane.in_flight += 1
        self.busy += 1
        self._doubtful += request.doubtful
        self._moved = now

    def note_back(self, request: Request, now: float) -> None:
        """A request has come back; its worker is still busy."""
        request.lane.in_flight -= 1
        self._doubtful -= request.doubtful
        self._moved = now

    def set_reserve(self, ready: Iterable[Lane], now: float) -> None:
        """Have as many workers in reserve as are needed now."""
        if self.busy <= self.workers:
            self.reserve = min(self.reserve, 1)
        elif self.is_kept_waiting(ready) and self._moved + _STALL <= now:
            self.reserve = self.workers

    def is_kept_waiting(self, ready: Iterable[Lane]) -> bool:
        """Whether a lane that has nothing in flight finds no worker, and could still get one."""
        if not 0 < self.reserve < self.workers or not self.are_out:
            return False
        return any(not lane.in_flight and self.may_send(lane) for lane in ready)

    def patience_ends(self, ready: Iterable[Lane]) -> float:
        """When such a lane waits no longer; NEVER if there is none."""
        return self._moved + _STALL if self.is_kept_waiting(ready) else NEVER
