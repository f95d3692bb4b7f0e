"""moto's in-process mock: what is accepted inside it must not reach the network after it.

``mock_aws`` ends in the middle of everything: a message that lingers, backs off or sits in a worker
would go to AWS a moment later. So the end of the outermost mock is made to wait: what was accepted
is delivered into it, the rest is given up with ``PublisherClosed``, and every boto3 client, thread
and queue of that time is thrown away. The next message finds everything new.

This holds wherever moto is loaded, with or without ``publisher.testing``.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError

_WATCHED = "_publisher_watched"
#: Where there is no module of that name, no mock is active: the shortest way to ask.
MODULE = "moto.core.models"
_lock = threading.Lock()  # guards the wrapping of moto's class
_guards: weakref.WeakSet[MockGuard] = weakref.WeakSet()
_at_the_end: list[Callable[[], object]] = []
_ended = 0


class MockEnded(BotoCoreError):
    """A request of the time inside moto's mock; the mock has ended, and it was not sent."""

    fmt = (
        "the message was accepted inside moto's mock_aws, which has ended since: it was not sent,"
        " because the request would have gone to the network"
    )


class MockGuard:
    """Keeps one connection's requests inside the mock, if there is one, in which it was set up."""

    def __init__(self) -> None:
        _watch()
        self.inside = is_active()
        self.ended = False
        _guards.add(self)

    def protect(self, client: Any) -> None:
        """Have ``client`` refuse requests once the mock has ended."""
        # The first makes the message fail for good; the second is for a request that had passed the
        # first when the mock ended.
        client.meta.events.register_first("before-call", self._refuse)
        client.meta.events.register_first("before-send", self._refuse)

    def ask(self, _: str = "") -> None:
        """Raise MockEnded if it has."""
        if self.is_over():
            raise MockEnded

    def _refuse(self, **_: Any) -> None:
        self.ask()

    def is_over(self) -> bool:
        """Whether the mock, and this connection with it, has ended."""
        return self.ended or (self.inside and not is_active())


def guard() -> MockGuard | None:
    """What keeps a new connection's requests inside a mock; None where no moto is loaded."""
    return MockGuard() if "moto" in sys.modules else None


def is_active() -> bool:
    """True inside moto's in-process mock."""
    models = sys.modules.get(MODULE)
    return bool(getattr(getattr(models, "botocore_stubber", None), "enabled", False))


def mocks_ended() -> int:
    """How many (outermost) mocks have ended since they are watched."""
    return _ended


def at_the_end(deliver: Callable[[], object]) -> None:
    """Call ``deliver`` before a mock ends: it sees what was accepted inside to its end."""
    if deliver not in _at_the_end:
        _at_the_end.append(deliver)


def _watch() -> None:
    """Have every mock wait for what was accepted in it."""
    models = sys.modules.get(MODULE)
    mock: Any = getattr(models, "MockAWS", None)
    with _lock:
        if mock is None or hasattr(mock, _WATCHED):
            return
        stop = mock.stop

        def stop_after_delivery(self: Any, *args: Any, **kwargs: Any) -> Any:
            if type(self)._nested_count != 1 or not is_active():
                return stop(self, *args, **kwargs)
            _leave()
            try:
                return stop(self, *args, **kwargs)
            finally:
                if any(one.is_over() and not one.ended for one in list(_guards)):
                    _leave()  # another thread published between the two

        mock.stop = stop_after_delivery
        setattr(mock, _WATCHED, True)


def _leave() -> None:
    """Have what was accepted delivered into the mock, and let no connection of that time go on."""
    global _ended  # noqa: PLW0603 - a count of what happened in the process
    for deliver in _at_the_end:
        deliver()
    for one in list(_guards):
        one.ended = True
    _ended += 1
