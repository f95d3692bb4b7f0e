"""Noticing a fork, without a system call.

Python's at-fork handlers do not run in every host: uWSGI forks without telling Python. To ask for
the pid at every call would, on some systems, double what a call costs. But Linux can wipe a page of
memory in the child of every fork, whoever forks. So reading one byte tells which process this is.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections.abc import Callable

_WIPE_ON_FORK = 18  # MADV_WIPEONFORK of Linux's mman.h, from 4.14 on; Python has no name for it


class _Pid:
    """Stands in for that byte where the system cannot wipe pages: it compares the pid."""

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


def on_fork(renew: Callable[[], None], *, first: bool = False) -> None:
    """Have ``renew`` called in the child of every fork, perhaps more than once.

    Args:
        renew: is called without arguments.
        first: before all others, which may let go of what the parent had.
    """
    if first:
        _renewals.insert(0, renew)
    else:
        _renewals.append(renew)


def take_note() -> None:
    """In the child of a fork forget what is the parent's; elsewhere do nothing."""
    if not HERE[0]:
        for renew in _renewals:
            renew()
        HERE[0] = 1


def _after_fork() -> None:
    HERE[0] = 0
    take_note()


#: Seconds that a fork waits at most for threads of ours that are importing modules.
_FORK_WAITS = 10.0
#: Seconds that whoever wants to import waits at most for a fork.
_IMPORT_WAITS = 1.0


_LOOK_AGAIN = 0.01


class Imports:
    """A stretch of work that imports modules, on one thread; any number at once.

    ::

        imports = importing().stretch()
        try:
            imports.begin()
            ...
        finally:
            imports.over = True  # no call, in which Ctrl-C could come between
    """

    __slots__ = ("_importing", "over", "thread")

    def __init__(self, of: Importing) -> None:
        self._importing = of
        self.thread = threading.get_ident()
        self.over = False

    def begin(self) -> None:
        """Wait for forks that are under way; after a while begin all the same."""
        self._importing.enter(self)


class Importing:
    """Who imports modules of ours in this process, and who forks.

    Where another thread is importing a module at a fork, the child can never import that module: it
    waits for a thread that it does not have. So the fork waits instead. There is no lock for this,
    for Ctrl-C could leave it held: each side first notes itself, then looks for the other.
    """

    def __init__(self) -> None:
        self._inside: list[Imports] = []  # some of them may be over
        self._forks = 0  # under way, or waiting for those

    def stretch(self) -> Imports:
        """A new stretch, which is not begun yet."""
        return Imports(self)

    def enter(self, imports: Imports) -> None:
        """Note a stretch, unless a fork is under way that does not yet wait for this thread."""
        nested = self.has(imports.thread)
        left = _IMPORT_WAITS
        while True:
            self._inside.append(imports)
            if nested or not self._forks or left <= 0:
                return
            self._inside.remove(imports)
            _pause()
            left -= _LOOK_AGAIN

    def has(self, thread: int) -> bool:
        """Whether the thread is importing."""
        return thread in self._threads()

    def before_fork(self) -> None:
        """Wait until no other thread is importing, and keep others from it; neither for ever."""
        me = threading.get_ident()
        self._forks += 1
        left = _FORK_WAITS
        while not self._threads() <= {me} and left > 0:
            _pause()
            left -= _LOOK_AGAIN

    def after_fork(self) -> None:
        """Let others import again; called in the parent."""
        self._forks -= 1

    def _threads(self) -> set[int]:
        for one in self._inside.copy():
            if one.over:
                with contextlib.suppress(ValueError):  # another thread was quicker
                    self._inside.remove(one)
        return {one.thread for one in self._inside.copy()}


def _pause() -> None:
    gate = threading.Lock()
    gate.acquire()
    gate.acquire(timeout=_LOOK_AGAIN)


#: By process: after a fork that did not wait, threads are noted that the child does not have.
_importing: dict[int, Importing] = {}


def importing() -> Importing:
    """Who imports and who forks in this process."""
    return _importing.setdefault(os.getpid(), Importing())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: importing().before_fork(),
        after_in_parent=lambda: importing().after_fork(),
        after_in_child=_after_fork,
    )
