"""Hundreds of each, and nothing is left of them: descriptors, threads, memory, files."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

import publisher
from publisher._store.directory import prepare
from publisher._store.log import Log
from publisher.spool import keeper
from tests.servers import Endpoint
from tests.spool.support import Holder, plain_client
from tests.spool.test_planted import entry, put, where_of
from tests.store.support import descriptors
from tests.support import SOON, publishing, until

COUNT = 400


class Held:
    """What the process has: open descriptors, threads, and objects that can hold others."""

    def __init__(self) -> None:
        gc.collect()
        self.descriptors = descriptors()
        self.threads = threading.active_count()
        self.objects = len(gc.get_objects())


def assert_nothing_is_left(work: Callable[[int], None], count: int) -> None:
    """Work so many times; the first ones may make what the others use."""
    work(count // 10)
    before = Held()
    work(count)
    few = 50  # connections, at both of their ends, and who serves them
    until(lambda: threading.active_count() <= before.threads + few)
    assert descriptors() <= before.descriptors + few
    # Not one for each; the last threads that end hold a publisher a moment longer.
    until(lambda: Held().objects - before.objects < count // 2)


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:client= is used as it is")
def test_publishers_with_a_spool_that_are_made_and_closed(folder: Path) -> None:
    with Endpoint(keep=False) as server:
        boto: Any = boto3.client("kinesis", endpoint_url=server.url)

        spool = publisher.Spool(folder)

        def work(count: int) -> None:
            for _ in range(count):
                with publisher.Publisher(spool=spool, linger=0, max_workers=1) as made:
                    put(made.client("kinesis", client=boto), b"m").result(SOON)

        assert_nothing_is_left(work, COUNT)
        assert server.count("kinesis") == COUNT + COUNT // 10
        boto.close()
    assert list(folder.iterdir()) == []


@pytest.mark.heavy
def test_a_publisher_that_takes_over_from_many(folder: Path) -> None:
    with Endpoint(keep=False) as server:
        where = where_of(folder, server)
        directory = prepare(folder)
        sent = 0

        def work(count: int) -> None:
            nonlocal sent
            for _ in range(count):
                log = Log(directory)
                log.append(Holder(), where, 2e9, entry(b"left"), False)
                log.close()
            sent += count
            until(lambda: server.count("kinesis") == sent, 3 * SOON)
            until(lambda: directory.owners() == [])

        server.clear()
        with publishing(spool=publisher.Spool(folder)) as made:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(keeper.Keeper, "adopts_every", 0.05)
                put(plain_client(made, server), b"new").result(SOON)
                sent = 1
                assert_nothing_is_left(work, COUNT)
            found = made.stats().spool
            assert found is not None
            assert found.orphans == found.skipped == 0
    assert list(folder.iterdir()) == []


def test_the_files_of_a_writer_that_goes_on_are_empty_when_all_is_delivered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_LOOKS", 0.01)
    monkeypatch.setattr(keeper, "_IDLE", 0.01)
    spool = publisher.Spool(folder, max_bytes=2 << 20)  # so a file is followed after 256 KiB
    with Endpoint(keep=False) as server, publishing(spool=spool, on_full="block") as made:
        kinesis = plain_client(made, server)
        for wave in range(1, 4):
            futures = [put(kinesis, bytes(1_000)) for _ in range(1_500)]
            assert all(future.result(SOON) for future in futures)
            until(lambda: made.stats().spool.bytes == 0)  # type: ignore[union-attr]
            paths = list(folder.iterdir())
            assert sorted(path.suffix for path in paths) == [".lock", ".log"], wave
            assert sum(path.stat().st_size for path in paths) == 0
    assert list(folder.iterdir()) == []
