"""Hooks: objects that are told what happens to messages, and a ready one that logs.

A hook is any object with one or more of the methods of :class:`Hook`; each takes one frozen
:class:`publisher.Event`. They run on the thread ``publisher-callbacks``, except ``on_accepted``,
which runs in the caller. A hook that raises is logged and contained; a slow one delays only other
hooks and callbacks.
"""

from __future__ import annotations

import logging
from typing import Any

from ._message import Event

HOOK_METHODS = ("on_accepted", "on_sent", "on_delivered", "on_retry", "on_failed", "on_dropped")


class Hook:
    """A base to inherit from where that reads well; inheriting is not needed.

    Only the methods that a class overrides are called.
    """

    def on_accepted(self, event: Event) -> None:
        """A message was accepted; runs in the caller of ``publish()``, who waits for it."""

    def on_sent(self, event: Event) -> None:
        """A request came back, with whatever outcome.

        Its operation, size, number of messages and duration.
        """

    def on_delivered(self, event: Event) -> None:
        """The service stored the message."""

    def on_retry(self, event: Event) -> None:
        """A try failed and the message will be sent again after ``event.delay`` seconds."""

    def on_failed(self, event: Event) -> None:
        """The message was sent at least once and will not be delivered."""

    def on_dropped(self, event: Event) -> None:
        """The message was never sent: ``event.reason`` says why."""


class LoggingHook(Hook):
    """Logs retries, failures and drops to one logger; never a message's content.

    Args:
        logger: a ``logging.Logger``; default: ``publisher.events``.
        level: of the lines for failed and dropped messages; retries are logged one step (10) below
            it.
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.WARNING) -> None:
        self._logger = logger or logging.getLogger("publisher.events")
        self._level = level

    def on_retry(self, event: Event) -> None:
        self._log(self._level - 10, "retry", event)

    def on_failed(self, event: Event) -> None:
        self._log(self._level, "failed", event)

    def on_dropped(self, event: Event) -> None:
        self._log(self._level, "dropped", event)

    def _log(self, level: int, name: str, event: Event) -> None:
        last = event.attempts[-1] if event.attempts else None
        code = (last.error_code if last else None) or event.reason
        self._logger.log(
            level,
            "%s %s: %s after %d tries (%d bytes)",
            name,
            event.destination,
            code,
            len(event.attempts),
            event.size,
            extra={
                "event": f"publisher.{name}",
                "destination": event.destination,
                "error_code": code,
                "attempts": len(event.attempts),
            },
        )


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


def check_hook(hook: Any) -> None:
    """Raise TypeError for an object without hook methods, or with one that cannot be called."""
    if isinstance(hook, type):
        raise TypeError(
            f"a hook must be an object, not the class {hook.__name__}: pass {hook.__name__}()"
        )
    present = [name for name in HOOK_METHODS if getattr(hook, name, None) is not None]
    if not present:
        raise TypeError(
            f"{type(hook).__name__} is not a hook: it has none of {', '.join(HOOK_METHODS)}"
        )
    for name in present:
        if not callable(getattr(hook, name)):
            raise TypeError(f"{type(hook).__name__}.{name} is not callable")
