"""Lost messages in the log: one line for many, and one with the totals at the end.

Lines are limited to one in ten seconds for each destination and error code.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .._counting import counted
from .causes import Scene, cause
from .events import Failure, label_of
from .ledger import LOG_LINE

if TYPE_CHECKING:
    from .._engine.contract import Target
    from .ledger import Counters, Ledger

logger = logging.getLogger("publisher")

#: Seconds between two lines about the same destination and code.
INTERVAL = 10.0
_MAX_KEYS = 1_000
_OTHERS = object()  # all the keys that there is no room for


class Limiter:
    """Says which lines to write: one for each key and interval; the rest is counted.

    Beyond 1,000 keys in an interval the others share one, so that lines stay few.

    Args:
        clock: seconds, never going back.
        interval: seconds between two lines of the same key.
    """

    def __init__(self, clock: Callable[[], float], interval: float = INTERVAL) -> None:
        self._clock = clock
        self._interval = interval
        self._quiet_until: dict[Any, float] = {}
        self._suppressed: Counter[Any] = Counter()
        # There is no lock: a hook lives on in a forked child, where a lock could stay locked for
        # ever. Each step is atomic under the GIL; two threads at once may write a line too many.
        self._kept_until = 0.0  # keys are forgotten together, once in an interval

    def suppressed(self, key: Any, count: int) -> int | None:
        """How many events were not written since the last line; None: do not write this either."""
        now, quiet, left_out = self._clock(), self._quiet_until, self._suppressed
        if key not in quiet and len(quiet) >= _MAX_KEYS:
            if now < self._kept_until:
                key = _OTHERS
            else:
                total = sum([*left_out.values()])
                quiet.clear()
                left_out.clear()
                left_out[_OTHERS] = total
        if now < quiet.get(key, 0.0):
            left_out[key] += count
            return None
        if not quiet:
            self._kept_until = now + self._interval
        quiet[key] = now + self._interval
        return left_out.pop(key, 0)


class Losses:
    """Logs failed and dropped messages.

    Runs on the thread of callbacks, because logging handlers are user code.

    Args:
        clock: seconds, never going back.
        bounds: of the buffer, for people.
        stood: for how many seconds the process stood still lately.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        bounds: str,
        stood: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._limiter = Limiter(clock)
        self._bounds = bounds
        self._stood = stood
        # A logging handler may publish, and that message may be lost too. To log that as well could
        # go on for ever, so it is only counted.
        self._logging = threading.local()
        self._silent = False
        self._said = False  # the last words

    def silence(self, silent: bool = True) -> None:
        """Log nothing from here on, where one line of the caller's says it all."""
        self._silent = silent

    def note(self, item: tuple[Target, Counters, str, Mapping[str, int]]) -> None:
        """Messages of one destination ended without being delivered, so many with each code."""
        target, counters, end, codes = item
        if self._silent or getattr(self._logging, "now", False):
            return
        for code, count in codes.items():
            suppressed = self._limiter.suppressed((target.key, end, code), count)
            if suppressed is None:
                continue
            shards = counters.shards
            scene = Scene(
                target.permission,
                target.region,
                target.home,
                shards,
                self._bounds,
                self._stood(),
                target.service.causes,
            )
            why = cause(code, scene)
            level, event, what = _kind(counters, end, code, count)
            self._logging.now = True
            try:
                logger.log(
                    level,
                    "%d %s %s %s: %s%s (suppressed %d)",
                    count,
                    what,
                    target.key,
                    end,
                    code,
                    f", {why}" if why else "",
                    suppressed,
                    extra={
                        "event": event,
                        "destination": target.key,
                        "error_code": code,
                        "cause": why,
                        "messages": count if counters.of_messages else 0,
                        "suppressed": suppressed,
                    },
                )
            finally:
                self._logging.now = False

    def last_words(self, total: Ledger) -> None:
        """Log the totals, once, if anything was lost."""
        text = lost_text(total)
        if not text or self._said or self._silent:
            return
        self._said = True
        logger.error("%s", text, extra={"event": "publisher.lost", "messages": lost(total)})


def _kind(counters: Counters, end: str, code: str, count: int) -> tuple[int, str, str]:
    """The level of a line, its event, and the noun that its count is of."""
    s = "" if count == 1 else "s"
    if not counters.of_messages:  # the caller has the error on the future, and no message is lost
        return logging.INFO, f"publisher.call_{end}", f"call{s} of"
    if end == "spooled":  # nor is one that stays on disk
        return logging.WARNING, "publisher.spooled", f"message{s} to"
    if code == LOG_LINE:
        return logging.WARNING, f"publisher.{LOG_LINE}", f"message{s} to"
    return logging.ERROR, f"publisher.{end}", f"message{s} to"


def can_log(to: logging.Logger) -> bool:
    """Whether no handler is locked, perhaps by a thread that does not run any more."""
    where: logging.Logger | None = to
    while where is not None:
        for handler in where.handlers:
            lock = handler.lock
            if lock is not None:
                if not lock.acquire(blocking=False):
                    return False
                lock.release()
        where = where.parent if where.propagate else None
    return True


def lost(total: Ledger) -> int:
    """How many messages were lost, but for the log lines that requests of ours had caused."""
    return total.failed + total.dropped - total.dropped_by_reason.get(LOG_LINE, 0)


def lost_text(total: Ledger) -> str:
    """What was lost, in one line; empty if nothing was."""
    if not lost(total):
        return ""
    dropped = {
        f"dropped, {reason}": count
        for reason, count in total.dropped_by_reason.items()
        if reason != LOG_LINE
    }
    failed = {f"failed with {code}": count for code, count in total.failed_by_code.items()}
    counts = {**failed, **dropped}
    parts = sorted(((count, text) for text, count in counts.items() if count), reverse=True)
    listed = ", ".join(f"{count:,} {text}" for count, text in parts[:5])
    were = "was" if lost(total) == 1 else "were"
    return f"{lost(total):,} of {counted(total.accepted, 'message')} {were} lost: {listed}"


def code_of(value: Any) -> str:
    """The error code behind what a failed future keeps; else its exception's name."""
    parts = value if type(value) is tuple else (value,)
    for part in parts:
        if isinstance(part, Failure):
            return part.label
        history = getattr(part, "history", None)  # of a message
        if history and history[-1].error_code:
            return label_of(history[-1])
    made = parts[0](*parts[1:]) if type(value) is tuple else value
    return type(made).__name__
