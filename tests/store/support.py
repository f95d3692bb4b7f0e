"""What the tests of the store share."""

from __future__ import annotations

from pathlib import Path

from publisher._store.crypt import Codec
from publisher._store.directory import Directory
from publisher._store.log import Log
from publisher._store.source import Source, adopt

WHERE = b'{"service": "kinesis", "name": "clicks"}'
WHEN = 1_700_000_000.5


class Holder:
    """Who is told the ticket."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: int | None = None


def append(
    log: Log, entry: bytes, where: bytes = WHERE, when: float = WHEN, *, wait: bool = False
) -> int:
    holder = Holder()
    log.append(holder, where, when, entry, wait)
    assert holder.kept is not None
    return holder.kept


def left_by(log: Log, codec: Codec | None = None) -> Source:
    """What the next process finds, once this log's lock is released."""
    owner = log.owner
    assert owner is not None
    log.close()
    source = adopt(log.directory, owner, codec)
    assert source is not None
    return source


def entries(source: Source, limit: int = 1_000_000) -> list[bytes]:
    return [kept.entry for kept in source.take(limit)]


def files(directory: Directory) -> list[str]:
    return sorted(
        str(path.relative_to(directory.path))
        for path in Path(directory.path).rglob("*")
        if path.is_file() or path.is_symlink()
    )


def size(directory: Directory) -> int:
    """The bytes of all files."""
    return sum(Path(directory.join(name)).stat().st_size for name in files(directory))


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1
