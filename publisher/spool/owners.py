"""Whose files are in the directory of a spool, and whose of them are read here.

The directory is listed once at a look, whoever's files are in it. Dead owners are taken over a few
at a time: the others wait for their turn, and are not looked for again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from .._store.crypt import Codec
from .._store.directory import Directory, is_held, is_private
from .._store.source import Source
from .queues import Queues

#: So many dead owners are taken over at once. The next ones come when what these left was read.
MOST = 32
#: Of so many at most something stays to be sent. Each holds a descriptor, for its lock. Where
#: others wait, some of which nothing can go now are put down at each look: they take turns.
_HELD = 256
_FILES = 4  # it holds one of so many descriptors that the process may have
#: So many locks are tried in one go: of a living owner in vain.
_TRIES = 1_000


class Owners:
    """The owners whose messages are offered; for one thread, but for what is only told.

    Args:
        codec: decrypts.
        follows: also what living ones leave to a relay.
    """

    def __init__(self, codec: Codec | None, *, follows: bool) -> None:
        self.sources: dict[str, Source] = {}  # by their owner
        self._codec = codec
        self._follows = follows
        self._damaged = 0  # places in files that are gone
        self._failed = 0  # owners whose files could not be taken over, at the last look
        self._refused: dict[str, int] = {}  # dead ones, and how many foreign files is all they have
        self._put_down: dict[str, None] = {}  # those that have made room, the last one last
        #: Those that may be taken over when there is room, each with the names of its files.
        self._waiting: dict[str, Sequence[str]] = {}
        self._rank = 0
        self._most = min(_HELD, max(_most_files() // _FILES, 1))

    @property
    def damaged(self) -> int:
        """How many damaged places there were in files that are gone, and foreign files."""
        return self._damaged + sum(self._refused.values())

    @property
    def orphans(self) -> int:
        """Of how many owners some files were not taken over, or are foreign, as far as known."""
        foreign = sum(bool(source.refused) for source in self.sources.values())
        return self._failed + len(self._waiting) + len(self._refused) + foreign

    @property
    def is_crowded(self) -> bool:
        """Whether some wait until others are through."""
        return bool(self._waiting)

    @property
    def tried_all(self) -> bool:
        """Whether those that wait have had a turn."""
        return self._waiting.keys() <= self._put_down.keys()

    @property
    def may_go_on(self) -> bool:
        """Whether one waits for which there is room."""
        return bool(self._waiting) and self._room() > 0

    def _room(self) -> int:
        held = [source for source in self.sources.values() if source.is_taken_over]
        return min(MOST - sum(source.has_more for source in held), self._most - len(held))

    def look(self, directory: Directory, queues: Queues | None = None) -> None:
        """See who there is, at one look at the directory.

        Args:
            directory: that has the files.
            queues: what was read of them; those of which nothing can go now make room for others.
        """
        self._failed = 0
        try:
            files = directory.files()
        except OSError:  # not even a look at it is possible: who publishes is told
            self._failed = 1
            return
        for owner in list(self._refused):
            if any(_are_private(directory, files.get(owner, ()))) or owner not in files:
                del self._refused[owner]
        if queues is not None:
            self._make_room(directory, queues)
        known, self._waiting = self._waiting, {}
        put_down = [owner for owner in self._put_down if owner in files]
        self._put_down = dict.fromkeys(put_down)
        # The last one is taken over first: of those that were put down the first one.
        for owner in [*reversed(put_down), *sorted(files.keys() - self._put_down)]:
            if owner in self.sources:
                with contextlib.suppress(OSError):  # the next look tries again
                    self.sources[owner].note(files[owner])
                continue
            if owner in self._refused or is_held(directory, owner):
                continue
            if owner.startswith("r") and not self._follows:
                continue
            is_dead = owner.startswith("h") or owner in known or owner in self._put_down
            if is_dead or not self._follow(directory, owner, files):
                self._waiting[owner] = files[owner]

    def _make_room(self, directory: Directory, queues: Queues) -> None:
        """Put some down of which nothing can go now, if others wait for them.

        Those that live and had foreign files that are mended are met anew.
        """
        held = [source for source in self.sources.values() if source.is_taken_over]
        some: list[Source] = []
        if self._waiting and self._room() <= 0:
            is_full = len(held) >= self._most
            some = [
                source
                for source in held
                if source in queues.unread or (is_full and not source.has_more)
            ]
        mended = [
            source
            for source in self.sources.values()
            if not source.is_taken_over
            if any(_are_private(directory, _foreign(source)))
        ]
        if not (some or mended):
            return
        moving = queues.moving()
        some = [source for source in some if source not in moving]
        some = some[: min(MOST, len(self._waiting))]
        mended = [source for source in mended if source not in moving]
        queues.forget({*some, *mended})
        for source in some:
            self._put_down.pop(source.owner, None)
            self._put_down[source.owner] = None
        for source in [*some, *mended]:
            source.close()
            self._damaged += source.gone - len(source.refused)
            del self.sources[source.owner]

    def _follow(self, directory: Directory, owner: str, files: Mapping[str, Sequence[str]]) -> bool:
        """Read what one leaves to a relay while it lives; False if it has died."""
        try:
            lock = directory.lock(owner, create=True)
            if lock is not None:
                lock.release()
                return False
            self._add(Source(directory, owner, None, self._codec, files[owner]))
        except OSError:
            self._failed += 1
        return True

    def take_over(self, directory: Directory) -> None:
        """Take over what dead owners left, as there is room."""
        room = self._room()
        for _ in range(_TRIES):
            if not self._waiting or room <= 0:
                break
            owner, names = self._waiting.popitem()  # a dict's first one is not found as quickly
            try:
                lock = directory.lock(owner, create=True)
                if lock is not None:
                    room -= self._add(Source(directory, owner, lock, self._codec, names))
            except OSError:
                self._failed += 1

    def _add(self, source: Source) -> bool:
        """Have its messages be offered; whether it has some."""
        if source.finished:
            self._damaged += source.damaged
            return False
        self._rank += 1
        source.rank = self._rank
        self.sources[source.owner] = source
        return True

    def let_go(self) -> None:
        """Forget those that are through."""
        for source in [one for one in self.sources.values() if one.finished]:
            del self.sources[source.owner]
            if source.refused:
                self._refused[source.owner] = source.damaged
            else:
                self._damaged += source.damaged

    def close(self) -> None:
        """Leave what is left to the next one."""
        for source in self.sources.values():
            source.close()


def _most_files() -> int:
    """How many descriptors this process may have."""
    import resource  # here, for there is none where there is no spool

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _HELD * _FILES if soft == resource.RLIM_INFINITY else soft


def _foreign(source: Source) -> list[str]:
    """Files of its that could not be read since they were no private ones of this user."""
    return [f"{source.owner}-{number}.log" for number in source.refused]


def _are_private(directory: Directory, names: Sequence[str]) -> Iterator[bool]:
    """Whether each of an owner's segments looks like a private file of this user."""
    for name in names:
        with contextlib.suppress(OSError):
            if name.endswith(".log"):
                yield is_private(os.lstat(directory.join(name)))
