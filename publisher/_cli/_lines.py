"""What ``send`` sends: lines of files or of standard input, as arguments of boto3's operations.

Everything is read twice, checked and then sent, so that bad input is found before anything has gone
out; a pipe is kept in a temporary file in between. A file may have changed by the second time, so
that each line is looked at then too. Memory holds one line at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import stat
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from ..errors import InvalidMessage
from ..services import Service, load
from . import InputError

STDIN = "-"


class Destination:
    """A topic or a stream, and how a line becomes a message to it.

    Args:
        topic: its ARN, or None.
        stream: its name or ARN, or None.
        key_field: the field that holds the partition key; the lines are JSON objects then. None:
            keys of our own, which spread the records over the shards.

    Raises:
        InputError: no such destination can be.
    """

    def __init__(self, topic: str | None, stream: str | None, key_field: str | None) -> None:
        self.service: Service = load("sns" if topic is not None else "kinesis")
        self.name = str(topic if topic is not None else stream)
        if topic is not None:
            self._address = {"TopicArn": topic}
            address: Any = topic
        else:
            parameter = "StreamARN" if self.name.startswith("arn:") else "StreamName"
            self._address = {parameter: self.name}
            address = self.name if parameter == "StreamName" else ((parameter, self.name),)
        self._key_field = key_field
        self._run = uuid.uuid4().hex[:8]
        self._numbers = itertools.count()
        try:
            self.service.check_address(address)
        except InvalidMessage as error:
            raise InputError(reason(error)) from None
        if self.service.is_ordered(address):
            raise InputError("a FIFO topic needs a MessageGroupId, which lines do not have")

    @property
    def region(self) -> str | None:
        """The region in the ARN; None for a plain name."""
        return self.name.split(":")[3] or None if self.name.count(":") >= 5 else None

    def params(self, line: bytes) -> dict[str, Any]:
        """The arguments that send ``line``. Raises InputError for one that cannot be sent."""
        if self.service.name == "kinesis":
            return {**self._address, "Data": line, "PartitionKey": self._key(line)}
        try:
            return {**self._address, "Message": line.decode()}
        except UnicodeDecodeError as error:
            raise InputError(f"not UTF-8 (byte {error.start + 1} of the line)") from None

    def size(self, line: bytes) -> int:
        """Bytes of the message, as the service counts them; raises InputError as above."""
        try:
            accepted = self.service.accept(self.params(line))
        except InvalidMessage as error:
            raise InputError(reason(error)) from None
        assert accepted is not None
        size: int = accepted[2]
        return size

    def line(self, params: Any) -> bytes:
        """The line that a message was made of."""
        data = params["Data"] if "Data" in params else params["Message"].encode()
        return bytes(data)

    def _key(self, line: bytes) -> str:
        if self._key_field is None:
            return f"{self._run}-{next(self._numbers)}"
        try:
            record = json.loads(line)
        except ValueError:
            raise InputError("not JSON, and --partition-key asks for a field of it") from None
        except RecursionError:
            raise InputError("JSON nested too deeply for a field of it to be read") from None
        if not isinstance(record, dict):
            raise InputError(f"a JSON {type(record).__name__}, not an object") from None
        if self._key_field not in record:
            raise InputError(f"no field {self._key_field!r}")
        key = record[self._key_field]
        if isinstance(key, bool) or not isinstance(key, (str, int, float)):
            raise InputError(f"the field {self._key_field!r} is no string or number")
        return str(key)


class Lines:
    """The lines of ``paths``; empty ones are skipped, the ends (LF or CRLF) are not part of them.

    Args:
        paths: of files; ``-``, or none at all, is standard input.
        longest: bytes of a line.

    Raises:
        InputError: a file that cannot be read.
    """

    def __init__(self, paths: Sequence[str], longest: int) -> None:
        self._longest = longest
        self._open = contextlib.ExitStack()
        self._sources: list[tuple[str, IO[bytes], int]] = []
        self.number = 0  # of the line that was read last, in its file
        self.name = ""
        for path in paths or [STDIN]:
            if path == STDIN:
                if sys.stdin is None:
                    raise InputError("standard input is closed: name files, or redirect one")
                self._add("standard input", sys.stdin.buffer)
            else:
                try:
                    file = self._open.enter_context(Path(path).open("rb"))  # noqa: SIM115
                    self._add(path, file)
                except OSError as error:
                    raise InputError(f"cannot read {path}: {error.strerror}") from None

    def _add(self, name: str, file: IO[bytes]) -> None:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        self._sources.append((name, file, file.tell() if regular else -1))

    def holds(self, path: str) -> bool:
        """Whether ``path`` is one of the files."""
        with contextlib.suppress(OSError):
            there = Path(path).stat()
            return any(
                os.path.samestat(there, os.fstat(file.fileno())) for _, file, _ in self._sources
            )
        return False

    def check(self, measure: Callable[[bytes], int]) -> tuple[int, int]:
        """Read everything once. Returns the number of lines and what ``measure`` adds up to.

        Raises:
            InputError: what ``measure`` raises, with the file and the line.
        """
        count = total = 0
        for index, (name, file, start) in enumerate(self._sources):
            kept: IO[bytes] | None = None
            with _told("cannot keep the input in a temporary file (TMPDIR says where)"):
                if start < 0:
                    kept = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
                for line in self._read(name, file):
                    total += self._measured(measure, line)
                    count += 1
                    if kept is not None and line is not None:
                        kept.write(line + b"\n")
                if kept is not None:
                    kept.flush()
                    self._sources[index] = (name, kept, 0)
        return count, total

    def _measured(self, measure: Callable[[bytes], int], line: bytes | None) -> int:
        try:
            if line is None:
                raise InputError(self.too_long)
            return measure(line)
        except InputError as error:
            raise InputError(f"{self.where}: {error}") from None

    def __iter__(self) -> Iterator[bytes | None]:
        """Read everything, from the start again where that can be; None is a line too long."""
        for name, file, start in self._sources:
            if start >= 0:
                with _told(f"cannot read {name}"):
                    file.seek(start)
            yield from self._read(name, file)

    @property
    def too_long(self) -> str:
        """What is wrong with a line too long."""
        return f"more than {self._longest:,} bytes, the most a message may have"

    @property
    def where(self) -> str:
        """The line that was read last, for people."""
        return f"{self.name}, line {self.number:,}"

    def close(self) -> None:
        """Close the files."""
        with contextlib.suppress(OSError):  # a temporary file fails again: that is known by now
            self._open.close()

    def _read(self, name: str, file: IO[bytes]) -> Iterator[bytes | None]:
        self.name, self.number = name, 0
        most = self._longest + 3  # two for the end, and one too many
        with _told(f"cannot read {name}"):
            while read := file.readline(most):
                self.number += 1
                line = read.removesuffix(b"\n").removesuffix(b"\r")
                if len(line) > self._longest:
                    yield None
                    while read and not read.endswith(b"\n"):  # the rest of it, which nobody keeps
                        read = file.readline(most)
                elif line:
                    yield line


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{what}: {error.strerror}") from None


def reason(error: InvalidMessage) -> str:
    """What is wrong, in one line."""
    return str(error.kwargs["report"])
