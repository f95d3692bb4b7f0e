"""The lines of files or of standard input, told by file and number.

Everything is read twice, checked and then sent, so that bad input is found before anything has gone
out; a pipe is kept in a temporary file in between. A file may have changed by the second time, so
that each line is looked at then too. Memory holds one line at a time.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from .._counting import counted
from ._console import InputError
from ._reading import content

STDIN = "-"
_STDIN_NAME = "standard input"


class _Source(NamedTuple):
    name: str
    file: IO[bytes]
    start: int  # where its first line begins; -1 where it cannot be read twice
    kept: bool = False  # our own copy of it, decompressed


class Place(NamedTuple):
    """How far the input has been read: so many lines of all of it, and where that is."""

    lines: int
    where: str


class Lines:
    """The lines of ``paths``; empty ones are left out, the ends (LF or CRLF) are not part of them.

    Args:
        paths: of files; ``-``, or none at all, is standard input.
        longest: bytes of a line.
        skip: so many lines of all the input, empty ones included, are left out too.
        follow: lines are sent as they come, so that files, which end, are refused.

    Raises:
        InputError: a file that cannot be read, or the same one twice.
    """

    def __init__(
        self, paths: Sequence[str], longest: int, skip: int = 0, *, follow: bool = False
    ) -> None:
        self._longest = longest
        self._skip = skip
        self._open = contextlib.ExitStack()
        self._sources: list[_Source] = []
        self._name = ""
        self._number = 0  # of the line that was read last, in its file
        self._lines = 0  # read so far, of all the input
        try:
            for path in paths or [STDIN]:
                self._add(*self._opened(path), follow)
        except InputError:
            self.close()
            raise

    def _opened(self, path: str) -> tuple[str, IO[bytes]]:
        if path == STDIN:
            if sys.stdin is None:
                raise InputError("standard input is closed: name files, or redirect one")
            return _STDIN_NAME, sys.stdin.buffer
        try:
            return path, self._open.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None

    def _add(self, name: str, file: IO[bytes], follow: bool) -> None:
        found = os.fstat(file.fileno())
        regular = stat.S_ISREG(found.st_mode)
        for other in self._sources:
            if os.path.samestat(found, os.fstat(other.file.fileno())):
                again = f" as {other.name}" if name != other.name else ""
                raise InputError(f"{name} is there already{again}: its lines would be sent twice")
        if follow and regular:
            raise InputError(
                f"--follow reads what comes through a pipe, and {name} is a file, which ends:"
                f" tail -n +1 -F {'FILE' if name == _STDIN_NAME else name}"
                " | python -m publisher send --follow ..."
            )
        self._sources.append(_Source(name, file, file.tell() if regular else -1))

    def holds(self, path: str) -> bool:
        """Whether ``path`` is one of the files."""
        with contextlib.suppress(OSError):
            there = Path(path).stat()
            return any(
                os.path.samestat(there, os.fstat(each.file.fileno())) for each in self._sources
            )
        return False

    def check(self, measure: Callable[[bytes], int]) -> tuple[int, int]:
        """Read everything once. Returns the number of lines and what ``measure`` adds up to.

        Raises:
            InputError: what ``measure`` raises, with the file and the line.
        """
        self._lines = count = total = 0
        for index, source in enumerate(self._sources):
            kept: IO[bytes] | None = None
            with _told("cannot keep the input in a temporary file (TMPDIR says where)"):
                if source.start < 0:
                    kept = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
                for line in self._read(source):
                    if self._counts(line):
                        total += self._measured(measure, line)
                        count += 1
                    if kept is not None:
                        kept.write((line or b"") + b"\n")
                if kept is not None:
                    kept.flush()
                    self._sources[index] = _Source(source.name, kept, 0, kept=True)
        if self._skip > self._lines:
            raise InputError(f"--skip {self._skip}: the input has {counted(self._lines, 'line')}")
        return count, total

    def _measured(self, measure: Callable[[bytes], int], line: bytes | None) -> int:
        try:
            if line is None:
                raise InputError(self.too_long)
            return measure(line)
        except InputError as error:
            raise InputError(f"{self.place.where}: {error}") from None

    def __iter__(self) -> Iterator[bytes | None]:
        """Read everything, from the start again where that can be; None is a line too long."""
        self._lines = 0
        for source in self._sources:
            if source.start >= 0:
                with _told(f"cannot read {source.name}"):
                    source.file.seek(source.start)
            yield from filter(self._counts, self._read(source))

    @property
    def too_long(self) -> str:
        """What is wrong with a line too long."""
        return f"more than {self._longest:,} bytes, the most a message may have"

    @property
    def place(self) -> Place:
        """The line that was read last."""
        return Place(self._lines, f"{self._name}, line {self._number:,}")

    def close(self) -> None:
        """Close the files."""
        with contextlib.suppress(OSError):  # a temporary file fails again: that is known by now
            self._open.close()

    def _counts(self, line: bytes | None) -> bool:
        return line != b"" and self._lines > self._skip

    def _read(self, source: _Source) -> Iterator[bytes | None]:
        self._name, self._number = source.name, 0
        most = self._longest + 3  # two for the end, and one too many
        with _told(f"cannot read {source.name}"):
            file = source.file if source.kept else content(source.name, source.file)
            while read := file.readline(most):
                self._number += 1
                self._lines += 1
                line = read.removesuffix(b"\n").removesuffix(b"\r")
                if len(line) > self._longest:
                    yield None
                    while read and not read.endswith(b"\n"):  # the rest of it, which nobody keeps
                        read = file.readline(most)
                else:
                    yield line


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{what}: {reason}") from None
