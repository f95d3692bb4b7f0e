"""AWS Lambda: deliver before the handler returns, where the sandbox and its threads are frozen."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar, overload

from .._callables import runs_nothing
from .._counting import counted
from . import _everywhere

logger = logging.getLogger("publisher")

Handler = TypeVar("Handler", bound=Callable[..., Any])


@overload
def flush_on_return(handler: Handler) -> Handler: ...
@overload
def flush_on_return(*, margin: float = ...) -> Callable[[Handler], Handler]: ...
def flush_on_return(handler: Any = None, *, margin: float = 0.5) -> Any:
    """Decorate a Lambda handler: what it published is delivered before it returns, or raises.

    Used as ``@flush_on_return`` or ``@flush_on_return(margin=1.0)``; above or below other
    decorators. Every publisher of the process is flushed, for at most the time that the invocation
    has left, less the margin. What is not delivered by then is logged, stays accepted, and goes on
    when the sandbox is thawed for the next invocation, if there is one. The handler's own result or
    exception is never changed.

    Args:
        handler: called with the event and the context, as Lambda does.
        margin: seconds of the remaining time that are left for the return itself.

    Raises:
        TypeError: the handler is none that Lambda can call, or the margin is not a number.
        ValueError: the margin is negative.
    """
    if handler is None:
        return functools.partial(flush_on_return, margin=_checked(margin))
    _checked(margin)
    if not callable(handler) or runs_nothing(handler):
        raise TypeError(
            f"flush_on_return decorates a function of (event, context), not {handler!r}"
        )

    @functools.wraps(handler)
    def flushing(event: Any, context: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return handler(event, context, *args, **kwargs)
        finally:
            try:
                _flush(context, margin)
            except Exception:
                logger.exception("flush_on_return could not flush")

    return flushing


def _flush(context: Any, margin: float) -> None:
    unresolved = _everywhere.flush(_seconds_left(context, margin))
    if unresolved:
        logger.warning(
            "%s not delivered within the invocation; the next one goes on",
            counted(unresolved, "message", "were"),
            extra={"event": "publisher.unresolved", "messages": unresolved},
        )


def _seconds_left(context: Any, margin: float) -> float | None:
    """None without a clock (a test's context): the messages' own deadlines are the bound then."""
    try:
        remaining = context.get_remaining_time_in_millis()
    except Exception:  # noqa: BLE001 - whatever stands in for a context
        return None
    return max(remaining / 1000 - margin, 0.0) if isinstance(remaining, (int, float)) else None


def _checked(margin: Any) -> float:
    if isinstance(margin, bool) or not isinstance(margin, (int, float)):
        kind = type(margin).__name__
        raise TypeError(f"margin must be a number of seconds, 0 or more, not {kind}")
    if not 0 <= margin < float("inf"):
        raise ValueError(f"margin must be a number of seconds, 0 or more, not {margin!r}")
    return margin
