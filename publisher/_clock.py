"""The clocks. Waits and deadlines go by one that no test can stop."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

#: Seconds that never go back and never stand still, for waits, deadlines and lingers.
#: freezegun stops ``time.monotonic``, also in the modules that took it by name; neither it nor
#: time-machine touches this one. Where the system has none (Windows) it is ``time.monotonic``,
#: kept where freezegun does not look for it.
now: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime")
    else functools.partial(time.monotonic)
)

#: Seconds of CPU that this process has used, on all its threads.
cpu: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_PROCESS_CPUTIME_ID)
    if hasattr(time, "CLOCK_PROCESS_CPUTIME_ID")
    else functools.partial(time.process_time)
)


def wall() -> float:
    """Seconds since the epoch, for people. Where a test has frozen the time it stands still too."""
    return time.time()
