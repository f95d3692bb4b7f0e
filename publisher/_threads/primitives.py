"""Primitives for threads that a signal handler or an exception may strike at any point.

An alarm is a lock that stays locked: who waits for it acquires it, and anybody may ring it, from a
signal handler or a finaliser too. A token is a list of one: who pops it has it, for ``list.pop`` is
whole where a lock could block.
"""

from __future__ import annotations

import contextlib
import logging
import threading

logger = logging.getLogger("publisher")


def locked() -> threading.Lock:
    """A new alarm."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def ring(lock: threading.Lock) -> None:
    """Let whoever waits for this alarm, or will, go on."""
    if lock.locked():
        with contextlib.suppress(RuntimeError):  # somebody else rang in between
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
