"""The format of a record, and finding the whole records in a file that may be damaged.

A record is, with all numbers little-endian::

    magic 2 | CRC-32 4 | kind 1 | length of the payload 4 | sequence 8 | payload

The CRC covers all that follows it. It starts from the CRC of the segment's name, so that a record
of another segment, or one that somebody wrote into the body of a message, is none here. The magic
cannot stand in UTF-8. ``sequence`` is the segment's number, shifted by 24 bits, and the record's
index in it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from zlib import crc32

MAGIC = b"\xf7\xd1"
DESTINATION = 1  # payload: a number (u32), then the text it stands for in this segment
MESSAGE = 2  # payload: a destination's number (u32), the time of acceptance (f8), the entry
SETTLED = 3  # payload: sequences (u64 each)
END = 4  # no payload: nothing is appended to this segment any more
SEALED = 0x80  # added to a kind whose payload is encrypted
PLAIN = 0x7F  # the kind without it
KINDS = frozenset({DESTINATION, MESSAGE, SETTLED, END, DESTINATION | SEALED, MESSAGE | SEALED})

#: How far a segment's number is shifted in a sequence.
SHIFT = 24
#: No payload is longer: no service takes a message of that size.
MAX_PAYLOAD = 16 << 20
#: What stands before a payload.
HEADER = struct.Struct("<2sIBIQ")
PREFIX = struct.Struct("<2sI")  # its first part: magic and CRC
HEADER_SIZE = HEADER.size
PREFIX_SIZE = PREFIX.size
REST = struct.Struct("<BIQ")  # its second part, which the CRC covers
#: The second part and what stands before a message's entry.
MESSAGE_REST = struct.Struct("<BIQId")
MESSAGE_HEAD = struct.Struct("<Id")
DESTINATION_HEAD = struct.Struct("<I")
_WHOLE_HEAD = struct.Struct("<2sIBIQId")  # all that stands before a message's entry
#: So many marks at most are in one record.
_MARKS = 8192
#: While looking for the next whole record, shorter ones are checked however many there are.
_SHORT = 4096


def seed(name: str) -> int:
    """What the CRCs of the segment of that name start from."""
    return crc32(name.encode())


def pack(kind: int, sequence: int, payload: bytes, start: int) -> bytes:
    """A record; ``start`` is the segment's seed."""
    rest = REST.pack(kind, len(payload), sequence)
    return b"".join((PREFIX.pack(MAGIC, crc32(payload, crc32(rest, start))), rest, payload))


def associated(kind: int, sequence: int) -> bytes:
    """What an encrypted payload is bound to."""
    return REST.pack(kind, 0, sequence)


def pack_marks(number: int, sequences: Sequence[int], start: int) -> bytes:
    """Records that say which sequences of segment ``number`` are settled."""
    return b"".join(
        pack(
            SETTLED,
            number << SHIFT,
            struct.pack(f"<{len(some)}Q", *some),
            start,
        )
        for some in (sequences[at : at + _MARKS] for at in range(0, len(sequences), _MARKS))
    )


def unpack_marks(payload: bytes) -> tuple[int, ...]:
    """The sequences in the payload of a record of marks."""
    count = len(payload) // 8
    return struct.unpack_from(f"<{count}Q", payload)


