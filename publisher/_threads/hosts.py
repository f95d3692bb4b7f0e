"""What kind of process this is: green threads, an event loop, a subinterpreter, uWSGI."""

from __future__ import annotations

import _thread
import contextlib
import importlib
import signal
import sys

#: The libraries that make threads green: what they call it, and how to ask whether they have.
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


#: Those of them that had done so when this package was imported.
_patched_before_us = _patched()


def check_host() -> None:
    """Refuse a process in which threads cannot run; called before the first one is started.

    Raises:
        RuntimeError: background threads cannot run here; the text says what has to be changed.
    """
    for name in set(_patched()) - set(_patched_before_us):
        # Locks made before would be the system's, later ones green. A green thread that waits for a
        # lock of the system stops all other green threads, for good.
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
    """Whether this is another than the process's main interpreter.

    Such an interpreter may end before the process. Python aborts the process where one of its
    threads is alive then.
    """
    if hasattr(_thread, "_is_main_interpreter"):  # from 3.12 on
        return not _thread._is_main_interpreter()
    with contextlib.suppress(ImportError):
        interpreters = importlib.import_module("_xxsubinterpreters")
        return bool(interpreters.get_current() != interpreters.get_main())
    return False


def end_undisturbed() -> None:
    """In a uWSGI worker that ends, ignore further signals to end.

    uWSGI's handlers call C's ``exit()``, on whichever thread the system chose. A second call would
    skip the rest of the first one, in which everything is delivered.
    """
    if "uwsgi" in sys.modules:
        for name in ("SIGHUP", "SIGTERM"):
            # Not SIG_IGN: what is started from here on would inherit that.
            with contextlib.suppress(ValueError):  # not the main thread: it is theirs to set
                signal.signal(getattr(signal, name), _heed_not)


def _heed_not(_signum: int, _frame: object) -> None:
    """Ignore the signal: the process ends already."""


def runs_event_loop() -> bool:
    """Whether an event loop (asyncio's or trio's) runs on this thread: to wait would stop it."""
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
