"""The events that hooks are told, made of messages and requests."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .events import Attempt, Event, Failure, label_of

if TYPE_CHECKING:
    from .._engine.contract import Target
    from .._engine.message import Message
    from .._engine.outcomes import Report
    from .._engine.request import Request


def errors_of(report: Report) -> tuple[Counter[str], Counter[str]]:
    """A request's failed tries by error code, and by shard where the error names one."""
    codes: Counter[str] = Counter()
    shards: Counter[str] = Counter()
    lost = [message for message, _ in report.failed]
    for message in [*lost, *(message for message, *_ in report.retried)]:
        attempt = message.history[-1]
        codes[message.route.lane.counters.named(label_of(attempt))] += 1
        target: Target = message.route.lane.target
        if shard := target.service.shard_in(attempt.error_message or ""):
            shards[shard] += 1
    return codes, shards


def described(message: Message, entry: Any, size: int, **more: Any) -> Event:
    """An event about one message."""
    target: Target = message.route.lane.target
    return Event(
        service=target.service.name,
        operation=target.operation,
        destination=target.key,
        params=target.params(entry) if entry is not None else {},
        size=size,
        **more,
    )


def ended(
    message: Message, entry: Any, size: int, code: str | None, reason: str | None, now: float
) -> Event:
    """The event of a message's end; ``code`` is the account's name of what went wrong."""
    value = message._outcome(0)
    failed = isinstance(value, BaseException)
    return described(
        message,
        entry,
        size,
        attempts=message.attempts,
        error_code=code,
        response=None if failed else value,
        exception=value if failed else None,
        duration=now - message.accepted,
        reason=reason,
    )


def retried(
    message: Message, entry: Any, attempts: tuple[Attempt, ...], delay: float, failure: Failure
) -> Event:
    """The event of a try that failed, before the next one."""
    target: Target = message.route.lane.target
    return described(
        message,
        entry,
        message.route.lane.measure(entry) if entry is not None else 0,
        attempts=attempts,
        error_code=message.route.lane.counters.named(failure.label),
        exception=target.error(failure),
        delay=delay,
    )


def about_to_send(request: Request) -> Event:
    """The event of a request that is about to go out."""
    target: Target = request.lane.target
    return Event(
        service=target.service.name,
        operation=target.sends(sum(message.count for message in request.messages)),
        destination=target.key,
        messages=_messages_in(request),
    )


def _messages_in(request: Request) -> int:
    return len(request.messages) if request.lane.counters.of_messages else 0


def sent(request: Request, report: Report) -> Event:
    """The event of a request that came back."""
    target: Target = request.lane.target
    attempts = request.messages[0].history[-1:]
    errors = dict(errors_of(report)[0])
    code = None  # of a request that delivered nothing
    if sum(errors.values()) >= len(request.messages):
        code = next(iter(errors), None)
    elif attempts and attempts[0].split:
        code = request.lane.counters.named(label_of(attempts[0]))
    return Event(
        service=target.service.name,
        operation=report.sent_as or target.sends(1),
        destination=target.key,
        size=report.size,
        messages=_messages_in(request),
        duration=report.duration,
        attempts=attempts,
        error_code=code,
        errors=errors,
    )
