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
#: And who wants to import waits at most so long for a fork.
_IMPORT_WAITS = 1.0


class Importing:
    """``with importing():`` around what of ours imports modules, on any thread, any number at once.

    A module that another thread is importing at a fork can never be imported in the child, whose
    imports of it wait for that thread: the fork has to wait instead.
    """

    def __init__(self) -> None:
        # Guards what stands below it, and tells of each change.
        self._changed = threading.Condition(threading.RLock())
        self._threads: list[int] = []  # those inside
        self._forks = 0  # under way, or waiting for those

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._forks or self.has(me), _IMPORT_WAITS)
            self._threads.append(me)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._threads.remove(threading.get_ident())
            self._changed.notify_all()

    def has(self, thread: int) -> bool:
        """Whether that thread is inside."""
        return thread in self._threads

    def before_fork(self) -> None:
        """Wait until no other thread is inside, and keep others out; both not for ever."""
        me = threading.get_ident()
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: set(self._threads) <= {me}, _FORK_WAITS)

    def after_fork(self) -> None:
        """Let others in again; in the parent."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()


#: By process: at a fork that did not wait somebody is inside who does not exist in the child.
_importing: dict[int, Importing] = {}


def importing() -> Importing:
    """That of this process."""
    return _importing.setdefault(os.getpid(), Importing())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: importing().before_fork(),
        after_in_parent=lambda: importing().after_fork(),
        after_in_child=_after_fork,
    )
