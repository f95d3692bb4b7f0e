"""How long a caller may be held at the bound."""

from __future__ import annotations

from collections.abc import Callable

from .flow import FlowControl
from .lane import NEVER
from .standing import Standing
from .tracker import Tracker

_LOOK_AGAIN = 0.05  # seconds after which a held caller looks whether a client has been made


class Patience:
    """Says how many seconds a caller may still be held, asked again and again.

    Args:
        max_block: of the options.
        look: the core's clock, where deadlines are judged by it.
        flow: knows whether anybody is held.
        tracker: knows what is in flight.
        standing: knows when the process stood still.
    """

    def __init__(
        self,
        max_block: float | None,
        *,
        look: Callable[[], float],
        flow: FlowControl,
        tracker: Tracker,
        standing: Standing,
    ) -> None:
        self._max_block = max_block
        self._look = look
        self._flow = flow
        self._tracker = tracker
        self._standing = standing
        self._answered = -NEVER  # when a service last said anything
        self._quiet_since = -NEVER  # when callers began to be held, or a client was last being made
        self.gave_up = -NEVER  # when a caller was last sent away because no service says anything

    def note_answer(self) -> None:
        """A service has said something, whatever it was."""
        self._answered = self._look()

    def until_late(self, timeout: float) -> Callable[[], float]:
        """As long as a message that is accepted now could be delivered within ``timeout``."""
        began = self._look()
        return lambda: began + timeout - self._look() + self._standing.since(began)

    def at_the_bound(self, timeout: float) -> Callable[[], float]:
        """As :meth:`until_late`, but no longer than ``max_block`` allows.

        That is ``max_block`` after the last word of any service, or after the first caller was
        held: then all are sent away, and whoever comes then at once, until a service speaks again.
        While a boto3 client is made no service could have spoken.
        """
        until = self.until_late(timeout)
        max_block = self._max_block
        if not self._flow.waiting:
            self._quiet_since = self._look()

        def left() -> float:
            if max_block is None:
                return until()
            now = self._look()
            if self.gave_up > self._answered:
                return 0.0
            if max_block and self._is_making():
                self._quiet_since = now
                return min(until(), max_block, _LOOK_AGAIN)
            since = max(self._quiet_since, self._answered)
            quiet = now - since - self._standing.since(since)
            if quiet >= max_block:
                self.gave_up = now
                return 0.0
            return min(until(), max_block - quiet)

        return left

    def _is_making(self) -> bool:
        with self._tracker.lock:
            return any(request.lane.target.making for request in self._tracker.in_flight)
