"""Hooks: objects that are told what happens to messages, and a ready one that logs.

A hook is any object with one or more of the methods of :class:`Hook`; each takes one frozen
:class:`publisher.Event`. They run on the thread ``publisher-callbacks``, except ``on_accepted``,
which runs in the caller. No event loop runs them: they are plain functions, an ``async def`` is
refused at set-up. What a hook raises is logged and harms nobody; a slow hook delays only other
hooks and callbacks.

Methods about one message run in the context variables of whoever published it: an id bound there,
or a tracer's span, is at hand. To capture them costs the caller time, and what they hold is kept as
long as the message. A hook that has no use for them says ``caller_context = False``.

Only messages are told of, but :meth:`Hook.on_sent` is told of each request: also of one by an
operation that is no message (``ListTopics``), with ``event.messages`` 0 and its errors.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

from . import _clock
from ._account.events import Event
from ._account.losses import INTERVAL, Limiter
from ._callables import runs_nothing
from ._counting import counted
from ._frames import outside
from ._log_lines import quiet

#: From so much likeness on (1 is equality) a method may be a misspelt one.
_ALIKE = 0.8

HOOK_METHODS = (
    "on_accepted",
    "on_sent",
    "on_delivered",
    "on_retry",
    "on_failed",
    "on_dropped",
    "on_spooled",
)


class Hook:
    """A base to inherit from where that reads well; inheriting is not needed.

    Only the methods that a class overrides are called.

    Attributes:
        caller_context: whether the methods about one message run in the context variables of
            whoever published it.
    """

    caller_context: bool = True

    def on_accepted(self, event: Event) -> None:
        """A message was accepted; runs in the caller of ``publish()``, who waits for it."""

    def on_sent(self, event: Event) -> None:
        """A request came back, with whatever outcome.

        Its operation, size, number of messages (0 for an operation that is none), how many of them
        failed by error code, duration.
        """

    def on_delivered(self, event: Event) -> None:
        """The service stored the message."""

    def on_retry(self, event: Event) -> None:
        """A try failed and the message will be sent again after ``event.delay`` seconds."""

    def on_failed(self, event: Event) -> None:
        """The message was sent at least once and will not be delivered.

        ``event.attempts`` may be empty: its only request has not come back in time.
        """

    def on_dropped(self, event: Event) -> None:
        """The message was never sent: ``event.reason`` says why."""

    def on_spooled(self, event: Event) -> None:
        """The message is on disk, and its future waits for it no longer; it is not lost.

        ``event.exception`` is a :class:`publisher.StillSpooled`, or None where the message was left
        to the relay.
        """


class LoggingHook(Hook):
    """Logs retries, failures and drops to one logger; never a message's content.

    What stays on disk at the end of ``delivery_timeout`` is logged as ``spooled``; what is left to
    the relay is not.

    One line per (event, destination, error code) and interval; the next line says how many were
    left out.

    Args:
        logger: a ``logging.Logger``; default: ``publisher.events``.
        level: of the lines for failed and dropped messages; retries and what stays on disk are
            logged one step (10) below it.
        interval: seconds between two lines of the same kind; 0 writes them all.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        level: int = logging.WARNING,
        interval: float = INTERVAL,
    ) -> None:
        self._logger = logger or logging.getLogger("publisher.events")
        self._level = level
        self._limiter = Limiter(_clock.now, interval)

    def on_retry(self, event: Event) -> None:
        """Log one step below the level."""
        self._log(self._level - 10, "retry", event)

    def on_failed(self, event: Event) -> None:
        """Log at the level."""
        self._log(self._level, "failed", event)

    def on_dropped(self, event: Event) -> None:
        """Log at the level."""
        self._log(self._level, "dropped", event)

    def on_spooled(self, event: Event) -> None:
        """Log one step below the level, unless the relay has it."""
        if event.exception is not None:
            self._log(self._level - 10, "spooled", event)

    def _log(self, level: int, name: str, event: Event) -> None:
        if not self._logger.isEnabledFor(level):
            return
        code = event.error_code or event.reason or type(event.exception).__name__
        suppressed = self._limiter.suppressed((name, event.destination, code), 1)
        if suppressed is None:
            return
        with quiet():
            self._logger.log(
                level,
                "%s %s: %s after %s, %d bytes (suppressed %d)",
                name,
                event.destination,
                code,
                counted(len(event.attempts), "try"),
                event.size,
                suppressed,
                extra={
                    "event": f"publisher.{name}",
                    "destination": event.destination,
                    "error_code": code,
                    "attempts": len(event.attempts),
                    "suppressed": suppressed,
                },
            )


def wants_context(hook: Any) -> bool:
    """Whether a hook's methods are to run in the context variables of whoever published."""
    if not getattr(hook, "caller_context", True):
        return False
    return any(hook_methods((hook,), name) for name in HOOK_METHODS if name != "on_sent")


def hook_methods(hooks: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """The bound methods called ``name`` that the hooks define.

    What :class:`Hook` merely inherits is left out.
    """
    found = []
    for hook in hooks:
        method = getattr(hook, name, None)
        if callable(method) and getattr(type(hook), name, None) is not getattr(Hook, name):
            found.append(method)
    return tuple(found)


def _warn_of_misspelt(hook: Any) -> None:
    """Warn of a method whose name is nearly that of a hook's: it would never be called."""
    others = [name for name in dir(hook) if name.startswith("on_") and name not in HOOK_METHODS]
    if not others:
        return
    import difflib

    for name in others:
        for meant in difflib.get_close_matches(name, HOOK_METHODS, 1, _ALIKE):
            warnings.warn(
                f"{type(hook).__name__}.{name} is never called: is {meant} meant? The methods of a"
                f" hook are {', '.join(HOOK_METHODS)}",
                stacklevel=outside(),
            )


def check_hook(hook: Any) -> None:
    """Raise TypeError for what is no hook, or has a method whose call would run nothing."""
    if isinstance(hook, type):
        raise TypeError(
            f"a hook must be an object, not the class {hook.__name__}: pass {hook.__name__}()"
        )
    present = [name for name in HOOK_METHODS if getattr(hook, name, None) is not None]
    if not present:
        raise TypeError(
            f"{type(hook).__name__} is not a hook: it has none of {', '.join(HOOK_METHODS)}"
        )
    _warn_of_misspelt(hook)
    for name in present:
        if not callable(getattr(hook, name)):
            raise TypeError(f"{type(hook).__name__}.{name} is not callable")
        if made := runs_nothing(getattr(hook, name)):
            raise TypeError(
                f"{type(hook).__name__}.{name} only makes {made}, which no event loop here would"
                " run: make it a plain function; it can hand work to a loop with"
                " asyncio.run_coroutine_threadsafe()"
            )
