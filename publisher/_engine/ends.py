"""How a message ends without being delivered, and what its future keeps of that until it is read.

A future keeps ``(build, first, second)``: the exception is made when somebody asks for it. Where a
message ends together with others, a function here gives what it keeps, the end, and the reason.
"""

from __future__ import annotations

from typing import Any

from .._account.events import Failure
from ..errors import (
    BufferFull,
    DeliveryTimeout,
    PublisherClosed,
    PublisherError,
    StillSpooled,
    retries_exhausted,
)
from .contract import Target
from .message import Message

DELIVERED, FAILED, DROPPED, WITHDRAWN = "delivered", "failed", "dropped", "cancelled"
#: It is not lost: it stays in the store, and is offered again.
SPOOLED = "spooled"
#: The reason of a message that ends so because another process is to send it.
HANDED_OVER = "handed over"
#: The reason of one that found the memory full.
OVERFLOWED = "overflowed"


# -- after a try


def build_error(target: Target, failure: Failure) -> BaseException:
    return target.error(failure)


def build_exhausted(context: tuple[Target, int, bool], failure: Failure) -> BaseException:
    target, tries, unknown = context
    return retries_exhausted(
        target.error(failure), tries=tries, outcome_unknown=unknown, last_code=failure.code
    )


def build_timeout(context: tuple[Target, float, bool], failure: Failure) -> BaseException:
    target, timeout, unknown = context
    return timed_out(timeout, unknown, failure.code, target.error(failure))


def timed_out(
    timeout: float, unknown: bool, code: str | None, cause: BaseException | None
) -> DeliveryTimeout:
    """The exception of a message that did not make it within ``timeout`` seconds."""
    last = f"; the last error was {code}" if code else "" if unknown else "; it was never sent"
    maybe = "; the service may have stored it" if unknown else ""
    return DeliveryTimeout(
        f"no outcome within delivery_timeout={timeout:g} s{last}{maybe}",
        outcome_unknown=unknown,
        last_code=code,
        cause=cause,
    )


def failure_of(value: Any) -> Failure | None:
    """The failure behind what a future keeps, if a service or the network caused it."""
    parts = value if type(value) is tuple else ()
    return next((part for part in parts if isinstance(part, Failure)), None)


def error_named(value: Any, operation: str) -> Any:
    """The exception that a failed future keeps as ``value``; it names ``operation``."""
    if type(value) is not tuple:
        return value
    build, context, rest = value
    if build is build_error:
        context = context.named(operation)
    elif build in (build_exhausted, build_timeout):
        context = (context[0].named(operation), *context[1:])
    return build(context, rest)


# -- for other reasons


def refusal() -> PublisherClosed:
    """What a closed publisher says to who wants to publish."""
    return PublisherClosed(
        "the publisher is closed; publisher.configure() or publisher.Publisher() makes a new one"
    )


def build_staying(message: Message, why: str) -> BaseException:
    """What a message says that stays in the store, ``why`` in words that follow a semicolon."""
    unknown, code, cause = _history(message)
    maybe = "; the service may have stored it" if unknown else ""
    return StillSpooled(
        f"{why}; the message is not lost: it stays in the spool and is offered again{maybe}",
        outcome_unknown=unknown,
        last_code=code,
        cause=cause,
    )


def build_too_old(max_age: float, _: None) -> BaseException:
    return DeliveryTimeout(
        f"it stayed in the spool for longer than max_age={max_age:g} s; the service may have stored"
        " it",
        outcome_unknown=True,
    )


def answer_handed_over(_: Any, receipt: Any) -> dict[str, Any]:
    return dict(receipt)


def build_full(text: str, _: None) -> BaseException:
    return BufferFull(text)


def build_line(*_: None) -> BaseException:
    return PublisherError(
        "a logging handler published a line that a request of the publisher's caused, or a line of"
        " the publisher's own: the message was dropped, for it would have caused others without"
        " end; give the handler the filter publisher.contrib.log_filter.OutsideRequests()"
    )


def _history(message: Message) -> tuple[bool, str | None, BaseException | None]:
    """Whether the service may have stored it, and what its last try met."""
    last = message.history[-1] if message.history else None
    unknown = any(attempt.outcome_unknown for attempt in message.history)
    if last is None or last.error_code is None:
        return unknown, None, None
    target: Target = message.route.lane.target
    return unknown, last.error_code, target.error_of(last)


def expired(message: Message) -> tuple[Any, str, str | None]:
    if message.kept is not None:
        return (build_staying, message, late_text(message)), SPOOLED, None
    value = (_build_late, message, None)
    return value, *((FAILED, None) if message.history else (DROPPED, "expired"))


def overdue(message: Message) -> tuple[Any, str, str | None]:
    if message.kept is not None:
        return (build_staying, message, late_text(message)), SPOOLED, None
    return (_build_late, message, True), FAILED, None


def late_text(message: Message) -> str:
    text = f"no outcome within delivery_timeout={message.route.delivery.timeout:g} s"
    if message.route.lane.is_behind_with(message.entry):
        text += ", for it or for an earlier one of its group"
    return text


def _build_late(message: Message, carried: bool | None) -> BaseException:
    unknown, code, cause = _history(message)
    return timed_out(message.route.delivery.timeout, unknown or bool(carried), code, cause)


def closed(message: Message) -> tuple[Any, str, str | None]:
    if message.kept is not None:
        return (build_staying, message, _CLOSED), SPOOLED, None
    return (_build_closed, message, False), *(
        (FAILED, None) if message.history else (DROPPED, "closed")
    )


def closed_in_flight(message: Message) -> tuple[Any, str, str | None]:
    if message.kept is not None:
        return (build_staying, message, _CLOSED), SPOOLED, None
    return (_build_closed, message, True), FAILED, None


def broken(message: Message) -> tuple[Any, str, str | None]:
    """Of a request that could not be handled, by a fault of ours."""
    text = "the publisher could not handle the answer"
    if message.kept is not None:
        return (build_staying, message, text), SPOOLED, None
    return PublisherClosed(text, outcome_unknown=True), FAILED, None


_CLOSED = "the publisher was closed before the message was delivered"


def _build_closed(message: Message, carried: bool) -> BaseException:
    unknown, code, cause = _history(message)
    unknown = unknown or carried
    maybe = "; the service may have stored it" if unknown else "; it is not stored"
    return PublisherClosed(
        f"the publisher was closed before the message was delivered{maybe}",
        outcome_unknown=unknown,
        last_code=code,
        cause=cause,
    )
