"""A file of a segment that is read, with sectors that may be bad."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from . import record
from .directory import Directory

#: A part of the file that cannot be read (a bad sector) is read as zeros, in steps of this size.
_STEP = 4096


class File:
    """A file of a segment, open while it is read."""

    __slots__ = ("descriptor", "directory", "name", "scanner")

    def __init__(self, directory: Directory, name: str, number: int, start: int) -> None:
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
            if error.errno != errno.EIO:
                raise
            return b"".join(self._readable(offset, length))

    def _readable(self, offset: int, length: int) -> Iterator[bytes]:
        for at in range(offset, offset + length, _STEP):
            step = min(_STEP, offset + length - at)
            try:
                yield os.pread(self.descriptor, step, at).ljust(step, b"\0")
            except OSError as error:
                if error.errno != errno.EIO:  # it is not the file that is damaged
                    raise
                yield b"\0" * step
