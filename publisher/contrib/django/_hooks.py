"""Hooks in Django: signals are sent, and stale database connections closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import close_old_connections
from django.dispatch import Signal

from ..._account.events import Event
from ..._publisher import Publisher
from ...hooks import HOOK_METHODS, hook_methods
from . import signals


class SignalsHook:
    """Sends the signals of one alias."""

    caller_context = False  # context variables of whoever published are of no use to receivers

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def on_delivered(self, event: Event) -> None:
        """Send ``delivered``."""
        self._send(signals.delivered, event)

    def on_failed(self, event: Event) -> None:
        """Send ``failed``."""
        self._send(signals.failed, event)

    def on_dropped(self, event: Event) -> None:
        """Send ``dropped``."""
        self._send(signals.dropped, event)

    def on_spooled(self, event: Event) -> None:
        """Send ``spooled``."""
        self._send(signals.spooled, event)

    def _send(self, signal: Signal, event: Event) -> None:
        if signal.receivers:
            _with_connections(
                lambda told: signal.send_robust(Publisher, event=told, using=self._alias)
            )(event)


class ConnectionsHook:
    """One of the user's hooks: stale database connections are closed around it, as by a request.

    Its thread lives as long as the process and serves no requests, so nothing else closes them.
    """

    def __init__(self, hook: Any) -> None:
        self.hook = hook
        for name in HOOK_METHODS:
            for method in hook_methods((hook,), name):
                # on_accepted runs in the caller, where the connections are the caller's.
                wrapped = method if name == "on_accepted" else _with_connections(method)
                setattr(self, name, wrapped)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the hook has, such as a tracer's methods."""
        if name in HOOK_METHODS:  # methods that it merely inherits
            raise AttributeError(name)
        return getattr(self.hook, name)


def _with_connections(function: Callable[[Event], object]) -> Callable[[Event], None]:
    def call(event: Event) -> None:
        close_old_connections()
        try:
            function(event)
        finally:
            close_old_connections()

    # What the core logs of a slow or failing hook.
    call.__qualname__ = getattr(function, "__qualname__", type(function).__qualname__)
    return call
