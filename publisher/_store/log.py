"""The log that a process writes what it accepts to."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import record
from .crypt import OVERHEAD, Codec
from .directory import FOREIGN, Directory
from .reading import Kept, by_segment
from .segment import Segment
from .segments import Segments
from .syncing import Syncing


class Full(Exception):
    """There is no room for the message within the bound on the bytes."""


class Log:
    """Appends messages, marks those that are settled, and gives the space back.

    Nothing touches the disk before the first :meth:`append`. That method may be called by any
    thread, and by a signal handler in the middle of any of these methods; it takes no lock.
    :meth:`tend` is for one thread.

    Args:
        directory: where the files are.
        mode: ``"h"``: this process settles the messages. ``"r"``: a relay does, and unlinks.
        sync: ``"kernel"``: a message is in the hands of the system when ``append`` returns;
            ``"disk"``: on the disk.
        max_bytes: bound on the bytes of all files of this log.
        codec: encrypts.
        segment_bytes: a segment of that size is followed by the next one.
        write: what appends; it gives how much it has written, as ``os.write`` does.
    """

    def __init__(
        self,
        directory: Directory,
        mode: str = "h",
        sync: str = "kernel",
        max_bytes: int = 1 << 30,
        codec: Codec | None = None,
        segment_bytes: int = 16 << 20,
        write: Callable[[int, bytes], int] | None = None,
    ) -> None:
        self.directory = directory
        self.rank = 0  # among those that offer messages again: lower ones go first
        self.max_bytes = max_bytes
        self._disk = sync == "disk"
        # Space comes back a segment at a time, so several of them have to fit.
        segment_bytes = max(1, min(segment_bytes, max_bytes // 8))
        self._segments = Segments(directory, mode, self._disk, codec, segment_bytes)
        self._write = write or directory.write
        self._added = record.MESSAGE_HEAD.size + (0 if codec is None else OVERHEAD)
        self._syncing = Syncing(self._segments, directory)

    def __repr__(self) -> str:
        return f"<Log {self.owner}: {self.waiting} waiting, {self.bytes} bytes>"

    # The way in.

    def append(
        self, holder: Any, where: bytes, when: float, entry: bytes, wait: bool | None
    ) -> None:
        """Write a message.

        ``holder.kept`` is its sequence from the reservation on: whoever catches an exception that a
        signal handler raised in here settles it. After an OSError it is None.

        Args:
            holder: has an attribute ``kept``.
            where: its destination, for whoever reads it back.
            when: the time of its acceptance, in seconds since the epoch.
            entry: the message.
            wait: with ``sync="disk"``, return when the disk has it; None: that is left to
                :meth:`commit`, which follows.

        Raises:
            Full: it does not fit within ``max_bytes``.
            ValueError: it is longer than a record can be.
            OSError: it could not be written.
        """
        segments = self._segments
        length = len(entry) + self._added
        if segments.total + length > self.max_bytes:
            raise Full(self._room())
        if length > record.MAX_PAYLOAD:
            raise ValueError(f"an entry of {len(entry):,} bytes is too long for a record")
        holder.kept = None
        try:
            segment = segments.current or segments.begin()
            # There is no call in these lines, so nothing comes between them.
            sequence = segment.next
            segment.next = sequence + 1
            holder.kept = sequence
            if sequence >= segment.limit:  # it was rolled a moment ago
                segment = self._reserve(segment, holder)
                sequence = holder.kept
            data, noted = segment.pack(sequence, where, when, entry)
            size = self._write(segment.descriptor, data)
            segments.total += size
            segment.size += size
            if size != len(data):
                raise OSError(errno.ENOSPC, "only a part of the record could be written")
            if noted is not None:
                noted[0][where] = noted[1]
            if self._disk and wait:
                self._syncing.sync(segment, (sequence,))
            elif self._disk and wait is None:  # its descriptor is needed until commit()
                segment.interrupted.add(sequence)
                segment.accounted -= 1
        except OSError as error:  # without a number it is of a signal handler
            self._give_up(holder, interrupted=error.errno is None)
            raise
        except BaseException:
            self._give_up(holder, interrupted=True)
            raise
        segment.accounted += 1

    def commit(self, sequences: Sequence[int]) -> None:
        """Return when the disk has messages that were appended to be committed later.

        Raises:
            OSError: it does not keep them. They are to be settled.
        """
        self._syncing.commit(sequences)

    def check_room(self, lengths: Sequence[int]) -> None:
        """Raise Full where entries of these lengths do not all fit within ``max_bytes``."""
        needed = sum(lengths) + self._added * len(lengths)
        if self._segments.total + needed > self.max_bytes:
            raise Full(self._room())

    def _room(self) -> str:
        return f"{self._segments.total:,} bytes are in use, and the bound is {self.max_bytes:,}"

    def _reserve(self, segment: Segment, holder: Any) -> Segment:
        """Give back a number of a segment that was rolled, and take one of the current one."""
        while True:
            # There is no call in these lines, nor in those below.
            segment.accounted += 1
            segment.settled += 1
            holder.kept = None
            if not segment.rolled:
                raise Full("too many records for one segment: it was not tended")
            segment = self._segments.current or self._segments.begin()
            sequence = segment.next
            segment.next = sequence + 1
            holder.kept = sequence
            if sequence < segment.limit:
                return segment

    def _give_up(self, holder: Any, *, interrupted: bool = False) -> None:
        """A call has ended early. Its number counts as settled, or whoever settles it ends it."""
        ticket = holder.kept
        segment = None if ticket is None else self._segments.members.get(ticket >> record.SHIFT)
        if segment is not None and interrupted:
            segment.interrupted.add(ticket)
        elif segment is not None:
            segment.accounted += 1
            segment.settled += 1
            holder.kept = None

    # What becomes of a message.

    def settle(self, tickets: Iterable[int]) -> None:
        """Mark messages as settled, each once."""
        self._segments.settle(tickets)

    def stay(self, tickets: Iterable[int]) -> None:
        """Leave messages on disk, to be offered again."""
        with self._segments.reading:
            for ticket in tickets:
                segment = self._segments.members.get(ticket >> record.SHIFT)
                if segment is not None:
                    segment.stay(ticket)

    def take_stayed(self, limit: int) -> list[Kept]:
        """Up to ``limit`` messages that stayed, the oldest first. Each is then settled or put back.

        Those in a file that is not a private one of this user any more stay, and are passed over.

        Raises:
            OSError: a segment could not be read.
        """
        taken: list[Kept] = []
        with self._segments.reading:
            for segment in list(self._segments.members.values()):
                while len(taken) < limit and (order := segment.order()):
                    some = order[: limit - len(taken)]
                    try:
                        taken += self._read(segment, some)
                    except OSError as error:
                        if error.errno in FOREIGN:
                            self._segments.damaged += not segment.refused  # counted once
                            segment.refused = True
                            break
                        if taken:
                            return taken
                        raise
                    del order[: len(some)]
        return taken

    def _read(self, segment: Segment, sequences: Sequence[int]) -> list[Kept]:
        found: list[Kept] = []
        lost: list[int] = []
        try:
            reading = segment.reading()
            if any(reading.find(sequence) < 0 for sequence in sequences):
                # Bytes of a call that ended in the middle are not counted.
                reading.scan(final=False)
            places = [(sequence, reading.find(sequence)) for sequence in sequences]
            lost += [sequence for sequence, offset in places if offset < 0]
            found, damaged = reading.messages(self, [place for place in places if place[1] >= 0])
            lost += damaged
        except FileNotFoundError:  # somebody has deleted it
            lost = list(sequences)
        self._segments.damaged += len(lost)
        self.settle(lost)
        return found

    def put_back(self, kepts: Iterable[Kept]) -> None:
        """Have messages that were taken stay after all."""
        self.stay([kept.sequence for kept in kepts])

    take = take_stayed  # the name that a source has for it

    def read_again(self, kepts: Sequence[Kept]) -> list[Kept]:
        """Messages that were taken, with their entries; what is damaged by now is settled."""
        found: list[Kept] = []
        with self._segments.reading:
            for number, some in by_segment(kepts).items():
                if (segment := self._segments.members.get(number)) is not None:
                    found += self._read(segment, [kept.sequence for kept in some])
        return found

    def settle_taken(self, kepts: Iterable[Kept]) -> None:
        """Mark messages that were taken as settled."""
        self.settle([kept.sequence for kept in kepts])

    # What is there.

    @property
    def bytes(self) -> int:
        """The bytes of all files."""
        return self._segments.total

    @property
    def waiting(self) -> int:
        """How many messages are not settled."""
        return sum(segment.waiting for segment in list(self._segments.members.values()))

    @property
    def stayed(self) -> int:
        """How many messages wait to be offered again."""
        return sum(segment.staying() for segment in list(self._segments.members.values()))

    @property
    def oldest(self) -> float | None:
        """When the oldest of those was accepted; None if there is none, or it cannot be read."""
        with self._segments.reading:
            for segment in list(self._segments.members.values()):
                if segment.order():
                    return segment.oldest()
        return None

    @property
    def owner(self) -> str | None:
        """The name that its files begin with; None while there are none."""
        return self._segments.owner

    @property
    def damaged(self) -> int:
        """How many damaged places were found so far."""
        return self._segments.damaged

    @property
    def unmarked(self) -> int:
        """How many marks could not be written: those messages are sent again after a crash."""
        return self._segments.unmarked

    # Housekeeping and the end.

    def tend(self, now: float) -> None:
        """Look after the files; for one thread, now and then."""
        self._segments.tend(now)

    def close(self) -> None:
        """Unlink all files if nothing is left to settle, or leave them; then release the lock."""
        self._segments.close()

    def forget(self) -> None:
        """In the child of a fork: begin anew, and leave the parent's files alone."""
        self._syncing = Syncing(self._segments, self.directory)
        self._segments.forget()
