"""Whose files are in the directory of a spool, and whose of them are read here.

The directory is listed once at a look, whoever's files are in it. Dead owners are taken over a few
at a time: the others wait for their turn, and are not looked for again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

from .._store.crypt import Codec
from .._store.directory import Directory, is_held
from .._store.source import Source

#: So many dead owners are taken over at once. The next ones come when what these left was read.
MOST = 32
#: Of so many at most something stays to be sent. Each holds a descriptor, for its lock.
_HELD = 256
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
        #: Dead ones of which only foreign files are left: what these looked like, and how many.
        self._refused: dict[str, tuple[_Looks, int]] = {}
        #: Those that may be taken over when there is room, each with the names of its files.
        self._waiting: dict[str, Sequence[str]] = {}
        self._rank = 0

    @property
    def damaged(self) -> int:
        """How many damaged places there were in files that are gone, and foreign files."""
        return self._damaged + sum(count for _, count in self._refused.values())

    @property
    def orphans(self) -> int:
        """Of how many owners some files were not taken over, or are foreign, as far as known."""
        foreign = sum(bool(source._refused) for source in self.sources.values())
        return self._failed + len(self._waiting) + len(self._refused) + foreign

    @property
    def is_crowded(self) -> bool:
        """Whether some wait until others are through."""
        return bool(self._waiting)

    @property
    def may_go_on(self) -> bool:
        """Whether one waits for which there is room."""
        return bool(self._waiting) and self._room() > 0

    def _room(self) -> int:
        held = [source for source in self.sources.values() if source.is_taken_over]
        return min(MOST - sum(source.has_more for source in held), _HELD - len(held))

    def look(self, directory: Directory) -> None:
        """See who there is, at one look at the directory."""
        self._failed = 0
        try:
            files = directory.files()
        except OSError:  # not even a look at it is possible: who publishes is told
            self._failed = 1
            return
        for owner, (looks, _) in list(self._refused.items()):
            if looks != _look_at(directory, files.get(owner, ())):
                del self._refused[owner]  # somebody has mended it, maybe
        known, self._waiting = self._waiting, {}
        for owner in sorted(files):
            if owner in self.sources:
                with contextlib.suppress(OSError):  # the next look tries again
                    self.sources[owner].note(files[owner])
                continue
            if owner in self._refused or is_held(directory, owner):
                continue
            if owner.startswith("r") and not self._follows:
                continue
            if owner.startswith("h") or owner in known or not self._follow(directory, owner, files):
                self._waiting[owner] = files[owner]

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
        through = [source for source in self.sources.values() if source.finished]
        for source in through:
            del self.sources[source.owner]
            if not source._refused:
                self._damaged += source.damaged
        refused = [source for source in through if source._refused]
        if not refused:
            return
        directory = refused[0].directory
        try:
            files = directory.files()
        except OSError:  # they are tried again
            return
        for source in refused:
            looks = _look_at(directory, files.get(source.owner, ()))
            self._refused[source.owner] = looks, source.damaged

    def close(self) -> None:
        """Leave what is left to the next one."""
        for source in self.sources.values():
            source.close()


_Looks = list[tuple[str, int]]  # the names of segments, each with when the file was changed


def _look_at(directory: Directory, names: Sequence[str]) -> _Looks:
    """What an owner's segments look like: that changes with their modes, too."""
    looks: _Looks = []
    for name in sorted(names):
        with contextlib.suppress(OSError):
            if name.endswith(".log"):
                looks.append((name, os.lstat(directory.join(name)).st_ctime_ns))
    return looks
