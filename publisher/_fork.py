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

    A module that another thread is importing at a fork can never be imported in the child, whose
    imports of it wait for that thread: the fork has to wait instead. No lock, which Ctrl-C could
    leave held: each notes itself first and then looks for the other.
    """

    def __init__(self) -> None:
        self._inside: list[Imports] = []  # some of them may be over
        self._forks = 0  # under way, or waiting for those

    def stretch(self) -> Imports:
        """To be begun."""
        return Imports(self)

    def enter(self, imports: Imports) -> None:
        """Note it, unless a fork is under way that does not wait for this thread already."""
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
        """Whether that thread is inside."""
        return thread in self._threads()

    def before_fork(self) -> None:
        """Wait until no other thread is inside, and keep others out; both not for ever."""
        me = threading.get_ident()
        self._forks += 1
        left = _FORK_WAITS
        while not self._threads() <= {me} and left > 0:
            _pause()
            left -= _LOOK_AGAIN

    def after_fork(self) -> None:
        """Let others in again; in the parent."""
        self._forks -= 1

    def _threads(self) -> set[int]:
        for one in self._inside.copy():
            if one.over:
                with contextlib.suppress(ValueError):  # somebody else came before
                    self._inside.remove(one)
        return {one.thread for one in self._inside.copy()}


def _pause() -> None:
    gate = threading.Lock()
    gate.acquire()
    gate.acquire(timeout=_LOOK_AGAIN)


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
