"""The path of attempts and events in 0.1, for what was pickled there; it goes after one release."""

from __future__ import annotations

from ._account.events import Attempt, Event, Failure

__all__ = ["Attempt", "Event", "Failure"]
