"""Time in which the whole process stood still: nobody could send then, so no deadline counts it.

SIGSTOP, a laptop's lid, a paused machine and AWS Lambda between invocations all look alike: the
dispatcher, which wakes every second while something is unresolved, finds that far more time has
passed than it asked for, and that the process has not used it. The latter tells a stand-still from
a dispatcher that other threads of the process keep waiting for the GIL.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from .. import _clock

#: What a busy machine takes from a thread now and then, seconds: less than this is no stand-still.
LEAST = 1.0
#: So many of the last ones are known.
_KEPT = 100


class Standing:
    """Knows when the process stood still.

    Args:
        cpu: seconds of CPU that the process has used.
    """

    def __init__(self, cpu: Callable[[], float] = _clock.cpu) -> None:
        self._cpu = cpu
        # Guards the three below it, and additions to ``_known``. A signal handler that publishes
        # may strike who holds it.
        self._lock = threading.RLock()
        self._waits = 0.0  # the dispatcher, from then
        self._expected = math.inf  # to then
        self._used = 0.0  # the CPU's seconds when that was said
        #: From when to when, oldest first; replaced as a whole.
        self._known: tuple[tuple[float, float], ...] = ()

    def expect(self, now: float, wait: float) -> None:
        """The dispatcher waits for so many seconds; without bound while nothing is unresolved.

        A stand-still in that time may be taken for as much longer than it was.
        """
        with self._lock:
            self._waits, self._expected = now, now + wait
            self._used = self._cpu()

    def look(self, now: float) -> None:
        """Take note where the process stood still until just now."""
        if now - self._expected < LEAST:
            return
        with self._lock:
            late, self._expected = now - self._expected, math.inf  # each is found once
            used = self._cpu() - self._used
            stood = now - self._waits - used
            if late - used >= LEAST:
                self._known = (*self._known, (now - stood, now))[-_KEPT:]

    def since(self, began: float) -> float:
        """For how many seconds after ``began`` it stood still."""
        if not self._known:
            return 0.0
        return sum(end - max(start, began) for start, end in self._known if end > began)

    def last(self, since: float) -> float:
        """For how many seconds it stood still in all the times that ended after ``since``."""
        return sum(end - start for start, end in self._known if end > since)
