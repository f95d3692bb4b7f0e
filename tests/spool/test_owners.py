"""Whose messages are offered: many dead owners, and what living ones leave to a relay."""

from __future__ import annotations

import os
import resource
import secrets
import subprocess
import sys
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
from publisher.spool.queues import Queues
from publisher.spool.relay import Relay
from tests.servers import Endpoint
from tests.spool.support import Holder, take_back
from tests.support import SOON, STREAM, publishing

ROOT = Path(__file__).parent.parent.parent
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


def test_once_ends_when_all_have_had_a_turn(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HELD", 4)
    kept = record_of(folder, server.url)
    leave(prepare(folder), kept, 9, where=kept.where.replace(server.url.encode(), NOWHERE))
    with Relay(publisher.Spool(folder), endpoints=[server.url], once=True) as relay:
        assert relay.wait(SOON)
        assert (relay.owners, relay.on_disk.orphans) == (4, 5)


def test_many_of_which_nothing_can_go_take_turns_with_others(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = record_of(folder, server.url)
    directory = prepare(folder)
    # The last names are the first ones to be taken over.
    numbers = iter([f"{number:016x}" for number in range(20)])
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(numbers))
    leave(directory, kept, 2)
    leave(directory, kept, 9, where=kept.where.replace(server.url.encode(), NOWHERE))
    monkeypatch.undo()
    monkeypatch.setattr(module, "_HELD", 4)
    with Relay(publisher.Spool(folder), endpoints=[server.url], once=True) as relay:
        assert relay.wait(SOON)
        assert relay.publisher.stats().total.delivered == 2
        assert relay.owners + relay.on_disk.orphans == 9


def test_a_file_of_a_living_writer_that_was_foreign_for_a_moment_is_read_again(
    folder: Path,
) -> None:
    directory = prepare(folder)
    log = Log(directory, "r")
    log.append(Holder(), b"{}", 1.0, b"1", False)
    (path,) = folder.glob("*.log")
    path.chmod(0o640)
    program = (
        "import sys; from tests.spool.test_owners import look_twice; look_twice(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, str(folder), str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SOON, check=False)
    assert ended.stdout.split() == ["0", "1", "1", "0"], ended.stderr
    log.close()


LOOKS_TWICE = "import sys; from tests.spool.test_owners import *; look_twice(*sys.argv[1:])"


def look_twice(folder: str, path: str) -> None:
    """In another process than the writer's: what is found while a file is foreign, and then."""
    directory, queues = prepare(folder), Queues(lambda _: None, print)
    owners = Owners(None, follows=True)
    for mode in (0o640, 0o600):
        Path(path).chmod(mode)
        owners.look(directory, queues)
        queues.read(list(owners.sources.values()), None)
        print(queues.waiting, owners.orphans)


def test_most_descriptors_are_left_to_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, 1_024))
    directory, queues = prepare(folder), Queues(lambda _: None, print)
    leave(directory, Kept(None, 0, b"{}", 1.0, b"x", 0), 21)
    owners = Owners(None, follows=False)
    seen = set()
    for _ in range(3):
        owners.look(directory, queues)
        owners.take_over(directory)
        assert len(owners.sources) == 10
        queues.read(list(owners.sources.values()), None)
        seen.update(owners.sources)
        for queue in queues:
            queue.asleep = True
    assert len(seen) == 21
    owners.close()


def turn(owners: Owners, directory: Directory) -> list[Kept]:
    """A look, and what is found at it."""
    owners.look(directory)
    owners.take_over(directory)
    taken = [kept for source in owners.sources.values() for kept in source.take(9)]
    owners.let_go()
    return taken


def test_a_foreign_file_is_counted_once_and_read_when_it_is_mended(folder: Path) -> None:
    directory = prepare(folder)
    leave(directory, Kept(None, 0, b"{}", 1.0, b"x", 0), 1)
    (path,) = folder.glob("*.log")
    path.chmod(0o640)
    owners = Owners(None, follows=False)
    for _ in range(3):
        assert turn(owners, directory) == []
        assert (owners.orphans, owners.damaged) == (1, 1)
        assert not owners.sources
    path.chmod(0o600)
    assert [kept.entry for kept in turn(owners, directory)] == [b"x"]
    assert (owners.orphans, owners.damaged) == (0, 0)
    owners.close()


FEW_FILES = """
import os, resource, sys
from publisher._cli import main
from publisher.spool import relay
free = os.dup(0)
os.close(free)
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (free + 8, most))
sys.exit(main(["relay", *sys.argv[1:], "--once"]))
"""


def test_once_says_that_something_stays_where_too_few_files_may_be_open(
    folder: Path, server: Endpoint
) -> None:
    leave(prepare(folder), record_of(folder, server.url), 20)
    command = [sys.executable, "-c", FEW_FILES, str(folder), "--endpoint-url", server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SOON, check=False)
    assert ended.returncode == int(bool(names(folder))), ended.stdout + ended.stderr


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
