"""The segments of one log: the first, the next, those that are done with, and their marks."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
from collections.abc import Iterable, Sequence

from . import record
from .crypt import Codec
from .directory import Directory, Lock
from .rewriting import PINNED, put_in_place, write_beside
from .segment import Segment

#: So many names at most are tried for a new log.
_TRIES = 5
#: Seconds for which the end of a log waits for who reads its files: if it takes longer, they hang.
_HANGS = 1.0


class Segments:
    """Makes segments, settles what is in them, and unlinks them.

    Args:
        directory: where they are.
        mode: ``"h"`` or ``"r"``, as for a log.
        disk: their names have to be on the disk before anything else is.
        codec: encrypts.
        segment_bytes: one of that size is followed by the next one.
    """

    def __init__(
        self, directory: Directory, mode: str, disk: bool, codec: Codec | None, segment_bytes: int
    ) -> None:
        self._directory = directory
        self._mode = mode
        self._disk = disk
        self._codec = codec
        self._bytes = segment_bytes
        self.closed = False
        self.damaged = 0
        self.unmarked = 0
        self.clear()

    def clear(self) -> None:
        self.current: Segment | None = None
        self.members: dict[int, Segment] = {}
        self.owner: str | None = None
        self._lock: Lock | None = None
        self.total = 0
        # Both are re-entrant: a signal handler may settle in the middle of any of this.
        self._marking = threading.RLock()  # guards the done-files, and the unlinking of members
        #: Guards what stays and the reading of segments; taken before the other one.
        self.reading = threading.RLock()

    def begin(self) -> Segment:
        """Make the lock and the first segment. Of several that do so at once, one stays."""
        if self.closed:
            raise OSError(errno.EBADF, "the log is closed")
        lock, segment = self._named()
        try:
            tries = 1
            while not lock.acquire(create=True):  # who looks for dead owners was a moment faster
                if tries == _TRIES:
                    raise OSError(errno.EAGAIN, "the lock of a new log is taken")
                tries += 1
                lock, segment = self._named()
            segment.create()
            if self._disk:
                self._directory.sync()
            if self._lock is None and not self.closed:  # no call in these lines
                self._lock = lock
                self.owner = lock.owner
                self.members[1] = segment
                self.current = segment
        finally:
            if self._lock is not lock:
                segment.close_log()
                with contextlib.suppress(OSError):
                    self._directory.remove(segment.log)
                    self._directory.remove(lock.name)
                lock.release()
        if self.current is None:
            raise OSError(errno.EBADF, "the log is closed")
        return self.current

    def _named(self) -> tuple[Lock, Segment]:
        """A lock and a first segment under a name that nobody has; nothing is on disk yet."""
        lock = Lock(self._directory, self._mode + secrets.token_hex(8))
        return lock, Segment(self._directory, lock.owner, 1, self._codec)

    # Marks.

    def settle(self, tickets: Iterable[int]) -> None:
        """Mark messages as settled, each once."""
        tickets = list(tickets)
        numbers = {ticket >> record.SHIFT for ticket in tickets}  # mostly it is one
        for number in numbers:
            segment = self.members.get(number)
            if segment is None:
                continue
            sequences = tickets
            if len(numbers) > 1:
                sequences = [ticket for ticket in tickets if ticket >> record.SHIFT == number]
            ended, count = 0, len(sequences)
            if segment.interrupted:
                ended = len(segment.interrupted.intersection(sequences))
                segment.interrupted.difference_update(sequences)
            # In memory first: an exception that comes between costs a mark, and no space.
            segment.settled += count
            segment.accounted += ended
            self.mark(segment, sequences)

    def mark(self, segment: Segment, sequences: Sequence[int]) -> None:
        """Write marks. One that cannot be written means that its message may be sent again."""
        with self._marking:
            if segment.number not in self.members:
                return  # finished a moment ago
            try:
                written = segment.mark(sequences)
                self.total += written  # by itself: what is added to is read before what is called
            except OSError:
                self.unmarked += len(sequences)

    # Housekeeping, on one thread.

    def tend(self, now: float) -> None:
        """Begin the next segment where it is time, and give back what is done with."""
        with self.reading:
            segment = self.current
            if segment is not None and self._ripe(segment):
                self._roll(segment)
            for segment in list(self.members.values()):
                if segment.rolled:
                    self._look_after(segment, now)

    def _ripe(self, segment: Segment) -> bool:
        """Whether it is full or of no use, or all in it is settled and nothing came lately."""
        if segment.size >= self._bytes or segment.broken or segment.is_gone():
            return True
        quiet = segment.size > 0 and segment.next == segment.seen
        segment.seen = segment.next
        return quiet and not self._waiting(segment)

    def _waiting(self, segment: Segment) -> int:
        """How many messages are not settled, also where it is a relay that settles them."""
        if self._mode == "r":
            with self._marking, contextlib.suppress(OSError):
                marked = segment.new_marks()
                segment.marked += marked
                size = os.lstat(self._directory.join(segment.done)).st_size
                gained = segment.done_size - size
                segment.done_size = size
                self.total -= gained
        return segment.waiting

    def _roll(self, segment: Segment) -> None:
        following = Segment(self._directory, str(self.owner), segment.number + 1, self._codec)
        try:
            following.create()
            if self._disk:
                self._directory.sync()
        except BaseException as error:
            if following.descriptor >= 0:  # the next look, which tries again, would meet it
                following.close_log()
                with contextlib.suppress(OSError):
                    self._directory.remove(following.log)
            if isinstance(error, OSError):
                return
            raise
        self.members[following.number] = following
        self.current = following
        self._end(segment)

    @staticmethod
    def _end(segment: Segment) -> None:
        """From here on reservations in it are given back; those from before may be written yet."""
        segment.limit = 0
        segment.rolled = True
        segment.worth = segment.reserved // 4

    def _look_after(self, segment: Segment, now: float) -> None:
        if segment.held:
            return
        if segment.descriptor >= 0 and not self._close_log(segment):
            return
        if self._mode == "r":
            self._notice(segment)
        elif not segment.waiting:
            self._unlink(segment)
        elif segment.waiting > segment.worth:
            return
        elif segment.low_at is None:
            segment.low_at = now
        elif now - segment.low_at >= PINNED:
            segment.low_at = None
            with contextlib.suppress(OSError):
                self._rewrite(segment)

    def _close_log(self, segment: Segment) -> bool:
        """Close the descriptor. A relay, which unlinks, has to know that nothing comes any more."""
        if self._mode == "r":
            end = record.pack(record.END, segment.base, b"", segment.start)
            try:
                if self._directory.write(segment.descriptor, end) != len(end):
                    return False
            except OSError:
                return False  # a full disk; the next look tries again
            size = len(end)
            segment.size += size
            self.total += size
        segment.close_log()
        return True

    def _notice(self, segment: Segment) -> None:
        """See whether the relay has unlinked a segment, or has written it anew."""
        try:
            size = os.lstat(self._directory.join(segment.log)).st_size
        except FileNotFoundError:
            self._drop(segment)
        except OSError:
            pass
        else:
            gained = segment.size - size
            segment.size = size
            self.total -= gained
            self._waiting(segment)

    def _unlink(self, segment: Segment) -> None:
        self.damaged += segment.forget_reading()
        with self._marking, contextlib.suppress(OSError):
            self._directory.remove(segment.log)
            self._directory.remove(segment.done)
            self._drop(segment)

    def _drop(self, segment: Segment) -> None:
        with self._marking:
            self.members.pop(segment.number, None)
            size = segment.size + segment.done_size
            self.total -= size
            segment.close_done()

    def _rewrite(self, segment: Segment) -> None:
        """Replace a segment by one that has only its unsettled messages."""
        reading = segment.read_anew()
        size = write_beside(self._directory, reading, sync=self._disk)
        segment.worth = segment.waiting // 4  # a disk that has failed is tried again
        if not size:
            return
        # What is known of places does not hold from here on, whatever fails below.
        segment.forget_reading()
        with self._marking:
            put_in_place(self._directory, reading)
            self.damaged += reading.damaged
            gained = segment.size - size
            segment.size = size
            self.total -= gained
            if not reading.marks():  # none came in the meantime
                self._directory.remove(segment.done)
                gained, segment.done_size = segment.done_size, 0
                self.total -= gained
                segment.close_done()

    # The end.

    def close(self) -> None:
        """Leave what is not settled, and nothing else; then give the lock back."""
        self.closed = True
        if not self.reading.acquire(timeout=_HANGS):  # the lock ends with the process
            return
        try:
            segment, self.current = self.current, None
            if segment is not None:
                self._end(segment)
            for segment in list(self.members.values()):
                self._look_after(segment, 0)
                if not segment.size and not segment.held:
                    self._unlink(segment)
            if any(segment.held for segment in self.members.values()):
                return  # a call is still writing: the lock ends with the process
            for segment in self.members.values():
                segment.close_log()
                segment.close_done()
                self.damaged += segment.forget_reading()
            lock, self._lock = self._lock, None
            if lock is not None:
                with contextlib.suppress(OSError):
                    lock.release(unlink=not self.members)
        finally:
            self.reading.release()

    def forget(self) -> None:
        """In the child of a fork: close the copies of descriptors; the files are the parent's."""
        members = list(self.members.values())
        self.clear()
        for segment in members:
            segment.forget()
