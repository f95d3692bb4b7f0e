"""Whether a call of ours finds itself inside another one, on the same thread.

A signal handler or a finaliser may publish in the middle of anything; what it interrupted may hold
any lock. Whoever holds ``LOCK`` may be waiting for that very lock, so such a call must not wait for
``LOCK``: what it ends, it ends on the thread of callbacks, and it cancels nothing.
"""

from __future__ import annotations

import sys
from concurrent import futures
from types import CodeType
from typing import Any

from .future import PublishFuture
from .state import LOCK

#: Where a thread may hold a lock of ours, or that of a future.
ENTRIES: set[CodeType] = {
    futures.wait.__code__,
    futures.as_completed.__code__,
    PublishFuture._watching.__code__,
}
#: Who runs user code beneath such a call, while no lock is held.
OUTSIDE: set[CodeType] = set()


def entered(times: int = 1) -> bool:
    """True if this thread is in so many of those calls, or holds ``LOCK``."""
    if LOCK.rlock._is_owned():  # type: ignore[attr-defined]  # RLocks have it since Python 2
        return True
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code not in OUTSIDE:
        if frame.f_code in ENTRIES:
            times -= 1
            if not times:
                return True
        frame = frame.f_back
    return False


def reentered() -> bool:
    """True, for one of those calls, if it interrupted another."""
    return entered(2)
