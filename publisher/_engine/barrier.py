"""The barrier of ``flush()``: who waits until what was accepted before has ended."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

from .lane import Lane
from .tracker import Tracker


class Barrier:
    """Opens a gate for each caller of ``flush()`` when all that it waits for has ended.

    Args:
        tracker: knows what is unresolved.
        runtime: waits for a gate.
    """

    def __init__(self, tracker: Tracker, runtime: Any) -> None:
        self._tracker = tracker
        self._runtime = runtime
        #: Until when it was accepted, in which lanes, and the gate to open. Guarded by the
        #: tracker's lock.
        self._waiters: list[tuple[float, Collection[Lane] | None, threading.Lock]] = []

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return len(self._waiters)

    def wait(self, until: float, lanes: Collection[Lane] | None, timeout: float | None) -> int:
        """Wait until what was accepted up to ``until`` has ended.

        Args:
            until: on the scheduler's clock.
            lanes: only these; None: all of them.
            timeout: seconds; None: until the messages' own deadlines.

        Returns:
            how many of those messages are still unresolved.
        """
        gate = threading.Lock()
        gate.acquire()
        waiter = (until, lanes, gate)
        with self._tracker.lock:
            if self._tracker.is_done(until, lanes):
                return 0
            self._waiters.append(waiter)
        try:
            self._runtime.wait(gate, timeout)
        finally:
            with self._tracker.lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return self._tracker.unresolved(until, lanes)

    def answer(self) -> None:
        """Messages have ended: let go whoever waited for the last of them."""
        if not self._waiters:
            return
        with self._tracker.lock:
            for waiter in list(self._waiters):
                until, lanes, gate = waiter
                if self._tracker.is_done(until, lanes):
                    self._waiters.remove(waiter)
                    gate.release()
