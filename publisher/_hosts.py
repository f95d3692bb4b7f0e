"""What the host is: one in which nothing could work as it is set up, or one with an event loop."""

from __future__ import annotations

import contextlib
import sys


def _patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


_patched_before_us = _patched()


def check_host() -> None:
    """Called before the first thread of a process is started.

    Raises:
        RuntimeError: background threads cannot run here; the text says what has to be changed.
    """
    if _patched() and not _patched_before_us:
        # Half of the locks would be gevent's, half the system's: a greenlet that waits for one of
        # the latter stops all others, for good.
        raise RuntimeError(
            "gevent patched the standard library after publisher was imported: call"
            " gevent.monkey.patch_all() before any other import (under gunicorn: at the top of its"
            " configuration file, or run it without --preload)"
        )
    uwsgi = sys.modules.get("uwsgi")  # the module that uWSGI puts there
    if uwsgi is not None and not getattr(uwsgi, "has_threads", True):
        raise RuntimeError(
            "uWSGI runs without threads, and messages are sent by threads: start it with"
            " --enable-threads"
        )


def runs_event_loop() -> bool:
    """Whether an event loop runs on this thread, asyncio's or trio's: whoever waits holds it."""
    asyncio = sys.modules.get("asyncio")  # where nobody imported it no loop runs
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return True
    trio = sys.modules.get("trio")
    if trio is not None:
        # Not yet all there while it is being imported. trio's own answer to "no" is an exception.
        with contextlib.suppress(AttributeError, RuntimeError):
            trio.lowlevel.current_trio_token()
            return True
    return False
