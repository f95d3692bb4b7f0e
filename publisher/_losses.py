"""One log line when messages are lost, not one for each.

Rate-limited per (destination, error code).
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ._message import Failure

logger = logging.getLogger("publisher")

#: Seconds between two lines about the same destination and code.
INTERVAL = 10.0
_MAX_KEYS = 1_000


class Losses:
    """Logs failed and dropped messages.

    Runs on the thread of callbacks, because logging handlers are user code.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quiet_until: dict[tuple[str, str], float] = {}
        self._suppressed: Counter[tuple[str, str]] = Counter()
        # A logging handler may publish, and that message may be lost in turn: it is counted, not
        # logged, or there would be no end to it.
        self._logging = threading.local()
        self._silent = False

    def silence(self) -> None:
        """Log nothing from here on: somebody else says it all at once."""
        self._silent = True

    def note(self, item: tuple[str, str, Sequence[Any], str | None]) -> None:
        """Messages of one destination ended without being delivered."""
        destination, end, values, reason = item
        if self._silent or getattr(self._logging, "now", False):
            return
        codes = Counter(reason or _code_of(value) for value in values)
        now = self._clock()
        for code, count in codes.items():
            key = (destination, code)
            if now < self._quiet_until.get(key, 0.0):
                self._suppressed[key] += count
                continue
            if len(self._quiet_until) >= _MAX_KEYS:
                self._quiet_until.clear()
            self._quiet_until[key] = now + INTERVAL
            suppressed = self._suppressed.pop(key, 0)
            self._logging.now = True
            try:
                logger.error(
                    "%d messages to %s %s: %s (suppressed %d)",
                    count,
                    destination,
                    end,
                    code,
                    suppressed,
                    extra={
                        "event": f"publisher.{end}",
                        "destination": destination,
                        "error_code": code,
                        "messages": count,
                        "suppressed": suppressed,
                    },
                )
            finally:
                self._logging.now = False


def _code_of(value: Any) -> str:
    parts = value if type(value) is tuple else (value,)
    failure = next((part for part in parts if isinstance(part, Failure)), None)
    if failure is not None:
        return failure.code
    made = parts[0](*parts[1:]) if type(value) is tuple else value
    return type(made).__name__
