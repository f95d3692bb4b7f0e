"""Which process is this: a fork noticed without a system call.

Python's at-fork handlers do not run in every host (uWSGI forks without telling Python), and asking
for the pid at every call costs as much as the rest of it on some systems. Linux wipes a page that
was marked so in the child of every fork, whoever forks: reading one byte of it is the question.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections.abc import Callable
from typing import Any

_WIPE_ON_FORK = 18  # MADV_WIPEONFORK of Linux's mman.h, from 4.14 on; Python has no name for it


class _Pid:
    """The same answer where the system cannot wipe pages."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def __getitem__(self, index: int) -> int:
        return int(self.pid == os.getpid())

    def __setitem__(self, index: int, value: int) -> None:
        self.pid = os.getpid()


def _page() -> mmap.mmap | _Pid:
    with contextlib.suppress(AttributeError, OSError, ValueError):
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_WIPE_ON_FORK)
        page[0] = 1
        return page
    return _Pid()


#: ``HERE[0]`` is 1 in the process that has taken note of itself, and 0 in the child of a fork.
HERE: mmap.mmap | _Pid = _page()
_renewals: list[Callable[[], None]] = []


def on_fork(renew: Callable[[], None]) -> None:
    """Have ``renew`` called in the child of every fork; more than once does no harm there."""
    _renewals.append(renew)


def take_note() -> None:
    """In the child of a fork, once it is noticed: forget what is the parent's. Else do nothing."""
    if not HERE[0]:
        for renew in _renewals:
            renew()
        HERE[0] = 1


def _after_fork() -> None:
    HERE[0] = 0
    take_note()


#: A fork waits at most so long for modules that our threads are importing, seconds.
_FORK_WAITS = 10.0
#: By process: a fork that did not wait may leave it locked.
_importing: dict[int, Any] = {}


def importing() -> Any:
    """The lock of this process that a thread of ours holds while it imports modules.

    A module that another thread is importing at a fork can never be imported in the child, whose
    imports of it wait for that thread: the fork has to wait instead.
    """
    return _importing.setdefault(os.getpid(), threading.RLock())


def _before_fork() -> None:
    importing().acquire(timeout=_FORK_WAITS)


def _after_fork_in_parent() -> None:
    with contextlib.suppress(RuntimeError):  # it did not get it in time
        importing().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork,
    )
