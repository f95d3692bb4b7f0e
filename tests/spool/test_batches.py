"""Batch calls into a spool: one commit for the call, and what comes in whole or not at all."""

from __future__ import annotations

import errno
import gc
import os
import threading
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import publisher
from publisher._engine.message import Route
from publisher._store.directory import Directory, prepare
from publisher.spool import keeper
from tests.servers import Answer, Endpoint
from tests.spool.support import on_disk
from tests.support import FIFO_QUEUE, QUEUE, SOON, STREAM, client_of, publishing, until

RECORD = {"Data": b"m", "PartitionKey": "k"}
EVENT = {"Source": "s", "DetailType": "t", "Detail": '{"n": 1}'}


class Disk:
    """Counts what the disk is asked to keep, and may refuse."""

    def __init__(self) -> None:
        self.commits = 0
        self.kept = 0  # bytes of the file, at the last of them
        self.fails = False

    def fdatasync(self, descriptor: int) -> None:
        self.commits += 1
        if self.fails:
            raise OSError(errno.EIO, "the disk is broken")
        os.fdatasync(descriptor)
        self.kept = os.fstat(descriptor).st_size

    def prepare(self, path: str) -> Directory:
        made = prepare(path)
        made.fdatasync = self.fdatasync
        return made


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays is offered again sooner."""
    monkeypatch.setattr(keeper, "_LOOKS", 0.02)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(keeper, "prepare", made.prepare)
    return made


def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log")) if folder.exists() else []


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        pytest.param({}, {}, id="always"),
        pytest.param({}, {"max_messages": 10}, id="full memory"),
        pytest.param({"when": "overflow"}, {"max_messages": 1}, id="overflow"),
        pytest.param({"send": "relay"}, {}, id="relay"),
    ],
)
def test_a_batch_call_waits_once_for_the_disk(
    folder: Path, server: Endpoint, disk: Disk, options: dict[str, Any], limits: dict[str, Any]
) -> None:
    release = threading.Event()
    server.script(lambda _: Answer(hold=release))
    spool = publisher.Spool(folder, sync="disk", **options)
    with publishing(spool=spool, linger=0, **limits) as made:
        kinesis = client_of(made, "kinesis", server.url)
        kinesis.put_record(StreamName=STREAM, **RECORD)
        before = disk.commits
        future = kinesis.put_records(StreamName=STREAM, Records=[RECORD] * 70)
        assert disk.commits == before + 1
        (log,) = logs(folder)
        assert disk.kept == log.stat().st_size
        assert on_disk(made).waiting >= 70
        release.set()
        response = future.result(SOON)
        if options.get("send") != "relay":
            until(lambda: server.count("kinesis") >= 71)
            until(lambda: on_disk(made).waiting == 0)
        else:
            assert len({record["SpoolId"] for record in response["Records"]}) == 70
    assert bool(logs(folder)) == (options.get("send") == "relay")


def test_where_the_disk_keeps_nothing_a_batch_goes_on_in_memory_alone(
    folder: Path, server: Endpoint, disk: Disk
) -> None:
    with publishing(spool=publisher.Spool(folder, sync="disk")) as made:
        kinesis = client_of(made, "kinesis", server.url)
        disk.fails = True
        response = kinesis.put_records(StreamName=STREAM, Records=[RECORD] * 20).result(SOON)
        assert response["FailedRecordCount"] == 0
        assert on_disk(made).unwritten == 20
        until(lambda: on_disk(made).waiting == 0)
        assert disk.commits < 20  # what comes after the first is not even tried, until a new file
        disk.fails = False
        assert server.count("kinesis") == 20
    assert logs(folder) == []


def test_where_the_disk_keeps_nothing_of_a_batch_its_caller_is_told(
    folder: Path, server: Endpoint, disk: Disk
) -> None:
    spool = publisher.Spool(folder, sync="disk", on_unavailable="raise")
    with publishing(spool=spool) as made:
        kinesis = client_of(made, "kinesis", server.url)
        disk.fails = True
        with pytest.raises(publisher.SpoolUnavailable):
            kinesis.put_records(StreamName=STREAM, Records=[RECORD] * 20)
        disk.fails = False
        assert made.stats().total.accepted == 0
        until(lambda: on_disk(made).waiting == 0)
    assert server.count("kinesis") == 0
    assert logs(folder) == []


def test_events_that_find_the_memory_full_stay_together(folder: Path, server: Endpoint) -> None:
    release = threading.Event()
    server.script(lambda _: Answer(hold=release))
    with publishing(spool=publisher.Spool(folder), max_messages=4, linger=0) as made:
        events = client_of(made, "events", server.url)
        first = events.put_events(Entries=[EVENT] * 2)
        second = events.put_events(Entries=[EVENT] * 3)  # there is room for two
        codes = [entry["ErrorCode"] for entry in second.result(SOON)["Entries"]]
        assert codes == ["StillSpooled"] * 3
        third = events.put_events(Entries=[EVENT] * 2)
        assert not third.done()
        release.set()
        for future in (first, third):
            assert future.result(SOON)["FailedEntryCount"] == 0
        server.wait_for(lambda: server.count("events") == 7, SOON)
    assert logs(folder) == []


@pytest.mark.parametrize("on_full", ["drop", "raise", "block"])
def test_events_that_find_the_spool_full_come_in_whole_or_not_at_all(
    folder: Path, server: Endpoint, on_full: str
) -> None:
    large = {**EVENT, "Detail": '{"n": "%s"}' % ("x" * 1000)}
    release = threading.Event()
    server.script(lambda _: Answer(hold=release))
    with publishing(
        spool=publisher.Spool(folder, max_bytes=3000), on_full=on_full, max_block=0.1, linger=0
    ) as made:
        events = client_of(made, "events", server.url)
        first = events.put_events(Entries=[large])
        used = on_disk(made).bytes
        if on_full == "raise":
            with pytest.raises(publisher.SpoolFull):
                events.put_events(Entries=[large] * 2)
        else:
            with pytest.raises(publisher.SpoolFull):
                events.put_events(Entries=[large] * 2).result(SOON)
        assert on_disk(made).bytes == used  # where one of them would have fitted
        second = events.put_events(Entries=[large])
        release.set()
        for future in (first, second):
            assert future.result(SOON)["FailedEntryCount"] == 0
    assert server.count("events") == 2
    assert logs(folder) == []


def test_events_for_which_space_comes_back_go_together(folder: Path, server: Endpoint) -> None:
    large = {**EVENT, "Detail": '{"n": "%s"}' % ("x" * 1000)}
    with publishing(
        spool=publisher.Spool(folder, max_bytes=6000), max_block=SOON, linger=0
    ) as made:
        events = client_of(made, "events", server.url)
        futures = [events.put_events(Entries=[large] * 3) for _ in range(10)]
        for future in futures:
            assert future.result(SOON)["FailedEntryCount"] == 0
    assert server.count("events") == 30
    assert logs(folder) == []


def texts_held_by(future: publisher.PublishFuture) -> set[str]:
    """Those that it keeps alive by itself, not by the lane that it went through."""
    found: set[str] = set()
    seen: set[int] = set()
    left: list[Any] = [future]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, Route)):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            found.add(one)
        left += (one.__closure__ or ()) if isinstance(one, FunctionType) else gc.get_referents(one)
    return found


@pytest.mark.parametrize("queue", [QUEUE, FIFO_QUEUE], ids=["standard", "fifo"])
@pytest.mark.parametrize("options", [{}, {"when": "overflow"}, {"send": "relay"}], ids=repr)
def test_the_future_of_what_goes_to_disk_alone_keeps_no_body(
    folder: Path, server: Endpoint, options: dict[str, Any], queue: str
) -> None:
    release = threading.Event()
    server.script(lambda _: Answer(hold=release))
    body = "the body"
    order = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if queue == FIFO_QUEUE else {}
    message = {"MessageBody": body, **order}
    spool = publisher.Spool(folder, **options)
    with publishing(spool=spool, max_messages=1, linger=50) as made:
        sqs = client_of(made, "sqs", server.url)
        if "send" not in options:
            assert body in texts_held_by(sqs.send_message(QueueUrl=queue, **message))
        single = sqs.send_message(QueueUrl=queue, **message)
        many = sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "a", **message}])
        for future in (single, many):
            assert future.done()
            assert body not in texts_held_by(future)
        release.set()
        made.close(0)
