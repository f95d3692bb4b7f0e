"""The clocks. Waits and deadlines go by one that no test can stop."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from types import BuiltinFunctionType

#: Seconds that never go back and never stand still, for waits, deadlines and lingers.
#: freezegun stops ``time.monotonic``, also in the modules that took it by name; neither it nor
#: time-machine touches this one. Where the system has none (Windows) it is ``time.monotonic``,
#: kept where freezegun does not look for it.
now: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime")
    else functools.partial(time.monotonic)
)


def _quick() -> Callable[[], float]:
    """The clock of ``now`` by a shorter way, where Python has one and nobody has replaced it."""
    same = time.get_clock_info("perf_counter").implementation == "clock_gettime(CLOCK_MONOTONIC)"
    found = time.perf_counter
    return found if same and type(found) is BuiltinFunctionType else now


#: ``now`` for who holds on to it and is in a hurry: where the caches are cold, it takes a quarter
#: of the time. In a list, where freezegun does not look.
QUICK: list[Callable[[], float]] = [_quick()]

#: Seconds of CPU that this process has used, on all its threads.
cpu: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_PROCESS_CPUTIME_ID)
    if hasattr(time, "CLOCK_PROCESS_CPUTIME_ID")
    else functools.partial(time.process_time)
)


def wall() -> float:
    """Seconds since the epoch, for people. Where a test has frozen the time it stands still too."""
    return time.time()
