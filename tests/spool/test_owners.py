"""Whose messages are offered: many dead owners, and what living ones leave to a relay."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import publisher
from publisher._store.directory import Directory, prepare
from publisher._store.log import Log
from publisher._store.reading import Kept
from publisher._store.source import Source
from publisher.spool import owners as module
from publisher.spool.owners import MOST, Owners
from publisher.spool.relay import Relay
from tests.servers import Endpoint
from tests.spool.support import Holder, take_back
from tests.support import SOON, STREAM, publishing

NOWHERE = b"http://127.0.0.1:9"


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that were listed."""
    listed: list[str] = []
    scan: Callable[[Any], Any] = os.scandir

    def scandir(path: Any = ".") -> Any:
        listed.append(str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return listed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put(made: publisher.Publisher, url: str) -> None:
    client = made.client("kinesis", endpoint_url=url, region_name="us-east-1")
    client.put_record(StreamName=STREAM, Data=b"x", PartitionKey="k")


def record_of(folder: Path, url: str) -> Kept:
    """A message as one that has died leaves it; nothing is left of it."""
    with publishing(spool=publisher.Spool(folder, send="relay")) as made:
        put(made, url)
    return take_back(folder)


def leave(
    directory: Directory, kept: Kept, count: int, mode: str = "h", where: bytes = b""
) -> None:
    """Have so many die with a message each."""
    for _ in range(count):
        log = Log(directory, mode)
        log.append(Holder(), where or kept.where, kept.when, kept.entry, False)
        log.close()


def test_the_directory_is_listed_once_however_many_have_died(
    folder: Path, listed: list[str]
) -> None:
    directory, count = prepare(folder), 2_000
    for number in range(count):
        Path(directory.join(f"{'hr'[number % 2]}{number:016x}-1.log")).touch(0o600)
    owners = Owners(None, follows=True)
    listed.clear()
    owners.look(directory)
    assert owners.orphans == count
    seen = 0
    while owners.is_crowded:
        owners.take_over(directory)
        assert len(owners.sources) <= MOST
        for source in owners.sources.values():
            assert source.take(1) == []
            seen += source.finished
        owners.let_go()
    assert seen == count
    assert listed == [directory.path]
    assert names(folder) == []


def test_what_many_left_is_sent_with_few_looks_at_the_directory(
    folder: Path, server: Endpoint, listed: list[str]
) -> None:
    kept, count = record_of(folder, server.url), 5 * MOST
    leave(prepare(folder), kept, count, "r")
    leave(prepare(folder), kept, count, "h")
    listed.clear()
    with Relay(publisher.Spool(folder), endpoints=[server.url], once=True) as relay:
        assert relay.wait(SOON)
        assert relay.on_disk.orphans == relay.on_disk.waiting == 0
    assert server.count("kinesis") == 2 * count
    assert len(listed) < count / 4
    assert names(folder) == []


def test_those_whose_messages_must_stay_keep_nobody_waiting(folder: Path, server: Endpoint) -> None:
    kept = record_of(folder, server.url)
    lost = kept.where.replace(server.url.encode(), NOWHERE)
    leave(prepare(folder), kept, 2 * MOST, where=lost)
    leave(prepare(folder), kept, 8)
    with publishing(spool=publisher.Spool(folder)) as made:
        put(made, server.url)
        server.wait_for(lambda: server.count("kinesis") == 9, SOON)
    assert len(prepare(folder).dead_owners()) == 2 * MOST


def test_once_ends_where_nobody_comes_any_further(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HELD", 4)
    kept = record_of(folder, server.url)
    leave(prepare(folder), kept, 9, where=kept.where.replace(server.url.encode(), NOWHERE))
    with Relay(publisher.Spool(folder), endpoints=[server.url], once=True) as relay:
        assert relay.wait(SOON)
        assert (relay.owners, relay.on_disk.orphans) == (4, 5)


def test_what_came_after_the_look_is_found(folder: Path) -> None:
    directory = prepare(folder)
    log = Log(directory, segment_bytes=1)
    where = b"{}"
    log.append(Holder(), where, 1.0, b"1", False)
    files = directory.files()[str(log.owner)]
    for number in (2, 3):
        log.tend(0)
        log.append(Holder(), where, 1.0, b"%d" % number, False)
    log.close()
    lock = directory.lock(str(log.owner), create=True)
    assert lock is not None
    source = Source(directory, lock.owner, lock, None, files)
    taken = source.take(9)
    assert [kept.entry for kept in taken] == [b"1", b"2", b"3"]
    source.settle(taken)
    assert source.finished
    assert names(folder) == []


def test_marks_are_kept_where_their_segment_was_not_seen(folder: Path) -> None:
    """A look at a directory that changes may miss a file that is renamed meanwhile."""
    directory = prepare(folder)
    log = Log(directory)
    holders = [Holder(), Holder()]
    for number, holder in enumerate(holders):
        log.append(holder, b"{}", 1.0, b"%d" % number, False)
    log.settle([holders[0].kept])
    log.close()
    files = [name for name in directory.files()[str(log.owner)] if not name.endswith(".log")]
    assert len(files) == 2
    lock = directory.lock(str(log.owner), create=True)
    assert lock is not None
    source = Source(directory, lock.owner, lock, None, files)
    assert [kept.entry for kept in source.take(9)] == [b"1"]
    source.close()
