"""A look at a directory: it changes nothing, takes no lock, and may be had while others write.

To close a file that this process has locked would give its lock back, so those are not opened.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .crypt import Codec
from .directory import RELAY_LOCK, Directory, is_held
from .file import Patience
from .reading import Reading
from .safety import check, fcntl

_FILE = re.compile(r"([hr][0-9a-f]{16})(?:\.lock|-([1-9][0-9]{0,11})\.(?:(log)|done|tmp))")
#: So many messages are read at a time.
_MANY = 1_000
#: A question to the system about a lock of a whole file, as it stands in memory.
_FLOCK = "qqihh" if sys.platform == "darwin" or "bsd" in sys.platform else "hhqqi"


def look_at(path: str) -> Directory:
    """The directory, which is not made.

    Raises:
        ValueError: it cannot be used safely; the text says why, and what to do.
        OSError: it cannot be looked at.
    """
    where = os.path.abspath(path)  # noqa: PTH100  # Path keeps ".." of links as it is
    found = check(where)
    return Directory(where, found.st_dev, found.st_ino)


class Segment:
    """What was found in one segment.

    Attributes:
        name: its files', without the ending.
        bytes: of its files.
        waiting: messages that are not settled.
        oldest: when the oldest of them that can be read was accepted.
        destinations: what is written of each, and how many messages wait for it.
        unreadable: messages that none of the keys opens.
        damaged: how many damaged places there are.
        places: where some of them begin and end.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.bytes = 0
        self.waiting = 0
        self.oldest: float | None = None
        self.destinations: Counter[bytes] = Counter()
        self.unreadable = 0
        self.damaged = 0
        self.places: list[tuple[int, int]] = []


class Owner:
    """What was found of one owner.

    Attributes:
        name: its files begin with that.
        alive: whether a process has its lock.
        segments: those that can be read.
        foreign: files that are no private ones of this user: links, pipes, another user's.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = False
        self.segments: list[Segment] = []
        self.foreign: list[str] = []


def relay_runs(directory: Directory) -> bool:
    """Whether a relay has the directory."""
    with contextlib.suppress(OSError):
        return _is_locked(directory, RELAY_LOCK)
    return False


def put_aside(directory: Directory) -> int:
    """How many pieces of damaged files lie there for people to look at."""
    with contextlib.suppress(OSError):
        return len(os.listdir(directory.join("damaged")))  # noqa: PTH208
    return 0


def survey(directory: Directory, codec: Codec | None, *, settled: bool) -> Iterator[Owner]:
    """All owners, one after the other.

    Args:
        directory: that has their files.
        codec: decrypts.
        settled: read messages that are settled too.

    Raises:
        OSError: the directory cannot be read.
    """
    numbers: dict[str, list[int]] = {}
    with os.scandir(directory.path) as entries:
        for match in filter(None, (_FILE.fullmatch(entry.name) for entry in entries)):
            of_owner = numbers.setdefault(match[1], [])
            if match[3]:
                of_owner.append(int(match[2]))
    for name in sorted(numbers):
        owner = Owner(name)
        try:
            owner.alive = _is_locked(directory, name)
        except FileNotFoundError:
            pass
        except OSError:
            owner.foreign.append(f"{name}.lock")
        for number in sorted(numbers[name]):
            _look(directory, owner, number, codec, settled=settled)
        yield owner


def _is_locked(directory: Directory, owner: str) -> bool:
    """Ask the system whether somebody has the lock; nothing is locked for that."""
    if is_held(directory, owner):
        return True
    descriptor = directory.read_from(f"{owner}.lock")
    try:
        kind, whence = fcntl.F_WRLCK, os.SEEK_SET
        if _FLOCK.startswith("h"):
            asked = struct.pack(_FLOCK, kind, whence, 0, 0, 0)
            answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[0]
        else:
            asked = struct.pack(_FLOCK, 0, 0, 0, kind, whence)
            answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[3]
        return bool(answer != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def _look(
    directory: Directory, owner: Owner, number: int, codec: Codec | None, *, settled: bool
) -> None:
    reading = Reading(directory, owner.name, number, codec, Patience(0))  # one look is all there is
    found = Segment(reading.name)
    try:
        marks = reading.marks()
        reading.scan(final=not owner.alive)
        waiting = {sequence for sequence in reading.sequences if sequence not in marks}
        found.waiting = len(waiting)
        _read(reading, found, waiting, settled=settled)
    except FileNotFoundError:  # it was finished meanwhile
        return
    except OSError:
        owner.foreign.append(f"{reading.name}.log")
        return
    found.bytes = reading.size
    with contextlib.suppress(OSError):
        found.bytes += Path(directory.join(f"{reading.name}.done")).lstat().st_size
    owner.segments.append(found)


def _read(reading: Reading, found: Segment, waiting: set[int], *, settled: bool) -> None:
    wanted = [
        (sequence, offset)
        for sequence, offset in zip(reading.sequences, reading.offsets, strict=True)
        if settled or sequence in waiting
    ]
    damaged = reading.damaged
    for at in range(0, len(wanted), _MANY):
        some = wanted[at : at + _MANY]
        kepts, lost = reading.messages(None, some)
        damaged += len(lost)
        for kept in kepts:
            if kept.sequence in waiting:
                found.destinations[kept.where] += 1
                if found.oldest is None or kept.when < found.oldest:
                    found.oldest = kept.when
        found.unreadable += len(some) - len(kepts) - len(lost)
    found.damaged = damaged
    found.places = list(reading._places)
