"""What the host is: whether threads can run here, an event loop does, or a subinterpreter."""

from __future__ import annotations

import _thread
import contextlib
import importlib
import signal
import sys

#: Who makes threads green: how it does, and how to ask whether it has.
_ASK = {
    "gevent": ("gevent.monkey", "is_module_patched", "threading", "gevent.monkey.patch_all()"),
    "eventlet": ("eventlet.patcher", "is_monkey_patched", "thread", "eventlet.monkey_patch()"),
}


def _patched() -> list[str]:
    found = []
    for name, (module, asked, what, _) in _ASK.items():
        ask = getattr(sys.modules.get(module), asked, None)
        if ask is not None and ask(what):
            found.append(name)
    return found


#: By whom when this package was imported.
_patched_before_us = _patched()


def check_host() -> None:
    """Called before the first thread of a process is started.

    Raises:
        RuntimeError: background threads cannot run here; the text says what has to be changed.
    """
    for name in set(_patched()) - set(_patched_before_us):
        # Half of the locks would be green, half the system's: a green thread that waits for one of
        # the latter stops all others, for good.
        raise RuntimeError(
            f"{name} patched the standard library after publisher was imported: call"
            f" {_ASK[name][-1]} before any other import (under gunicorn: at the top of its"
            " configuration file, or run it without --preload)"
        )
    uwsgi = sys.modules.get("uwsgi")  # the module that uWSGI puts there
    if uwsgi is not None and not getattr(uwsgi, "has_threads", True):
        raise RuntimeError(
            "uWSGI runs without threads, and messages are sent by threads: start it with"
            " --enable-threads"
        )


def in_subinterpreter() -> bool:
    """Whether this is not the process's main interpreter: its end may come before the process's.

    Python aborts the whole process where a thread of such an interpreter outlives it.
    """
    if hasattr(_thread, "_is_main_interpreter"):  # from 3.12 on
        return not _thread._is_main_interpreter()
    with contextlib.suppress(ImportError):
        interpreters = importlib.import_module("_xxsubinterpreters")
        return bool(interpreters.get_current() != interpreters.get_main())
    return False


def end_undisturbed() -> None:
    """Have a further signal not end a process that ends already; for uWSGI's workers.

    The handlers of uWSGI call ``exit()`` of C, on whatever thread the system chose. A second time
    that skips the rest of the first, which is where everything is delivered.
    """
    if "uwsgi" in sys.modules:
        for name in ("SIGHUP", "SIGTERM"):
            # Not SIG_IGN: what is started from here on would inherit that.
            with contextlib.suppress(ValueError):  # not the main thread: it is theirs to set
                signal.signal(getattr(signal, name), _heed_not)


def _heed_not(_signum: int, _frame: object) -> None:
    """The process ends already."""


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
