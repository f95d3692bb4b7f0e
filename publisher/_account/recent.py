"""How many messages were delivered and lost lately, by the second."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

#: So many seconds are remembered, back from the last in which a message ended.
LONGEST = 300


class Recent:
    """How many messages were delivered, and how many lost, in each of the last seconds.

    The account's lock guards it.
    """

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque(maxlen=LONGEST)

    def note(self, now: float, delivered: int, lost: int) -> None:
        """Count messages that have just ended."""
        second = int(now)
        if not self._seconds or self._seconds[-1][0] < second:
            self._seconds.append([second, 0, 0])
        last = self._seconds[-1]
        last[1] += delivered
        last[2] += lost

    def since(self, moment: float) -> Iterator[tuple[int, int]]:
        """How many were delivered and lost in each second from that one on, the latest first."""
        for second, delivered, lost in reversed(self._seconds):
            if second < int(moment):
                return
            yield delivered, lost