class Scanner:
    """Finds the whole records of one file, from front to back, in a window of bounded size.

    Args:
        read: gives that many bytes from an offset; fewer only at the end of the file.
        number: the segment's. Records with another one are none.
        start: the segment's seed.
    """

    __slots__ = ("_base", "_budget", "_read", "_start", "_view", "_window", "number", "size")

    CHUNK = 1 << 20

    def __init__(self, read: Callable[[int, int], bytes], number: int, start: int) -> None:
        self._read = read
        self.number = number
        self._start = start
        self.size = 0  # how much of the file there is to look at
        self._budget = 0  # bytes that may be checksummed in vain
        self.forget()

    def forget(self) -> None:
        """Give the window's memory back."""
        self._window = b""
        self._view = memoryview(b"")
        self._base = 0

    def _index(self, offset: int, length: int) -> int:
        """Where in the window these bytes begin; they are read if they are not in it."""
        index = offset - self._base
        if index < 0 or index + length > len(self._window):
            self._window = self._read(offset, min(max(length, self.CHUNK), self.size - offset))
            self._view = memoryview(self._window)
            self._base = offset
            index = 0
        return index

    def check(self, offset: int) -> int:
        """The length of the whole record that begins at ``offset``; 0 if none does."""
        index = self._index(offset, HEADER_SIZE)
        if index + HEADER_SIZE > len(self._window):
            return 0
        magic, crc, kind, length, sequence = HEADER.unpack_from(self._window, index)
        total: int = HEADER_SIZE + length
        if (
            magic != MAGIC
            or length > MAX_PAYLOAD
            or offset + total > self.size
            or sequence >> SHIFT != self.number
            or kind not in KINDS
        ):
            return 0
        if index + total > len(self._window):
            index = self._index(offset, total)
        found = crc32(self._view[index + PREFIX_SIZE : index + total], self._start)
        return total if found == crc and len(self._window) - index >= total else 0

    def _run(self, offset: int, sequences: array[int], offsets: array[int]) -> int:
        """Note the whole messages that follow one another in the window; where they end.

        It is ``check`` for many, at a fraction of what so many calls cost.
        """
        unpack, view, start = HEADER.unpack_from, self._view, self._start
        index, end = offset - self._base, len(self._window)
        low = self.number << SHIFT
        high = low + (1 << SHIFT)
        last = end - HEADER_SIZE
        while 0 <= index <= last:
            magic, crc, kind, length, sequence = unpack(view, index)
            after = index + HEADER_SIZE + length
            if (
                magic != MAGIC
                or kind & PLAIN != MESSAGE
                or after > end
                or not low <= sequence < high
                or crc32(view[index + PREFIX_SIZE : after], start) != crc
            ):
                break
            sequences.append(sequence)
            offsets.append(self._base + index)
            index = after
        return self._base + index

    def message(self, offset: int, sequence: int) -> tuple[int, float, bytes] | None:
        """Destination, time and entry of the message that stands there in the window, and whole.

        It is ``check`` and ``get`` for what is usual; None says that one has to look more closely.
        """
        index, window = offset - self._base, self._window
        if not 0 <= index <= len(window) - _WHOLE_HEAD.size:
            return None
        magic, crc, kind, length, found, number, when = _WHOLE_HEAD.unpack_from(window, index)
        after = index + HEADER_SIZE + length
        if (
            magic != MAGIC
            or kind != MESSAGE
            or found != sequence
            or length < MESSAGE_HEAD.size
            or after > len(window)
            or crc32(self._view[index + PREFIX_SIZE : after], self._start) != crc
        ):
            return None
        return number, when, window[index + _WHOLE_HEAD.size : after]

    def get(self, offset: int, total: int) -> tuple[int, int, bytes]:
        """Kind, sequence and payload of the record that ``check`` found."""
        index = self._index(offset, total)
        _, _, kind, _, sequence = HEADER.unpack_from(self._window, index)
        return kind, sequence, self._window[index + HEADER_SIZE : index + total]

    def head(self, offset: int) -> tuple[int, int]:
        """Kind and sequence of the record that ``check`` found last."""
        _, _, kind, _, sequence = HEADER.unpack_from(self._window, offset - self._base)
        return kind, sequence

    def following(self, offset: int) -> int:
        """Where the next whole record begins after a damaged one; -1 if there is none.

        The damaged record's own length may be right, and what is found before its end stand in its
        body; or it is wrong, and leads past whole records. Those follow one another up to there.
        """
        first, believed = self._next(offset), self._believed(offset)
        if believed < 0 or first >= believed:
            return first
        if first < 0:  # looking for it has cost too much
            return believed
        at = first
        while at < believed and (total := self.check(at)):
            at += total
        return first if at == believed else believed

    def _believed(self, offset: int) -> int:
        """Where a whole record begins if the length of the damaged one is right; -1 if none."""
        index = self._index(offset, HEADER_SIZE)
        if index + HEADER_SIZE > len(self._window):
            return -1
        length = HEADER.unpack_from(self._window, index)[3]
        after: int = offset + HEADER_SIZE + length
        believable = length <= MAX_PAYLOAD and after < self.size and self.check(after)
        return after if believable else -1

    def _next(self, offset: int) -> int:
        """Where the first whole record begins that is found after ``offset``; -1 if none is.

        Long candidates are checked until that has cost several times the file's size, short ones
        always: the time is bounded whatever is there.
        """
        self._budget = 8 * self.size
        at = offset + 1
        while at + HEADER_SIZE <= self.size:
            index = self._index(at, HEADER_SIZE)
            found = self._window.find(MAGIC, index)
            if found < 0:
                at = self._base + max(len(self._window) - 1, index + 1)
                continue
            at = self._base + found
            if self._worth_checking(at) and self.check(at):
                return at
            at += 1
        return -1

    def _worth_checking(self, offset: int) -> bool:
        index = self._index(offset, HEADER_SIZE)
        if index + HEADER_SIZE > len(self._window):
            return False
        length = HEADER.unpack_from(self._window, index)[3]
        if length > _SHORT:
            if length > min(self._budget, MAX_PAYLOAD):
                return False
            self._budget -= length
        return True

    def records(
        self,
        position: int,
        damaged: Callable[[int, int], None],
        *,
        final: bool,
        messages: tuple[array[int], array[int]] | None = None,
    ) -> Iterator[tuple[int, int, int, int]]:
        """Kind, sequence, offset and length of each whole record from ``position`` on.

        ``damaged`` is told where other bytes begin and end. Unless ``final``, those at the very
        end may be half of a record that is just being written, and are left alone. Where there are
        ``messages``, sequences and offsets of most messages are put there, and not yielded.
        """
        while position < self.size:
            if messages is not None:
                position = self._run(position, *messages)
            if position >= self.size:
                return
            if total := self.check(position):
                kind, sequence = self.head(position)
                yield kind, sequence, position, total
                position += total
                continue
            after = self.following(position)
            if after < 0:
                if not final:
                    return
                after = self.size
            damaged(position, after)
            position = after
