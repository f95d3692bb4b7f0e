"""Log lines that make no messages, or there would be no end to them.

A logging handler may publish what it is given. A request of ours makes botocore and urllib3 write
log lines; a message made of such a line would cause the next request, and that the next lines. A
line of our own (a hook raised) could go on in the same way. So whatever a logging handler publishes
is dropped while its thread makes a request or a boto3 client, or writes a line of ours. Lines about
losses are let through: there is at most one in ten seconds of a kind, and they are worth a message.

What user code publishes there by itself (a credential provider, an event handler, a finaliser) is a
message as any other.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from types import CodeType
from typing import Any

#: Which lines may make messages, in this context: one of the three below. It is read at each
#: publish, and a context variable costs half of what a ``threading.local`` does.
LINES: ContextVar[int] = ContextVar("publisher_lines", default=0)
ALL, UNTIL_CLOSED, NONE = range(3)
#: Lines of ours with such an ``event`` may make messages, until the publisher is closed.
_LOSSES = ("publisher.failed", "publisher.dropped")

#: Who opens such a block: a handler further out is of a line that was written before.
OPENERS: set[CodeType] = set()

_LOGGING = logging.Logger.callHandlers.__code__.co_filename


@contextlib.contextmanager
def quiet(which: int = NONE) -> Iterator[None]:
    """In this block, on this thread, log lines make no messages, or only those that may."""
    token = LINES.set(max(which, LINES.get()))
    try:
        yield
    finally:
        LINES.reset(token)


def is_line(*, closed: bool = False) -> bool:
    """Whether the caller is, in such a block, inside a logging handler.

    ``closed``: whether what it would publish with is closed.
    """
    if LINES.get() < (UNTIL_CLOSED if closed else NONE):
        return False
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _LOGGING:
            return True
        # A finaliser runs wherever garbage is collected, which may be inside a handler.
        if code.co_name == "__del__" or code in OPENERS:
            return False
        frame = frame.f_back
    return False


def _silence_own_lines(logger: logging.Logger) -> None:
    """Have this logger write its lines inside of :func:`quiet`."""
    call_handlers = logger.callHandlers

    def call_quietly(record: logging.LogRecord) -> None:
        with quiet(UNTIL_CLOSED if getattr(record, "event", None) in _LOSSES else NONE):
            call_handlers(record)

    logger.callHandlers = call_quietly  # type: ignore[method-assign]  # of one logger of ours


_silence_own_lines(logging.getLogger("publisher"))
