"""Telling hooks what happened.

The event of a message is built when the first hook is told of it. What may have changed by then
(its entry, its attempts) is noted beforehand, so that hooks see what was true when it happened.
What a hook raises is logged and goes no further.

The caller waits for ``on_accepted`` alone. The other methods run on the thread of callbacks, in the
context variables of whoever published the message (``structlog``'s, a tracer's). Those are captured
at acceptance, and only where a hook wants them.

A tracer of this package may have two methods beside those of :class:`publisher.Hook`:

``_publisher_prepare(service, operation, params) -> params``
    in the caller, before a call is checked: what it returns is checked, measured and sent.
``_publisher_sending(event, contexts) -> finish(event)``
    on a worker, around a request: the event, and the contexts of its messages.
"""

from __future__ import annotations

import contextvars
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from .._log_lines import ALL, LINES
from ..hooks import HOOK_METHODS, hook_methods, wants_context
from . import describing
from .events import Event

if TYPE_CHECKING:
    from .._engine.contract import Service
    from .._engine.message import Message
    from .._engine.outcomes import Report
    from .._engine.request import Request

logger = logging.getLogger("publisher")

Call = tuple[Callable[[Any], object], Any]


class Telling:
    """One event, for all hooks that are told of it."""

    __slots__ = ("_build", "_event", "context")

    def __init__(self, build: Callable[[], Event], context: contextvars.Context | None) -> None:
        self._build = build
        self._event: Event | None = None
        self.context = context

    @property
    def event(self) -> Event:
        if self._event is None:
            self._event = self._build()
        return self._event


class HookCall:
    """One method of one hook, with that method's name for the log."""

    __slots__ = ("__qualname__", "_in_context", "_method")

    def __init__(self, method: Callable[[Event], object], in_context: bool) -> None:
        self._method = method
        self._in_context = in_context
        self.__qualname__ = getattr(method, "__qualname__", type(method).__qualname__)

    def __call__(self, telling: Telling) -> None:
        if telling.context is None or not self._in_context:
            self._method(telling.event)
        else:
            telling.context.run(self._method, telling.event)


class Teller:
    """The hooks of one core.

    Args:
        hooks: of the options, checked.
    """

    def __init__(self, hooks: Sequence[Any]) -> None:
        self.hooks = tuple(hooks)
        self._calls: dict[str, list[HookCall]] = {name: [] for name in HOOK_METHODS}
        for hook in hooks:
            for name in HOOK_METHODS:
                for method in hook_methods((hook,), name):
                    self._calls[name].append(HookCall(method, wants_context(hook)))
        self._sending = _found(hooks, "_publisher_sending")
        self._prepare = _found(hooks, "_publisher_prepare")
        #: The contexts of the messages that live; None where no hook wants them.
        self._contexts: dict[Message, contextvars.Context] | None = None
        if any(map(wants_context, hooks)):
            self._contexts = {}
        self.on_accepted = self._calls["on_accepted"]
        #: Every message has to be shown to :meth:`accepted`.
        self.watches = bool(self.on_accepted) or self._contexts is not None
        self.brackets = bool(self._sending)

    # -- in the caller

    def accept(self, service: Service) -> Callable[[Mapping[str, Any]], Any]:
        """``service.accept``, behind what the hooks make of the arguments."""
        if not self._prepare:
            return service.accept
        return lambda params: service.accept(self.prepare(service, service.single, params))

    def prepare(
        self, service: Service, operation: str, params: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The arguments as the hooks would have them."""
        for prepare in self._prepare:
            try:
                params = prepare(service, operation, params)
            except Exception:
                logger.exception("%s raised", getattr(prepare, "__qualname__", "prepare"))
        return params

    def accepted(self, message: Message, size: int, *, entered: bool = True) -> None:
        """A message was accepted: keep its caller's context and, if it got in, tell the hooks."""
        if not message.route.lane.counters.of_messages:
            return
        context = None
        if self._contexts is not None:
            context = self._contexts[message] = contextvars.copy_context()
            if LINES.get():  # published inside a request: hooks are told outside of it
                context.run(LINES.set, ALL)
        if not entered or not self.on_accepted:
            return
        telling = Telling(
            functools.partial(describing.described, message, message.entry, size), context
        )
        for call in self.on_accepted:
            try:
                call(telling)
            except Exception:
                logger.exception("%s raised", call.__qualname__)

    def forget(self, message: Message) -> None:
        """It was not accepted after all."""
        if self._contexts is not None:
            self._contexts.pop(message, None)

    # -- on the sender's side; what is returned is run on the thread of callbacks

    def ended(
        self,
        name: str | None,
        told: Sequence[tuple[Message, Any, int]],
        codes: Sequence[str],
        reason: str | None,
        now: float,
    ) -> list[Call]:
        """Messages ended: told has each one's entry and size, for they have none any more.

        ``codes`` has what went wrong with each that failed, as the account names it.
        """
        contexts = self._contexts
        calls = self._calls[name] if name else []
        if contexts is None and not calls:
            return []
        made: list[Call] = []
        for (message, entry, size), code in zip_longest(told, codes):
            context = None if contexts is None else contexts.pop(message, None)
            if calls:
                build = functools.partial(describing.ended, message, entry, size, code, reason, now)
                telling = Telling(build, context)
                made += [(call, telling) for call in calls]
        return made

    def wants(self, name: str | None) -> bool:
        """Whether there is something to do at an end that hooks know as ``name``."""
        return self._contexts is not None or bool(name and self._calls[name])

    def sent(self, request: Request, report: Report) -> list[Call]:
        """A request came back."""
        made: list[Call] = []
        if calls := self._calls["on_sent"]:
            event = describing.sent(request, report)  # now: the messages' next tries are not in it
            telling = Telling(lambda: event, None)
            made += [(call, telling) for call in calls]
        if calls := self._calls["on_retry"]:
            for message, delay, failure in report.retried:
                if not message.route.lane.counters.of_messages:
                    continue
                context = None if self._contexts is None else self._contexts.get(message)
                build = functools.partial(
                    describing.retried, message, message.entry, message.attempts, delay, failure
                )
                telling = Telling(build, context)
                made += [(call, telling) for call in calls]
        return made

    def bracket(self, request: Request, send: Callable[[], Report]) -> Report:
        """Send a request with the tracers around it."""
        contexts = self._contexts or {}
        found = [contexts[message] for message in request.messages if message in contexts]
        before = describing.about_to_send(request)
        finishers = []
        for sending in self._sending:
            try:
                finishers.append(sending(before, found))
            except Exception:
                logger.exception("%s raised", getattr(sending, "__qualname__", "sending"))
        report = send()
        after = describing.sent(request, report)
        for finish in reversed(finishers):
            try:
                finish(after)
            except Exception:
                logger.exception("%s raised", getattr(finish, "__qualname__", "sending"))
        return report


def _found(hooks: Sequence[Any], name: str) -> list[Any]:
    return [getattr(hook, name) for hook in hooks if getattr(hook, name, None) is not None]
