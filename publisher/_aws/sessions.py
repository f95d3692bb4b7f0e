"""The boto3 sessions that clients are made with, and their locks.

All clients that were given no session share one of ours, so that a process asks for its credentials
once: the default session where the application has set one up, otherwise one that nobody else uses.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from contextlib import AbstractContextManager
from typing import Any

import botocore.handlers
import botocore.session


class Locks:
    """The locks of one session, which is not thread-safe while it makes a client.

    ``fetching`` is held while it fetches credentials, ``making`` while it makes a client.
    """

    def __init__(self) -> None:
        self.fetching = threading.RLock()
        self.making = threading.RLock()


class _Process:
    """The sessions of one process. A forked child has others: the parent's locks may be held."""

    def __init__(self) -> None:
        self.locks: weakref.WeakKeyDictionary[Any, Locks] = weakref.WeakKeyDictionary()
        self.common = (
            Locks()
        )  # the locks of sessions without a hash, or that take no weak references
        #: Guards what stands below, and the configuration of sessions while it is read. Held for
        #: moments; re-entrant, for a signal handler may ask for a client.
        self.lock = threading.RLock()
        self.session: Any = None  # boto3's, around the next
        self.inner: Any = None  # botocore's
        self.made_of: Any = None


_processes: dict[int, _Process] = {}


def _process() -> _Process:
    return _processes.setdefault(os.getpid(), _Process())


def locks_of(session: Any) -> Locks:
    """The locks of a session, or of something of the user's that stands in for one."""
    process = _process()
    try:
        return process.locks.setdefault(session, Locks())
    except TypeError:
        return process.common


def reading() -> AbstractContextManager[object]:
    """Held while a session's configuration is read: botocore loads it at its first use."""
    return _process().lock


def inner(session: Any) -> Any:
    """The botocore session of a boto3 session; for None, of the one that all clients share.

    None where the object only stands in for a session. boto3 is not imported for this.
    """
    if session is None:
        session = getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)
    if session is None:
        process = _process()
        with process.lock:
            return _ours_locked(process)
    found = getattr(session, "_session", None)
    return found if isinstance(found, botocore.session.Session) else None


def current() -> Any:
    """The session for a client that was given none."""
    import boto3

    if boto3.DEFAULT_SESSION is not None:
        return boto3.DEFAULT_SESSION
    process = _process()
    with process.lock:
        found = _ours_locked(process)
        if process.session is None:
            process.session = boto3.Session(botocore_session=found)
        return process.session


def forget(session: Any) -> None:
    """Make a new session, for the credentials of this one have expired or are unknown."""
    process = _process()
    with process.lock:
        if process.session is session:
            process.session = process.inner = None


def _ours_locked(process: _Process) -> Any:
    made_of = _configured()
    if process.inner is None or process.made_of != made_of:
        process.inner, process.made_of = botocore.session.get_session(), made_of
        process.session = None
    return process.inner


def _configured() -> Any:
    """What a session reads once and keeps for ever; equal as long as nothing has changed.

    The variables of the environment, and botocore's handlers (moto adds its own when imported).
    """
    variables = [item for item in os.environ.items() if item[0].startswith("AWS_")]
    return hash(tuple(sorted(variables))), len(botocore.handlers.BUILTIN_HANDLERS)
