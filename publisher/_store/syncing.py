"""A group commit: what the disk is asked to keep is kept for all who wait at that moment."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence

from . import record
from .directory import Directory
from .segment import Segment
from .segments import Segments


class Syncing:
    """Has the disk keep what was written to the segments of one log.

    Args:
        segments: they.
        directory: where they are.
    """

    def __init__(self, segments: Segments, directory: Directory) -> None:
        self._segments = segments
        self._directory = directory
        self._lock = threading.RLock()  # guards which bytes the disk has

    def commit(self, sequences: Sequence[int]) -> None:
        """Return when the disk has messages that were appended to be committed later.

        Raises:
            OSError: it does not keep them. They are to be settled.
        """
        for number in sorted({sequence >> record.SHIFT for sequence in sequences}):
            segment = self._segments.members.get(number)
            if segment is not None and (some := segment.interrupted.intersection(sequences)):
                self.sync(segment)
                for sequence in some:
                    segment.accounted += 1
                    segment.interrupted.discard(sequence)

    def sync(self, segment: Segment, sequences: Sequence[int] = ()) -> None:
        """Return when the disk has what is written of a segment, for all who wait.

        Args:
            segment: it.
            sequences: to be marked as settled if the disk does not keep them.

        Raises:
            OSError: it does not.
        """
        mine = segment.size
        try:
            with self._lock:
                if segment.broken:
                    raise OSError(errno.EIO, "the disk did not keep what was written before")
                if segment.synced < mine:
                    size = segment.size
                    try:
                        self._directory.fdatasync(segment.descriptor)
                    except OSError:
                        # The system drops what it could not write and says so once only.
                        segment.broken = True
                        raise
                    segment.synced = size
        except OSError:
            if sequences:
                self._segments.mark(segment, sequences)
            raise
