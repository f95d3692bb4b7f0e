"""One segment of a source."""

from __future__ import annotations

from array import array

from .reading import Reading


class Part:
    """One segment of a source, and which of its messages are still to be taken."""

    __slots__ = (
        "back",
        "done_size",
        "left",
        "marked",
        "offsets",
        "reading",
        "scanned",
        "sequences",
    )

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.scanned = False
        self.left = 0  # messages that were found and are not settled
        self.sequences = array("Q")
        self.offsets = array("Q")
        self.back: list[tuple[int, int]] = []  # taken and put back
        self.marked: set[int] = set()  # settled, while others may settle too
        self.done_size = 0

    def add(self, marks: set[int]) -> None:
        """Take over what the reading has found, without what is settled."""
        sequences, offsets = self.reading.sequences, self.reading.offsets
        self.reading.sequences, self.reading.offsets = array("Q"), array("Q")
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

    def pull(self, limit: int) -> list[tuple[int, int]]:
        """Up to so many sequences, each with its offset, the oldest first."""
        self.back.sort()
        pulled = self.back[:limit]
        del self.back[:limit]
        more = limit - len(pulled)
        pulled += zip(self.sequences[:more], self.offsets[:more], strict=True)
        del self.sequences[:more]
        del self.offsets[:more]
        if self.marked:
            still = [pair for pair in pulled if pair[0] not in self.marked]
            self.left -= len(pulled) - len(still)
            return still
        return pulled

    def first(self) -> tuple[int, int] | None:
        """The oldest one that is still to be taken."""
        if self.back:
            return min(self.back)
        return (self.sequences[0], self.offsets[0]) if self.sequences else None
