"""The file that ``send --failed`` writes: it holds bodies, so it is private."""

from __future__ import annotations

import os
import stat
from typing import IO, Any

from ..hooks import Hook
from ._console import InputError
from ._destination import Destination

# Flags that this system does not have are not needed on it.
_FLAGS = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_PRIVATE = 0o600


def opened(path: str) -> IO[bytes]:
    """A new file, or an empty one of the user's own, readable and writable by nobody else.

    Links are not followed, and something else than a file (a FIFO, a device) is not waited for.

    Raises:
        InputError: anything else is there, or it cannot be written.
    """
    try:
        try:
            number = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, _PRIVATE)
        except FileExistsError:
            number = os.open(path, _FLAGS)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror} (--failed takes a new file, or an empty one of"
            " your own; no link)"
        ) from None
    # The open file is looked at, not the name: that may have stood for another one meanwhile.
    file = os.fdopen(number, "wb")
    try:
        _take(path, number)
    except BaseException:
        file.close()
        raise
    return file


def _take(path: str, number: int) -> None:
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"--failed {path} is no regular file")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise InputError(f"--failed {path} belongs to another user")
    if found.st_size:
        raise InputError(f"--failed {path} is not empty: it may hold what was lost before")
    if hasattr(os, "fchmod"):
        os.fchmod(number, _PRIVATE)


class Failed(Hook):
    """Writes the lines of lost messages to a file, if there is one."""

    caller_context = False

    def __init__(self, destination: Destination, path: str | None) -> None:
        self._destination = destination
        self.path = path
        self._file = None if path is None else opened(path)
        self.written = 0
        self.error: OSError | None = None  # the first that the file met

    def on_failed(self, event: Any) -> None:
        """Keep the line."""
        self.keep(self._destination.line(event.params))

    def on_dropped(self, event: Any) -> None:
        """Keep the line."""
        self.keep(self._destination.line(event.params))

    def keep(self, line: bytes) -> None:
        """Write ``line``."""
        if self._file is None:
            return
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            self.error = self.error or error
        else:
            self.written += 1

    def close(self) -> None:
        """Write out everything: only then is it known whether the file took it all."""
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error
