"""What another process has left on disk, or is still writing for a relay."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence

from .._clock import now
from .crypt import Codec
from .directory import FOREIGN, Directory, Lock, segments
from .part import Part, Places
from .reading import Kept, Reading, by_segment


def adopt(directory: Directory, owner: str, codec: Codec | None = None) -> Source | None:
    """Take over a dead owner's files; None if it is alive, or somebody else has them."""
    lock = directory.lock(owner, create=True)
    return None if lock is None else Source(directory, owner, lock, codec)


class Source:
    """The messages of one owner, oldest first; for one thread.

    Args:
        directory: where they are.
        owner: whose.
        lock: the owner's, if it is dead and this process has taken it.
        codec: decrypts.
        names: of its files, at a look at the directory for many owners; what has come since is
            found. It is looked at for this one alone if there are none.

    Raises:
        OSError: the directory cannot be read.
    """

    def __init__(
        self,
        directory: Directory,
        owner: str,
        lock: Lock | None,
        codec: Codec | None = None,
        names: Iterable[str] | None = None,
    ) -> None:
        self.directory = directory
        self.owner = owner
        self.clock: Callable[[], float] = now
        self.rank = 0  # among those that offer messages again: lower ones go first
        #: Nothing is left to do: what may be unlinked is unlinked, and the lock is released.
        self.finished = False
        self.has_more = True  # than what has been taken, as far as the last call of take() saw
        #: Marks that could not be written: those messages are sent again after a crash.
        self.unmarked = 0
        self._lock = lock
        self._codec = codec
        self._parts: dict[int, Part] = {}
        self._last = 0  # the highest number seen
        self.refused: set[int] = set()  # no private files of this user; they stay
        self.gone = 0  # damaged places in segments that are gone
        self._oldest: tuple[int, float | None] = (-1, None)
        try:
            self._look(directory.files().get(owner, ()) if names is None else names)
            self._note_more()
            self._finish()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Source {self.owner}: {self.waiting} waiting>"

    def alive(self) -> bool:
        """Whether the owner's process still runs. If it does not, its lock is ours from now on."""
        if self._lock is None and not self.finished:
            lock = self.directory.lock(self.owner, create=True)
            if lock is not None:
                try:
                    self._inherit(lock)
                except BaseException:  # the next call tries again
                    self._lock = None
                    lock.release()
                    raise
        return self._lock is None and not self.finished

    def _inherit(self, lock: Lock) -> None:
        """Its owner has died: what it wrote last is final now."""
        for part in self._parts.values():
            # One that had ended may have been written anew: all of it is known.
            part.scanned = part.scanned and part.reading.ended
        self.note(self.directory.files().get(self.owner, ()))
        for part in self._parts.values():
            self._remove(f"{part.reading.name}.tmp")
        self._lock = lock

    # Finding.

    def note(self, names: Iterable[str]) -> None:
        """Note what a later look at the directory has found: numbers may have gaps.

        Raises:
            OSError: a file cannot be looked at now.
        """
        if self.finished:
            return
        self._note_more()  # first: a look may miss what is made meanwhile, and find what came after
        self._look(names)
        self._parts = dict(sorted(self._parts.items()))

    def _look(self, names: Iterable[str]) -> None:
        """Note its segments, and clear away what is left of others."""
        for number, kinds in segments(names).items():
            name = f"{self.owner}-{number}"
            if self._lock is not None and "tmp" in kinds:
                self._remove(f"{name}.tmp")
            if not self._note(number) and "done" in kinds:  # marks of a segment that is gone
                self._remove(f"{name}.done")

    def _note(self, number: int) -> bool:
        """Note a segment, if it is there."""
        if number in self._parts or number in self.refused:
            return True
        part = Part(Reading(self.directory, self.owner, number, self._codec))
        try:
            part.reading.size = os.lstat(self.directory.join(f"{part.reading.name}.log")).st_size
        except FileNotFoundError:
            return False
        self._last = max(self._last, number)
        self._parts[number] = part
        return True

    def _note_more(self) -> None:
        """Note the segments that have come since."""
        while self._note(self._last + 1):
            pass

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self.directory.remove(name)

    def _refresh(self, part: Part) -> bool:
        """Look at a segment that has not been looked at, or has grown; False: it is none of ours.

        Raises:
            OSError: it cannot be read now.
        """
        try:
            part.look(self.directory, final=self._lock is not None)
        except OSError as error:
            if error.errno not in FOREIGN:  # too many open files, say
                raise
            self.gone += 1
            self.refused.add(part.reading.number)
            del self._parts[part.reading.number]
            return False
        return True

    # Taking and settling.

    def take(self, limit: int) -> list[Kept]:
        """Up to ``limit`` messages, the oldest first. Each is then settled or put back.

        None is there if all have been taken, and no more have come from a process that lives. What
        is damaged is counted, and left out.

        Raises:
            OSError: a file cannot be opened now; a later call may.
        """
        self.has_more = True
        if self._lock is None:
            self._note_more()
        taken: list[Kept] = []
        try:
            for part in list(self._parts.values()):
                if not self._refresh(part):
                    continue
                while len(taken) < limit and (wanted := part.pull(limit - len(taken))):
                    taken += self._read(part, wanted, part.back)
                if len(taken) >= limit:
                    break
        except OSError:  # no later segment goes before this one, which is tried again
            if taken:
                return taken
            raise
        self.has_more = len(taken) >= limit
        self._finish()
        return taken

    def _read(self, part: Part, wanted: Places, back: Places) -> list[Kept]:
        found: list[Kept] = []
        lost: list[int] = []
        try:
            places = part.places(wanted)
            lost += [sequence for sequence, offset in places if offset < 0]
            found, damaged = part.reading.messages(self, [one for one in places if one[1] >= 0])
            lost += damaged
        except OSError as error:
            if not isinstance(error, FileNotFoundError):  # the next look tries again
                back += wanted
                raise
            part.reading.damaged += len(wanted) - len(lost)
            lost = [sequence for sequence, _ in wanted]
        if lost:
            self._settle(part, lost)
        return found

    def read_again(self, kepts: Sequence[Kept]) -> list[Kept]:
        """Messages that were taken, with their entries; what is damaged by now is settled."""
        found: list[Kept] = []
        for part, some in self._by_part(kepts):
            found += self._read(part, [(kept.sequence, kept.offset) for kept in some], [])
        return found

    def settle(self, kepts: Iterable[Kept]) -> None:
        """Mark messages that were taken as settled."""
        for part, some in self._by_part(kepts):
            self._settle(part, [kept.sequence for kept in some])
        self._finish()

    settle_taken = settle  # the name that a log has for it

    def put_back(self, kepts: Iterable[Kept]) -> None:
        """Have messages that were taken be taken again."""
        for part, some in self._by_part(kepts):
            part.back += [(kept.sequence, kept.offset) for kept in some]

    def _by_part(self, kepts: Iterable[Kept]) -> list[tuple[Part, list[Kept]]]:
        """By segment; one whose file was replaced by something foreign is looked at no more."""
        found = by_segment(kepts).items()
        return [(self._parts[number], some) for number, some in found if number in self._parts]

    def _settle(self, part: Part, sequences: list[int]) -> None:
        try:
            part.settle(self.directory, sequences)
        except OSError:
            self.unmarked += len(sequences)

    # Giving back.

    def _finish(self) -> None:
        """Unlink the segments that are done with, and the lock file after the last one."""
        if self.finished:
            return
        for number, part in list(self._parts.items()):
            if part.scanned and not part.left and (self._lock is not None or part.reading.ended):
                part.reading.put_aside()
                with contextlib.suppress(OSError):
                    self.directory.remove(f"{part.reading.name}.log")
                    self.directory.remove(f"{part.reading.name}.done")
                    self.gone += part.reading.damaged
                    del self._parts[number]
            elif part.is_pinned(self.clock()):
                with contextlib.suppress(OSError):
                    part.rewrite(self.directory, alone=self._lock is not None)
        if self._lock is not None and not self._parts:
            self._end(unlink=not self.refused)

    def _end(self, *, unlink: bool) -> None:
        self.finished = True
        lock, self._lock = self._lock, None
        if lock is not None:
            with contextlib.suppress(OSError):
                lock.release(unlink=unlink)

    def close(self) -> None:
        """Leave what is left to the next one: release the lock."""
        if not self.finished:
            self._end(unlink=False)

    # What is there.

    @property
    def is_taken_over(self) -> bool:
        """Whether its lock is ours, and something is left to do."""
        return self._lock is not None

    @property
    def waiting(self) -> int:
        """How many messages are not settled, in the segments that were looked at."""
        return sum(part.left for part in self._parts.values())

    @property
    def bytes(self) -> int:
        """The bytes of its files."""
        return sum(part.reading.size + part.done_size for part in self._parts.values())

    @property
    def damaged(self) -> int:
        """How many damaged places were found, and messages that none of the keys opens."""
        return self.gone + sum(part.reading.damaged for part in self._parts.values())

    @property
    def oldest(self) -> float | None:
        """When the oldest that can be taken was accepted; None if there is none."""
        for part in self._parts.values():
            first = part.first()
            if first is not None:
                if self._oldest[0] != first[0]:
                    self._oldest = (first[0], part.reading.accepted(*first))
                return self._oldest[1]
        return None
