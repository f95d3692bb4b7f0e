"""The directory of a spool: that it is safe, what is in it, and the locks of its owners.

A lock of ``lockf`` belongs to a process, not to a descriptor: closing any descriptor of the file
gives it back. So this process notes which locks it holds, by device and inode of the directory, and
never opens the file of one that it holds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .._fork import on_fork
from .safety import check, check_platform, fcntl

RELAY_LOCK = "relay"
_OWNER = r"[hr][0-9a-f]{16}"
_OWNED = re.compile(rf"({_OWNER})[.-]")
_SEGMENT = re.compile(rf"{_OWNER}-([1-9][0-9]{{0,11}})\.(log|done|tmp)")
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # which does not wait for a pipe's other end
_MADE_NEW = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
_APPENDED = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
#: What is said of a file that is not a private one of this user: a link, a pipe, another's.
FOREIGN = frozenset({errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EPERM})
#: What is put aside of damaged files: so many pieces at most, and so much of each.
_PIECES, _PIECE = 100, 1 << 20


def prepare(path: str | os.PathLike[str], *, mountinfo: str | None = None) -> Directory:
    """The directory, made if it is not there yet; the one above it must exist.

    Args:
        path: where it is.
        mountinfo: what is mounted where, in the form of Linux's ``/proc/self/mountinfo``, which is
            read if it is None.

    Raises:
        ValueError: it cannot be used safely; the text says why, and what to do.
        OSError: it cannot be made or looked at.
    """
    where = os.path.abspath(os.fspath(path))  # noqa: PTH100  # Path keeps ".." of links as it is
    check_platform()
    with contextlib.suppress(FileExistsError):
        os.mkdir(where, 0o700)  # noqa: PTH102  # what is here is a text
    found = check(where, mountinfo=mountinfo)
    return Directory(where, found.st_dev, found.st_ino)


class Directory:
    """A directory that is safe to use.

    The calls that change it are attributes, so that tests can make each fail, or be the last one.
    """

    def __init__(self, path: str, device: int, inode: int) -> None:
        self.path = path
        self.key = (device, inode)
        self.unlink: Callable[[str], None] = os.unlink
        self.rename: Callable[[str, str], None] = os.replace
        self.write: Callable[[int, bytes], int] = os.write
        self.fdatasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

    def __repr__(self) -> str:
        return f"<Directory {self.path!r}>"

    def join(self, name: str) -> str:
        """The path of one of its files."""
        return f"{self.path}/{name}"

    def create(self, name: str) -> int:
        """A new file to append to; it is an error if there is one of that name."""
        return os.open(self.join(name), _MADE_NEW | _SAFE, 0o600)

    def append_to(self, name: str) -> int:
        """A file to append to, made if it is not there."""
        return self._checked(os.open(self.join(name), _APPENDED | _SAFE, 0o600), name)

    def read_from(self, name: str) -> int:
        """A file to read."""
        return self._checked(os.open(self.join(name), _READ | _SAFE), name)

    def _checked(self, descriptor: int, name: str) -> int:
        try:
            check_private(descriptor, name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def remove(self, name: str) -> None:
        """Unlink a file; it may be gone already."""
        with contextlib.suppress(FileNotFoundError):
            self.unlink(self.join(name))

    def size(self, name: str) -> int:
        """The bytes of a file; 0 if that cannot be said."""
        with contextlib.suppress(OSError):
            return os.lstat(self.join(name)).st_size
        return 0

    def sync(self) -> None:
        """Have the disk know the names of the files."""
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def files(self) -> dict[str, list[str]]:
        """The names of the files of each owner: one look at the directory for all of them."""
        found: dict[str, list[str]] = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if match := _OWNED.match(entry.name):
                    found.setdefault(match[1], []).append(entry.name)
        return found

    def owners(self, mode: str = "hr") -> list[str]:
        """Whose files are here, this process's own left out."""
        return sorted(
            owner for owner in self.files() if owner[0] in mode and not is_held(self, owner)
        )

    def dead_owners(self, mode: str = "hr") -> list[str]:
        """Those of them whose process has ended, and whose lock can be taken."""
        dead = []
        for owner in self.owners(mode):
            with contextlib.suppress(OSError):  # a planted link, a foreign file
                lock = self.lock(owner, create=True)
                if lock is not None:
                    dead.append(owner)
                    lock.release()
        return dead

    def lock(self, owner: str, *, create: bool) -> Lock | None:
        """The owner's lock, now held; None if this or another process holds it, or it is gone."""
        lock = Lock(self, owner)
        return lock if lock.acquire(create=create) else None

    def put_aside(self, name: str, pieces: Iterator[bytes]) -> None:
        """Keep a damaged piece of a file for people to look at, if there is room for it."""
        folder = self.join("damaged")
        with contextlib.suppress(OSError):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)  # noqa: PTH102
            if not stat.S_ISDIR(os.lstat(folder).st_mode) or len(os.listdir(folder)) >= _PIECES:  # noqa: PTH208
                return
            descriptor = self.create(f"damaged/{name}")
            try:
                left = _PIECE
                for piece in pieces:
                    self.write(descriptor, piece[:left])
                    left -= len(piece)
                    if left <= 0:
                        break
            finally:
                os.close(descriptor)


