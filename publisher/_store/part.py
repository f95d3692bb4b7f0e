"""One segment of a source."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence

from . import record
from .directory import Directory
from .reading import Reading
from .rewriting import PINNED, put_in_place, write_beside

Places = list[tuple[int, int]]  # sequences, each with its offset


class Part:
    """One segment of a source, and which of its messages are still to be taken."""

    __slots__ = (
        "back",
        "done_size",
        "found",
        "left",
        "low_at",
        "marked",
        "moved",
        "offsets",
        "reading",
        "scanned",
        "sequences",
        "worth",
    )

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.scanned = False
        self.found = 0  # messages, settled or not
        self.left = 0  # messages that were found and are not settled
        self.sequences = array("Q")
        self.offsets = array("Q")
        self.back: list[tuple[int, int]] = []  # taken and put back
        self.marked: set[int] = set()  # settled, while others may settle too
        self.done_size = 0
        self.moved = False  # it was written anew: what is known of places does not hold
        self.worth = 0  # writing it anew pays when no more than this are left
        self.low_at: float | None = None  # when that was seen first

    def look(self, directory: Directory, *, final: bool) -> None:
        """Look at what has come since the last look, if something has.

        Args:
            directory: that has it.
            final: nobody else writes to it.

        Raises:
            OSError: it cannot be read now; the next look begins where this one did.
        """
        reading = self.reading
        if self.scanned:
            if final or reading.ended:
                return
            sizes = [directory.size(f"{reading.name}.{kind}") for kind in ("log", "done")]
            if sizes == [reading.size, self.done_size]:
                return
        self.scanned = False
        self.done_size = directory.size(f"{reading.name}.done")  # marks that come later are noticed
        self.marked |= reading.marks()
        try:
            reading.scan(final=final)
        except FileNotFoundError:
            reading.ended = self.scanned = True
            return
        self.scanned = True
        self._add(self.marked)
        if final:
            self.marked &= {*self.sequences, *(sequence for sequence, _ in self.back)}
        if final or reading.ended:
            self.worth = self.found // 4

    def _add(self, marks: set[int]) -> None:
        """Take over what the reading has found, without what is settled."""
        sequences, offsets = self.reading.sequences, self.reading.offsets
        self.reading.sequences, self.reading.offsets = array("Q"), array("Q")
        self.found += len(sequences)
        if not marks and not self.sequences:
            self.sequences, self.offsets = sequences, offsets
            self.left += len(sequences)
            return
        found = zip(sequences, offsets, strict=True)
        fresh = [pair for pair in found if pair[0] not in marks]
        self.left += len(fresh)
        if self.sequences:
            fresh = sorted([*zip(self.sequences, self.offsets, strict=True), *fresh])
        self.sequences = array("Q", [sequence for sequence, _ in fresh])
        self.offsets = array("Q", [offset for _, offset in fresh])

    def places(self, wanted: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Sequences and offsets, with the offsets of today; -1 is that of one that is not there.

        Raises:
            OSError: the file cannot be read.
        """
        if not self.moved:
            return wanted
        if not self.reading.position:
            self.reading.scan(final=True)
        return [(sequence, self.reading.find(sequence)) for sequence, _ in wanted]

    def is_pinned(self, now: float) -> bool:
        """Whether little has been left of it for a while."""
        if not 0 < self.left <= self.worth:
            return False
        if self.low_at is None:
            self.low_at = now
        return now - self.low_at >= PINNED

    def rewrite(self, directory: Directory, *, alone: bool) -> None:
        """Replace the segment by one that has only its unsettled messages, where that pays.

        Args:
            directory: that has it.
            alone: nobody else writes marks.

        Raises:
            OSError: it could not be written.
        """
        self.low_at = None
        size = write_beside(directory, self.reading.anew(), sync=True)
        self.worth = self.left // 4  # a disk that has failed is tried again
        if not size:
            return
        old, fresh = self.reading, self.reading.anew()
        fresh.damaged, fresh.ended, fresh.size = old.damaged, old.ended, old.size
        # Before anything can fail: to look at all of the file again is right for either of them.
        self.reading = fresh
        self.moved = True
        put_in_place(directory, old)
        fresh.size = size
        if alone:
            directory.remove(f"{fresh.name}.done")
            self.done_size = 0

    def pull(self, limit: int) -> list[tuple[int, int]]:
        """Up to so many sequences, each with its offset, the oldest first; none if it has none."""
        self.back.sort()
        while True:
            pulled = self.back[:limit]
            del self.back[:limit]
            more = limit - len(pulled)
            pulled += zip(self.sequences[:more], self.offsets[:more], strict=True)
            del self.sequences[:more]
            del self.offsets[:more]
            still = [pair for pair in pulled if pair[0] not in self.marked]
            self.left -= len(pulled) - len(still)
            if still or not pulled:
                return still

    def settle(self, directory: Directory, sequences: Sequence[int]) -> None:
        """Mark messages as settled.

        Raises:
            OSError: it could not be written: they are sent again after a crash.
        """
        self.left -= len(sequences)
        marks = record.pack_marks(self.reading.number, sequences, self.reading.start)
        descriptor = directory.append_to(f"{self.reading.name}.done")
        try:
            self.done_size += directory.write(descriptor, marks)
        finally:
            os.close(descriptor)

    def first(self) -> tuple[int, int] | None:
        """The oldest one that is still to be taken."""
        if self.back:
            return min(self.back)
        return (self.sequences[0], self.offsets[0]) if self.sequences else None
