"""The process and the machine: versions, threads, forks, monkey-patching, limits."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import platform
import sys
from collections.abc import Iterator
from typing import Any

from .finding import ERROR, NOTE, OK, WARNING, Finding

_LIBRARIES = ("boto3-publisher", "boto3", "botocore", "tenacity", "urllib3")
_MIN_FILES = 256


def findings() -> Iterator[Finding]:
    """What can be said without any AWS."""
    yield _versions()
    yield from _patching()
    yield from _uwsgi(sys.modules.get("uwsgi"))
    yield from _forks()
    yield from _limits()


def _versions() -> Finding:
    found = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} (not installed as a package)")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        python += " without a GIL"
    cores = f"{os.cpu_count()} CPUs"
    return Finding(OK, "versions", ", ".join([python, *found, platform.platform(), cores]))


def _patching() -> Iterator[Finding]:
    patched = getattr(sys.modules.get("gevent.monkey"), "is_module_patched", None)
    if patched is not None:
        modules = {name: patched(name) for name in ("threading", "socket", "ssl", "time")}
        names = ", ".join(name for name, is_patched in modules.items() if is_patched)
        if all(modules.values()):
            yield Finding(NOTE, "gevent", "everything is patched: threads here are greenlets")
        elif any(modules.values()):
            yield Finding(
                WARNING,
                "gevent",
                f"only {names} is patched: threads and sockets do not wait for each other",
                "call gevent.monkey.patch_all() first of all, before boto3 is imported",
            )
    patched = getattr(sys.modules.get("eventlet.patcher"), "is_monkey_patched", None)
    if patched is not None and patched("socket"):
        yield Finding(
            WARNING,
            "eventlet",
            "sockets are patched by eventlet, which its makers have given up",
            "move to threads or gevent",
        )


def _uwsgi(uwsgi: Any) -> Iterator[Finding]:
    options = getattr(uwsgi, "opt", None)
    if not options:
        return
    names = {key.decode() if isinstance(key, bytes) else str(key) for key in options}
    if not names & {"enable-threads", "threads"}:
        yield Finding(
            ERROR,
            "uWSGI",
            "threads are off: what runs in the background stands still",
            "set enable-threads = true",
        )
    if "die-on-term" in names:
        yield Finding(
            WARNING,
            "uWSGI",
            "die-on-term: a busy worker ends at once, and what it had accepted is lost",
            "set hook-master-start = unix_signal:15 gracefully_kill_them_all in its place",
        )
    if "master" in names and not names & {"lazy-apps", "lazy"}:
        yield Finding(
            NOTE,
            "uWSGI",
            "the application is loaded before the fork: what it publishes then is the master's",
            "set lazy-apps = true, or publish only in requests",
        )


def _forks() -> Iterator[Finding]:
    method = multiprocessing.get_start_method(allow_none=True)
    if hasattr(os, "register_at_fork"):
        text = (
            f"multiprocessing starts with {method or 'its default'}; forked children start afresh"
        )
        yield Finding(OK, "fork", text)
    else:
        yield Finding(OK, "fork", "this system does not fork")


def _limits() -> Iterator[Finding]:
    try:
        import resource
    except ImportError:  # Windows
        return
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= files < _MIN_FILES:
        yield Finding(
            WARNING,
            "open files",
            f"the limit is {files}: connections may not open",
            f"raise it to {_MIN_FILES} or more (ulimit -n)",
        )