def segments(names: Iterable[str]) -> dict[int, set[str]]:
    """The numbers of an owner's segments, each with the kinds of its files: log, done, tmp."""
    found: dict[int, set[str]] = {}
    for match in filter(None, map(_SEGMENT.fullmatch, names)):
        found.setdefault(int(match[1]), set()).add(match[2])
    return dict(sorted(found.items()))


def is_private(found: os.stat_result) -> bool:
    """Whether it is a file that only this user can have written."""
    is_own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    return is_own and not found.st_mode & 0o077


def check_private(descriptor: int, name: str) -> None:
    """Raise if it is no file that only this user can have written."""
    if not is_private(os.fstat(descriptor)):
        raise PermissionError(errno.EPERM, "not a private file of this user", name)


class Lock:
    """The lock of one owner. Whoever holds it may change the owner's files."""

    __slots__ = ("_descriptor", "_identity", "_key", "directory", "name", "owner")

    def __init__(self, directory: Directory, owner: str) -> None:
        self.directory = directory
        self.owner = owner
        self.name = f"{owner}.lock"
        self._key: Any = (*directory.key, owner)
        self._descriptor = -1
        self._identity = (0, 0)

    @property
    def held(self) -> bool:
        return self._descriptor >= 0 and _held.get(self._key) is self

    def acquire(self, *, create: bool) -> bool:
        """Take it without waiting; False if somebody has it, or there is no such file.

        The claim in the registry comes first: while it stands, nobody else in this process opens
        the file.
        """
        try:
            if _held.setdefault(self._key, self) is self and self._lock(create=create):
                return True
        except BaseException:
            self._let_go()
            raise
        self._let_go()
        return False

    def _lock(self, *, create: bool) -> bool:
        path = self.directory.join(self.name)
        flags = os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | (os.O_CREAT if create else 0)
        try:
            self._descriptor = os.open(path, flags | _SAFE, 0o600)
        except FileNotFoundError:
            return False
        check_private(self._descriptor, self.name)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # EAGAIN here, EACCES elsewhere
            return False
        found = os.fstat(self._descriptor)
        self._identity = (found.st_dev, found.st_ino)
        try:
            named = os.lstat(path)
        except FileNotFoundError:  # its owner has just ended, and left nothing
            return False
        return (named.st_dev, named.st_ino) == self._identity

    def release(self, *, unlink: bool = False) -> None:
        """Give it back, once; with ``unlink`` nothing is left of the owner."""
        if not self.held:
            return
        try:
            if unlink:
                self.directory.remove(self.name)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        if _held.get(self._key) is self:
            del _held[self._key]

    def forget(self) -> None:
        """In the child of a fork: close the copy; the lock is the parent's, and stays so."""
        descriptor, self._descriptor = self._descriptor, -1
        close_copy(descriptor, self._identity)


def is_held(directory: Directory, owner: str) -> bool:
    """Whether this process has that lock, or is about to."""
    return (*directory.key, owner) in _held


def close_copy(descriptor: int, identity: tuple[int, int]) -> None:
    """Close a descriptor, unless it is of another file by now: hosts close what they inherit."""
    if descriptor < 0:
        return
    with contextlib.suppress(OSError):
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) == identity:
            os.close(descriptor)


#: The locks that this process holds or is about to take, by device, inode and owner.
_held: dict[Any, Lock] = {}


def _forget_all() -> None:
    locks = list(_held.values())
    _held.clear()
    for lock in locks:
        lock.forget()


on_fork(_forget_all)
