"""A file of a segment that is read, with sectors that may be bad."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from .._clock import now
from . import record
from .directory import Directory

#: A part of the file that cannot be read (a bad sector) is read as zeros, in steps of this size.
_STEP = 4096
#: Seconds for which that is an error, and the file is read again: a volume that fails over is back
#: within them.
PATIENCE = 60.0
#: Seconds without such an error, after which the next one is the first again.
_FORGOTTEN = 600.0


class Patience:
    """How long the files of a segment have failed to be read.

    Args:
        seconds: after that, what cannot be read is taken for damaged.
    """

    __slots__ = ("_first", "_last", "_seconds")

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._seconds = seconds
        self._first = self._last = -_FORGOTTEN

    def is_over(self) -> bool:
        """Whether they have failed for so long; they have just failed again."""
        at = now()
        if at - self._last >= _FORGOTTEN:
            self._first = at
        self._last = at
        return at - self._first >= self._seconds


class File:
    """A file of a segment, open while it is read."""

    __slots__ = ("_patience", "descriptor", "directory", "name", "scanner")

    def __init__(
        self, directory: Directory, name: str, number: int, start: int, patience: Patience
    ) -> None:
        self._patience = patience
        self.directory = directory
        self.name = name
        self.descriptor = -1
        self.scanner = record.Scanner(self._read, number, start)

    def __enter__(self) -> record.Scanner:
        self.descriptor = self.directory.read_from(self.name)
        self.scanner.size = os.fstat(self.descriptor).st_size
        return self.scanner

    def __exit__(self, *error: object) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        os.close(descriptor)
        self.scanner.forget()

    def _read(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self.descriptor, length, offset)
        except OSError as error:
            if error.errno != errno.EIO or not self._patience.is_over():
                raise
            return b"".join(self._readable(offset, length))

    def _readable(self, offset: int, length: int) -> Iterator[bytes]:
        at, end = offset, offset + length
        while at < end:
            step = min(_STEP - at % _STEP, end - at)
            try:
                yield os.pread(self.descriptor, step, at).ljust(step, b"\0")
            except OSError as error:
                if error.errno != errno.EIO:  # it is not the file that is damaged
                    raise
                yield b"\0" * step
            at += step
