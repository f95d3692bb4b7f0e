"""Reading one segment: its records, its marks, and its messages one by one."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import gt
from typing import Any

from . import record
from .crypt import Codec
from .directory import FOREIGN, Directory
from .file import File, Patience

#: So many damaged places of one segment are remembered, to be put aside.
_PLACES = 100


class Kept:
    """A message that is on disk.

    Args:
        source: the log or the source that it came from, and that settles it.
        sequence: its number there.
        where: what the writer said about its destination.
        when: the time of its acceptance, in seconds since the epoch.
        entry: the message.
        offset: where it stands in its segment.
    """

    __slots__ = ("entry", "offset", "sequence", "source", "when", "where")

    def __init__(
        self, source: Any, sequence: int, where: bytes, when: float, entry: bytes, offset: int
    ) -> None:
        self.source = source
        self.sequence = sequence
        self.where = where
        self.when = when
        self.entry = entry
        self.offset = offset

    def __repr__(self) -> str:  # no body and no address
        return f"<Kept {self.sequence:#x}, {len(self.entry)} bytes>"


def by_segment(kepts: Iterable[Kept]) -> dict[int, list[Kept]]:
    """Messages by the number of the segment that has them."""
    found: dict[int, list[Kept]] = {}
    for kept in kepts:
        found.setdefault(kept.sequence >> record.SHIFT, []).append(kept)
    return found


class Reading:
    """What has been found in one segment so far.

    ``sequences`` and ``offsets`` are of its messages, in the order of their sequences, two machine
    words each. Files are opened for each look, and no descriptor is kept.

    A disk that gives an error of input is asked again for a while, before what cannot be read is
    taken for damaged.
    """

    __slots__ = (
        "_directory",
        "_done",
        "_done_position",
        "_log",
        "_made_of",
        "_places",
        "_sealer",
        "_where",
        "damaged",
        "ended",
        "name",
        "number",
        "offsets",
        "position",
        "sequences",
        "size",
        "start",
    )

    def __init__(
        self,
        directory: Directory,
        owner: str,
        number: int,
        codec: Codec | None,
        patience: Patience | None = None,
    ) -> None:
        patience = patience or Patience()
        self.name = f"{owner}-{number}"
        self.number = number
        self.start = record.seed(self.name)
        self._directory = directory
        self._made_of = (directory, owner, number, codec, patience)
        self._log = File(directory, f"{self.name}.log", number, self.start, patience)
        self._done = File(directory, f"{self.name}.done", number, self.start, patience)
        self._done_position = 0
        self._sealer = None if codec is None else codec.sealer(self.name)
        self._places: list[tuple[int, int]] = []
        self._where: dict[int, bytes] = {}
        self.damaged = 0
        self.ended = False  # nothing is appended to it any more, its writer says
        self.position = 0  # what lies before it has been looked at
        self.size = 0  # of the file, when it was last looked at
        self.sequences = array("Q")
        self.offsets = array("Q")

    def anew(self) -> Reading:
        """A reading of the same segment that has found nothing yet."""
        return Reading(*self._made_of)

    def marks(self) -> set[int]:
        """The sequences that were marked as settled since the last look.

        Whatever is damaged among them costs marks: their messages are sent again. So do all of a
        file that is not a private one of this user.

        Raises:
            OSError: they cannot be read now.
        """
        found: set[int] = set()
        position = self._done_position
        try:
            with self._done as scanner:
                for kind, _, offset, total in scanner.records(position, _ignore, final=False):
                    position = offset + total
                    if kind == record.SETTLED:
                        found.update(record.unpack_marks(scanner.get(offset, total)[2]))
        except FileNotFoundError:
            position = 0
        except OSError as error:
            if error.errno not in FOREIGN:
                raise
        self._done_position = position
        return found

    def scan(self, *, final: bool) -> None:
        """Look at what has been appended since the last look.

        Raises:
            OSError: the file is gone, is not a private file of this user, or cannot be read now.
        """
        before = self.position, self.damaged, self._places.copy()
        try:
            self._scan(final=final)
        except OSError:
            self.position, self.damaged, self._places = before  # the next look begins there again
            raise

    def _scan(self, *, final: bool) -> None:
        sequences, offsets = array("Q"), array("Q")
        with self._log as scanner:
            self.size = scanner.size
            for kind, sequence, offset, total in scanner.records(
                self.position, self._damage, final=final, messages=(sequences, offsets)
            ):
                what = kind & record.PLAIN
                if what == record.MESSAGE:
                    sequences.append(sequence)
                    offsets.append(offset)
                elif what == record.DESTINATION:
                    self._declare(*scanner.get(offset, total))
                elif what == record.END:
                    self.ended = True
                self.position = offset + total
            if offsets and offsets[-1] >= self.position:
                self.position = offsets[-1] + scanner.check(offsets[-1])
        if final:
            self.position = self.size
        if sequences:
            self._add(sequences, offsets)

    def _add(self, sequences: array[int], offsets: array[int]) -> None:
        self.sequences += sequences
        self.offsets += offsets
        # Threads that appended at once wrote in another order than that of their reservations.
        if any(map(gt, self.sequences, self.sequences[1:])):
            pairs = sorted(zip(self.sequences, self.offsets, strict=True))
            self.sequences = array("Q", [sequence for sequence, _ in pairs])
            self.offsets = array("Q", [offset for _, offset in pairs])

    def _damage(self, begin: int, end: int) -> None:
        self.position = end
        self._remember(begin, end)

    def _remember(self, begin: int, end: int) -> None:
        self.damaged += 1
        if len(self._places) < _PLACES:
            self._places.append((begin, end))

    def _opened(self, kind: int, sequence: int, payload: bytes) -> bytes | None:
        if not kind & record.SEALED:
            return payload
        if self._sealer is None:
            return None
        return self._sealer.open(payload, record.associated(kind, sequence))

    def _declare(self, kind: int, sequence: int, payload: bytes) -> None:
        plain = self._opened(kind, sequence, payload)
        if plain is not None and len(plain) >= record.DESTINATION_HEAD.size:
            (number,) = record.DESTINATION_HEAD.unpack_from(plain)
            self._where.setdefault(number, plain[record.DESTINATION_HEAD.size :])

    def find(self, sequence: int) -> int:
        """Where that message stands; -1 if it has not been found."""
        index = bisect_left(self.sequences, sequence)
        if index < len(self.sequences) and self.sequences[index] == sequence:
            return self.offsets[index]
        return -1

    def messages(
        self, source: Any, wanted: Iterable[tuple[int, int]]
    ) -> tuple[list[Kept], list[int]]:
        """The messages, given by sequence and offset; and the sequences of those that are damaged.

        One that no key opens is in neither: it stays for whoever has the key. Both are counted.
        """
        kepts: list[Kept] = []
        lost: list[int] = []
        unopened, places = 0, []
        with self._log as scanner:
            for sequence, offset in wanted:
                message = scanner.message(offset, sequence)
                if message is None:
                    plain = self._plain(scanner, sequence, offset)
                    if plain is None:
                        unopened += 1
                        continue
                    if len(plain) >= record.MESSAGE_HEAD.size:
                        head = record.MESSAGE_HEAD.unpack_from(plain)
                        message = (*head, plain[record.MESSAGE_HEAD.size :])
                where = None if message is None else self._where.get(message[0])
                if message is None or where is None or not math.isfinite(message[1]):
                    places.append((offset, offset + (scanner.check(offset) or record.HEADER_SIZE)))
                    lost.append(sequence)
                else:
                    kepts.append(Kept(source, sequence, where, message[1], message[2], offset))
        self.damaged += unopened
        for begin, end in places:
            self._remember(begin, end)
        return kepts, lost

    def _plain(self, scanner: record.Scanner, sequence: int, offset: int) -> bytes | None:
        """The payload of a message that stands there, as it was before it was encrypted.

        It is empty where it is damaged, and None where no key opens it.
        """
        total = scanner.check(offset)
        kind, found, payload = scanner.get(offset, total) if total else (0, 0, b"")
        plain = self._opened(kind, found, payload)
        return plain if plain is None or found == sequence else b""

    def accepted(self, sequence: int, offset: int) -> float | None:
        """When a message was accepted; None if that cannot be read."""
        # With a file of its own: another thread may be in the middle of a read.
        fresh = self.anew()
        fresh._where = self._where.copy()
        try:
            kepts, _ = fresh.messages(None, [(sequence, offset)])
        except OSError:
            return None
        return kepts[0].when if kepts else None

    def copy(self, sequences: set[int]) -> Iterator[bytes]:
        """The records of the segment with only these messages, ready to be written.

        All declarations are kept: there are two for each destination.
        """
        with self._log as scanner:
            for kind, sequence, offset, total in scanner.records(0, _ignore, final=True):
                if kind & record.PLAIN == record.MESSAGE and sequence not in sequences:
                    continue
                _, _, payload = scanner.get(offset, total)
                yield record.pack(kind, sequence, payload, self.start)

    def put_aside(self) -> None:
        """Copy the damaged places away before the segment is unlinked."""
        places, self._places = self._places, []
        for begin, end in places:
            self._directory.put_aside(f"{self.name}-{begin}", self._pieces(begin, end))

    def _pieces(self, begin: int, end: int) -> Iterator[bytes]:
        with self._log as scanner:
            for at in range(begin, end, record.Scanner.CHUNK):
                yield scanner._read(at, min(record.Scanner.CHUNK, end - at))


def _ignore(begin: int, end: int) -> None:
    pass
