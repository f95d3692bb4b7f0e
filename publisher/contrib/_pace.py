"""How fast one task of a job may go."""

from __future__ import annotations

#: Once a service throttles: rows on their way at most, in seconds of the rate it takes.
AHEAD = 10.0
_FIRST, _MOST = 1_000, 10_000  # rows on their way: to begin with, and at most
_LEAST = 1.0  # rows a second
_LESS, _MORE = 0.9, 1.1


class Pace:
    """A task's share of the job's rate, and less while the service throttles.

    Throttled, the rate falls to nine tenths of what the service takes, but by half at most in one
    look; then it rises by a tenth after each look that finds no throttling, never above the share.
    Where there is no share, rows go as fast as they are taken until the first throttling.

    Args:
        share: rows a second; None: no bound.
        now: seconds, as every other time here.
    """

    def __init__(self, share: float | None, now: float) -> None:
        self._share = share
        self.rate = share
        self._due = now  # when the next rows may go
        self._window = _FIRST

    def most(self, rows: int) -> int:
        """How many of ``rows`` may go together: no more than those of one second."""
        return rows if self.rate is None else max(1, min(rows, int(self.rate)))

    @property
    def window(self) -> int:
        """Rows that may be on their way at once."""
        if self.rate is None:
            return self._window
        return max(1, min(self._window, int(self.rate * AHEAD)))

    def wait(self, rows: int, now: float) -> float:
        """Seconds to wait before ``rows`` go; they count as gone."""
        if self.rate is None:
            return 0.0
        begin = max(now, self._due)
        self._due = begin + rows / self.rate
        return begin - now

    def learn(self, delivered: int, throttled: int, seconds: float) -> None:
        """Take into account what was met: rows delivered and tries throttled in so many seconds."""
        if throttled:
            # A look that found all rows in a backoff teaches little: it halves the rate.
            taken = delivered / seconds * _LESS
            if self.rate is None:
                self.rate = max(taken, self._window / AHEAD)
            else:
                less = min(self.rate * _LESS, max(taken, self.rate / 2))
                self.rate = max(less, min(self.rate, _LEAST))
        else:
            self._window = min(_MOST, 2 * self._window)
            if self.rate is not None and self.rate != self._share:
                more = self.rate * _MORE
                self.rate = more if self._share is None else min(self._share, more)
