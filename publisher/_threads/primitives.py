"""What threads wait and compete with: safe wherever a signal handler or an exception interrupts.

An *alarm* is a lock that is kept locked. Who waits for it acquires it; to ring it is to release it,
which signal handlers and finalisers may do too. A *token* is a list of one item. Whoever pops that
item has the token: ``list.pop`` is atomic, and unlike a lock it never blocks.
"""

from __future__ import annotations

import contextlib
import logging
import threading

logger = logging.getLogger("publisher")


def locked() -> threading.Lock:
    """A new alarm, which has not rung."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def ring(lock: threading.Lock) -> None:
    """Release whoever waits for this alarm; if nobody does, the next one who would."""
    if lock.locked():
        with contextlib.suppress(RuntimeError):  # it has rung already
            lock.release()


def pop(token: list[None]) -> bool:
    """Take a token; False where somebody else has it."""
    try:
        token.pop()
    except IndexError:
        return False
    return True


def join(thread: threading.Thread, timeout: float) -> None:
    """Wait until a thread has ended, at most ``timeout`` seconds."""
    try:
        thread.join(timeout)
    except BaseException as error:
        # From 3.13 on eventlet raises this where time is up, and it is no Exception.
        if type(error).__module__ != "eventlet.timeout":
            raise


def tell_error(text: str, *arguments: object, level: int = logging.CRITICAL) -> None:
    """Log the exception that is being handled; a handler that raises ends no thread of ours."""
    with contextlib.suppress(BaseException):
        logger.log(level, text, *arguments, exc_info=True)
