"""How a request gets from the dispatcher to one worker, without waking another.

``queue.SimpleQueue`` would do, but before Python 3.13 it wakes a second thread for every item that
it hands to the first. Each request would cost two more thread switches, and a fight for the GIL.
"""

from __future__ import annotations

import threading
from collections import deque

from .._engine.request import Request

#: Within so many seconds a request that was taken for a worker has reached it.
_ON_ITS_WAY = 1.0


class Seat:
    """Where one worker waits."""

    __slots__ = ("gate", "request")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.request: Request | None = None


class Handover:
    """Gives each request to the worker that came last: its connection is the warmest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._waiting: list[Seat] = []
        self._left: deque[Request] = deque()  # for workers that are on their way here
        self._closed = False

    def put(self, request: Request) -> bool:
        """Hand a request to a worker; False where there are none any more."""
        with self._lock:
            if self._closed:
                return False
            if not self._waiting:
                self._left.append(request)
                return True
            seat = self._waiting.pop()
        seat.request = request
        seat.gate.release()
        return True

    def get(self, seat: Seat) -> Request | None:
        """Wait for a request; None when there will be no more."""
        try:
            with self._lock:
                if self._left:
                    return self._left.popleft()
                if self._closed:
                    return None
                self._waiting.append(seat)
            seat.gate.acquire()
        except BaseException:  # an exception that another thread set in this one
            self._leave(seat)
            raise
        request, seat.request = seat.request, None
        return request

    def _leave(self, seat: Seat) -> None:
        """Take a seat away; what was already handed to it is left for the next worker."""
        with self._lock:
            if seat in self._waiting:
                self._waiting.remove(seat)
                return
        if seat.request is None:
            seat.gate.acquire(timeout=_ON_ITS_WAY)
        with self._lock:
            if seat.request is not None:
                self._left.append(seat.request)

    def close(self) -> None:
        """Send the workers home; what was handed over is still theirs to do."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
        for seat in waiting:
            seat.gate.release()
