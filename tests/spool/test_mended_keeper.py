"""What a disk that hangs holds, and whom it does not; and what others may do beside the thread."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import publisher
from publisher._store.directory import prepare
from publisher._store.log import Log
from publisher._store.reading import Reading
from publisher._store.source import adopt
from publisher._threads import runtime
from publisher.spool import keeper, queues, rounds
from tests.servers import Endpoint
from tests.spool.support import DOWN, Holder, files, on_disk, plain_client, take_back
from tests.support import SOON, STREAM, Watch, publishing, until

RECORD = {"StreamName": STREAM, "PartitionKey": "k"}


def store_of(made: publisher.Publisher) -> Any:
    return made._current().store


@contextlib.contextmanager
def held(lock: Any) -> Iterator[None]:
    """Another thread holds a lock, as one does that a disk has not answered."""
    has_it, release = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            has_it.set()
            release.wait(3 * SOON)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert has_it.wait(SOON)
    try:
        yield
    finally:
        release.set()
        thread.join(SOON)


def leave(folder: Path, server: Endpoint, count: int) -> None:
    """Have a dead owner leave so many messages."""
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder)) as made:
        plain_client(made, server).put_record(Data=b"first", **RECORD)
        made.close(0)
    kept = take_back(folder)
    log = Log(prepare(folder))
    for _ in range(count):
        log.append(Holder(), kept.where, kept.when, kept.entry, False)
    log.close()
    server.clear()
    server.script(None)


def test_the_first_message_goes_before_what_others_left(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_AT_ONCE", 50)
    monkeypatch.setattr(keeper, "_FIRST", 100)
    monkeypatch.setattr(keeper, "_RESTS", 1e9)  # times what a turn took
    leave(folder, server, 1_000)
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder)) as made:
        future = plain_client(made, server).put_record(Data=b"new", **RECORD)
        until(lambda: on_disk(made).waiting >= 1_000)  # which a turn says at its end
        assert store_of(made)._feeder.queues.taken == 100
        server.script(None)
        assert future.result(SOON)["ShardId"]
        server.wait_for(lambda: server.count("kinesis") == 1_001, SOON)


def test_figures_that_are_asked_for_all_the_time_cost_no_message(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_AHEAD", 200)  # so the files are read all the time
    monkeypatch.setattr(queues, "_AT_ONCE", 50)
    leave(folder, server, 3_000)
    with publishing(spool=publisher.Spool(folder)) as made:
        kinesis = plain_client(made, server)
        kinesis.put_record(Data=b"new", **RECORD)
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                made.stats()

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            server.wait_for(lambda: server.count("kinesis") >= 3_001, SOON)
        finally:
            over.set()
            thread.join(SOON)
        spool = made.stats().spool
    assert spool is not None
    assert spool.skipped == 0
    assert files(folder) == []


def test_figures_wait_for_no_disk(folder: Path, server: Endpoint) -> None:
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.1) as made:
        kinesis = plain_client(made, server)
        future = kinesis.put_record(Data=b"stays", **RECORD)
        assert isinstance(future.exception(SOON), publisher.StillSpooled)
        with held(store_of(made)._log._segments.reading):
            found: list[Any] = []
            thread = threading.Thread(target=lambda: found.append(made.stats().spool), daemon=True)
            thread.start()
            thread.join(SOON)
            assert found[0].waiting == 1
        made.close(0)


def test_a_disk_that_takes_no_marks_holds_no_answer(folder: Path, server: Endpoint) -> None:
    with publishing(spool=publisher.Spool(folder), linger=0.01) as made:
        kinesis = plain_client(made, server)
        assert kinesis.put_record(Data=b"a", **RECORD).result(SOON)
        with held(store_of(made)._log._segments._marking):
            futures = [kinesis.put_record(Data=b"b", **RECORD) for _ in range(3)]
            futures[0].cancel()
            assert all(future.result(SOON)["SequenceNumber"] for future in futures[1:])
            found = made.stats().spool
            assert found is not None
            assert found.waiting <= 1  # what has ended waits no more
    assert files(folder) == []


def test_a_disk_that_hangs_at_the_end_lets_the_publisher_close(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(folder, server, 3)
    server.script(DOWN)
    monkeypatch.setattr(rounds, "_ENDS", 0.05)
    monkeypatch.setattr(runtime, "_STUCK", 0.05)
    with publishing(spool=publisher.Spool(folder)) as made:
        kinesis = plain_client(made, server)
        kinesis.put_record(Data=b"mine", **RECORD)
        server.wait_for(lambda: server.requests, SOON)
        store = store_of(made)
        with held(store._log._segments.reading):
            store._rounds.look_soon()
            closing = threading.Thread(target=made.close, args=(0,), daemon=True)
            closing.start()
            closing.join(SOON)
            assert not closing.is_alive()
        store._rounds.runner.join(SOON)  # it lets go of everything when it is let go
    directory = prepare(folder)
    assert len(directory.dead_owners()) == 2
    for owner in directory.dead_owners():
        source = adopt(directory, owner)
        assert source is not None
        source.close()


def test_nobody_waits_for_the_thread_where_it_has_nothing_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_STUCK", SOON)
    for _ in range(5):
        made = publisher.Publisher(spool=publisher.Spool(folder, send="relay"))
        made.client("kinesis", region_name="us-east-1").put_record(Data=b"left", **RECORD)
        watch = Watch()
        made.close(SOON)
        assert watch.seconds < SOON / 2


def test_what_others_left_is_sent_where_memory_is_never_full(
    folder: Path, server: Endpoint
) -> None:
    leave(folder, server, 2)
    with publishing(spool=publisher.Spool(folder, when="overflow")) as made:
        plain_client(made, server).put_record(Data=b"new", **RECORD)
        server.wait_for(lambda: server.count("kinesis") == 3, SOON)
    assert files(folder) == []


def test_who_closes_waits_for_the_thread_of_the_spool_once(folder: Path, server: Endpoint) -> None:
    """The thread waits for the end of close(), so nobody who is in close() is to wait for it."""
    with publishing(spool=publisher.Spool(folder)) as made:
        assert plain_client(made, server).put_record(Data=b"m", **RECORD).result(SOON)
        store = store_of(made)
        with held(store._log._segments.reading):  # it has no time for anything
            store._rounds.look_soon()
            store.stop()
            assert store._rounds.runner not in made._current().runtime.crew.threads


class StruckError(Exception):
    pass


def test_who_gives_up_waiting_for_space_is_forgotten(folder: Path, server: Endpoint) -> None:
    def strike(*_: object) -> None:
        raise StruckError

    with publishing(spool=publisher.Spool(folder)) as made:
        plain_client(made, server)
        store = store_of(made)
        before = signal.signal(signal.SIGALRM, strike)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(StruckError):
                store.wait_for_space(SOON)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert not store._spaces


def test_an_error_that_is_told_again_does_not_grow(folder: Path, server: Endpoint) -> None:
    with publishing(spool=publisher.Spool(folder)) as made:
        plain_client(made, server)
        folder.write_text("not a directory")
        lengths = []
        for _ in range(20):
            with pytest.raises((OSError, ValueError)) as caught:
                store_of(made)._open()
            lengths.append(len(caught.traceback))
    assert max(lengths[1:]) == min(lengths[1:])


def test_a_file_that_cannot_be_read_now_is_not_taken_for_a_damaged_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = prepare(folder)
    log = Log(directory)
    for _ in range(3_000):
        log.append(Holder(), b"where", 0.0, b"x" * 1_000, False)
    reading = Reading(directory, str(log.owner), 1, None)
    original, calls = os.pread, 0

    def fail_once(descriptor: int, length: int, offset: int) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.EBADF, "closed by somebody else")
        return original(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", fail_once)
    with pytest.raises(OSError, match="closed by"):
        reading.scan(final=False)
    reading.scan(final=False)
    assert len(reading.sequences) == 3_000
    assert reading.damaged == 0
    log.close()


def test_an_endpoint_of_the_environment_is_that_of_the_process_that_sends(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not for every Python: the oldest botocore knows of no such endpoint.
    server.script(DOWN)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with publishing(spool=publisher.Spool(folder)) as made:
        kinesis = made.client("kinesis", region_name="us-east-1")
        kinesis.put_record(Data=b"left", **RECORD)
        server.wait_for(lambda: server.requests, SOON)
        made.close(0)
    with Endpoint() as other:
        monkeypatch.setenv("AWS_ENDPOINT_URL", other.url)
        with publishing(spool=publisher.Spool(folder)) as made:
            kinesis = made.client("kinesis", region_name="us-east-1")
            kinesis.put_record(Data=b"new", **RECORD)
            other.wait_for(lambda: other.count("kinesis") == 2, SOON)
    assert server.count("kinesis") == 0
    assert files(folder) == []
