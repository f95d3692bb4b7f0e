"""One segment of a log, as its writer sees it: counters, descriptors, and what stays."""

from __future__ import annotations

import contextlib
import itertools
import os
from array import array
from collections.abc import Sequence
from zlib import crc32

from . import record
from .crypt import Codec
from .directory import Directory, close_copy
from .file import Patience
from .reading import Reading

#: So many records at most are in one segment: their index has that many bits in a sequence.
_RECORDS = (1 << record.SHIFT) - 1

_MAGIC = record.MAGIC
_PREFIX = record.PREFIX.pack
_MESSAGE_REST = record.MESSAGE_REST.pack
_HEAD_SIZE = record.MESSAGE_HEAD.size
_SEALED = record.MESSAGE | record.SEALED
_JOIN = b"".join


class Segment:
    """Its counters, and the two files.

    Every count is changed in one statement without a call, which nothing can interrupt under the
    GIL. ``next - base`` is how many numbers were reserved. Of these, ``accounted`` are of calls
    that have written or given up; so while the two differ a call may hold the descriptor.
    ``settled`` is of messages that are done with.
    """

    __slots__ = (
        "_codec",
        "_directory",
        "_done",
        "_done_identity",
        "_identity",
        "_oldest",
        "_patience",
        "_queue",
        "_reading",
        "_unused",
        "accounted",
        "base",
        "broken",
        "descriptor",
        "done_size",
        "interrupted",
        "limit",
        "low_at",
        "marked",
        "name",
        "next",
        "number",
        "numbers",
        "once",
        "refused",
        "rolled",
        "sealer",
        "seen",
        "settled",
        "size",
        "start",
        "stayed",
        "synced",
        "worth",
    )

    def __init__(self, directory: Directory, owner: str, number: int, codec: Codec | None) -> None:
        self._directory = directory
        self._codec = codec
        self.name = f"{owner}-{number}"
        self.number = number
        self.base = number << record.SHIFT
        self.next = self.base  # the next number to be reserved
        self.limit = self.base + _RECORDS  # numbers below it may be written; 0 once it is rolled
        self.rolled = False
        self.accounted = 0
        self.settled = 0
        self.marked = 0  # by a relay
        self.interrupted: set[int] = set()  # reserved by calls that an exception ended
        self.size = 0  # bytes that have been written
        self.synced = 0  # bytes that the disk has
        self.done_size = 0
        self.broken = False  # the disk refused to keep what was written
        self.refused = False  # its file was found to be no private one of this user
        self.start = record.seed(self.name)
        self.sealer = None if codec is None else codec.sealer(self.name)
        self._unused = itertools.count()  # numbers for destinations
        self.once: dict[bytes, int] = {}  # declared once, so the next message declares it again
        self.numbers: dict[bytes, int] = {}  # declared often enough
        self.seen = -1  # ``next`` at the last look
        self.worth = _RECORDS  # rewriting pays when fewer than this are left
        self.low_at: float | None = None  # when that was seen first
        self.descriptor = -1
        self._identity = (0, 0)
        self._done = -1
        self._done_identity = (0, 0)
        self.stayed = array("Q")  # sorted sequences of messages to be offered again
        self._queue: list[int] = []  # more of them, unsorted
        self._patience = Patience()
        self._reading: Reading | None = None
        self._oldest: tuple[int, float | None] = (-1, None)

    @property
    def log(self) -> str:
        return f"{self.name}.log"

    @property
    def done(self) -> str:
        return f"{self.name}.done"

    @property
    def reserved(self) -> int:
        return self.next - self.base

    @property
    def waiting(self) -> int:
        """How many messages are not settled."""
        return self.next - self.base - self.settled - self.marked

    @property
    def held(self) -> bool:
        """Whether a call may hold the descriptor."""
        return self.next - self.base != self.accounted

    def create(self) -> None:
        """Make its file."""
        self.descriptor = self._directory.create(self.log)
        found = os.fstat(self.descriptor)
        self._identity = (found.st_dev, found.st_ino)

    def pack(
        self, sequence: int, where: bytes, when: float, entry: bytes
    ) -> tuple[bytes, tuple[dict[bytes, int], int] | None]:
        """A message as it is written, its destination declared before it where that is due.

        With it comes what is to be noted once it is written: the destination's number, and where.
        """
        number = self.numbers.get(where)
        declared, noted = b"", None
        if number is None:
            number, declared, noted = self._declare(where)
        if self.sealer is None:
            rest = _MESSAGE_REST(record.MESSAGE, len(entry) + _HEAD_SIZE, sequence, number, when)
        else:
            entry = self.sealer.seal(
                record.MESSAGE_HEAD.pack(number, when) + entry,
                record.associated(_SEALED, sequence),
            )
            rest = record.REST.pack(_SEALED, len(entry), sequence)
        crc = crc32(entry, crc32(rest, self.start))
        return _JOIN((declared, _PREFIX(_MAGIC, crc), rest, entry)), noted

    def _declare(self, where: bytes) -> tuple[int, bytes, tuple[dict[bytes, int], int]]:
        """A destination's number, the record that declares it, and what is to be noted."""
        number = self.once.get(where)
        noted = self.once if number is None else self.numbers
        if number is None:
            number = next(self._unused)
        kind = record.DESTINATION
        payload = record.DESTINATION_HEAD.pack(number) + where
        if self.sealer is not None:
            kind |= record.SEALED
            payload = self.sealer.seal(payload, record.associated(kind, self.base))
        return number, record.pack(kind, self.base, payload, self.start), (noted, number)

    def mark(self, sequences: Sequence[int]) -> int:
        """Write that these are settled; how many bytes that took."""
        if self._done < 0:
            descriptor = self._directory.append_to(self.done)
            if self._done < 0:  # a signal handler may have been here in the meantime
                self._done = descriptor
                found = os.fstat(descriptor)
                self._done_identity = (found.st_dev, found.st_ino)
            else:
                os.close(descriptor)
        marks = record.pack_marks(self.number, sequences, self.start)
        written = self._directory.write(self._done, marks)
        self.done_size += written
        return written

    def is_gone(self) -> bool:
        """Whether somebody has deleted the file: nobody would find what is written to it."""
        try:
            os.lstat(self._directory.join(self.log))
        except FileNotFoundError:
            return True
        except OSError:
            pass
        return False

    def close_log(self) -> None:
        """Close the descriptor that appends; nobody holds it."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def close_done(self) -> None:
        """Close the descriptor of the marks."""
        descriptor, self._done = self._done, -1
        if descriptor >= 0:
            os.close(descriptor)

    def forget(self) -> None:
        """In the child of a fork: close the copies."""
        close_copy(self.descriptor, self._identity)
        close_copy(self._done, self._done_identity)
        self.descriptor = self._done = -1

    # What stays, and is read again. One thread at a time.

    def stay(self, sequence: int) -> None:
        if sequence in self.interrupted:  # its call does not hold the descriptor any more
            self.interrupted.remove(sequence)
            self.accounted += 1
        self._queue.append(sequence)

    def staying(self) -> int:
        """How many messages wait to be offered again."""
        return len(self.stayed) + len(self._queue)

    def order(self) -> array[int]:
        """Their sequences, sorted."""
        queue, self._queue = self._queue, []
        if queue:
            self.stayed = array("Q", sorted([*self.stayed, *queue]))
        return self.stayed

    def oldest(self) -> float | None:
        """When the first of them was accepted; None if that cannot be read."""
        first = self.order()[0]
        if self._oldest[0] != first:
            when = None
            with contextlib.suppress(OSError):
                offset = self.reading().find(first)
                when = self.reading().accepted(first, offset) if offset >= 0 else None
            self._oldest = (first, when)
        return self._oldest[1]

    def reading(self) -> Reading:
        """What reads this segment, up to date."""
        if self._reading is None:
            self._reading = self.read_anew()
        if self._reading.position < self.size:
            self._reading.scan(final=False)
        return self._reading

    def read_anew(self) -> Reading:
        """What reads this segment from its beginning."""
        owner = self.name.rpartition("-")[0]
        return Reading(self._directory, owner, self.number, self._codec, self._patience)

    def new_marks(self) -> int:
        """How many marks a relay has written since the last look."""
        if self._reading is None:
            self._reading = self.read_anew()
        return len(self._reading.marks())

    def forget_reading(self) -> int:
        """Put aside what was found damaged, and give the memory back; how much was damaged."""
        reading, self._reading = self._reading, None
        if reading is None:
            return 0
        reading.put_aside()
        return reading.damaged
