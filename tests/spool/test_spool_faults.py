"""What a spool does when the disk fails, is full, or holds what is not ours."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import freezegun
import pytest

import publisher
from publisher._store.directory import Directory, prepare
from publisher._store.log import Log
from publisher.spool import keeper
from tests.servers import Answer, Endpoint
from tests.spool.support import DOWN, files, on_disk
from tests.support import FIFO_QUEUE, QUEUE, SOON, STREAM, client_of, publishing, until


class Disk:
    """Makes the calls of directories fail, in the way that is set."""

    def __init__(self) -> None:
        self.write: Callable[[int, bytes], int] = os.write

    def _write(self, descriptor: int, data: bytes) -> int:
        return self.write(descriptor, data)

    def prepare(self, path: str) -> Directory:
        made = prepare(path)
        made.write = self._write
        return made


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(keeper, "prepare", made.prepare)
    return made


def fails(number: int) -> Callable[[int, bytes], int]:
    def write(descriptor: int, data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    return write


def is_short(descriptor: int, data: bytes) -> int:
    return os.write(descriptor, data[: len(data) // 2])


def put(client: Any, data: bytes = b"m") -> Any:
    return client.put_record(StreamName=STREAM, Data=data, PartitionKey="k")


FAULTS = [fails(errno.ENOSPC), fails(errno.EROFS), fails(errno.EIO), fails(errno.EDQUOT), is_short]
NAMES = ["full", "read-only", "error", "quota", "short"]


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_a_disk_that_fails_costs_durability_and_no_message(
    folder: Path,
    server: Endpoint,
    disk: Disk,
    fault: Callable[[int, bytes], int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with publishing(spool=publisher.Spool(folder)) as made:
        kinesis = client_of(made, "kinesis", server.url)
        assert put(kinesis).result(SOON)
        disk.write = fault
        assert all(future.result(SOON) for future in [put(kinesis) for _ in range(20)])
        assert on_disk(made).unwritten == 20
        disk.write = os.write
        assert put(kinesis).result(SOON)
        assert on_disk(made).unwritten == 20
    warnings = [one for one in caplog.records if "memory alone" in one.getMessage()]
    assert len(warnings) == 1
    assert server.count("kinesis") == 22
    assert [name for name in files(folder) if name != "damaged"] == []


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_who_wants_it_on_disk_is_told_at_the_call(
    folder: Path, server: Endpoint, disk: Disk, fault: Callable[[int, bytes], int]
) -> None:
    with publishing(spool=publisher.Spool(folder, on_unavailable="raise")) as made:
        kinesis = client_of(made, "kinesis", server.url)
        assert put(kinesis).result(SOON)
        disk.write = fault
        for _ in range(3):
            with pytest.raises(publisher.SpoolUnavailable):
                put(kinesis)
        with pytest.raises(publisher.SpoolUnavailable):
            kinesis.put_records(
                StreamName=STREAM, Records=[{"Data": b"m", "PartitionKey": "k"}] * 3
            )
        disk.write = os.write
        assert put(kinesis).result(SOON)
        assert made.stats().total.accepted == 2
    assert server.count("kinesis") == 2
    assert [name for name in files(folder) if name != "damaged"] == []


def test_a_batch_whose_first_entries_are_on_disk_tells_of_the_others(
    folder: Path, server: Endpoint, disk: Disk
) -> None:
    left = [3]

    def write(descriptor: int, data: bytes) -> int:
        if left[0] > 0:
            left[0] -= 1
            return os.write(descriptor, data)
        raise OSError(errno.ENOSPC, "full")

    with publishing(spool=publisher.Spool(folder, on_unavailable="raise"), linger=5) as made:
        kinesis = client_of(made, "kinesis", server.url)
        disk.write = write
        future = kinesis.put_records(
            StreamName=STREAM, Records=[{"Data": b"m", "PartitionKey": "k"}] * 5
        )
        disk.write = os.write
        made.flush(SOON)
        response = future.result(SOON)
        assert response["FailedRecordCount"] == 2
        assert [one.get("ErrorCode") for one in response["Records"]] == [
            *[None] * 3,
            *["SpoolUnavailable"] * 2,
        ]
    assert server.count("kinesis") == 3


def test_what_stays_after_short_writes_is_found(folder: Path, server: Endpoint, disk: Disk) -> None:
    """The torn pieces stand between the records, and are longer than some."""
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.3) as made:
        kinesis = client_of(made, "kinesis", server.url)
        put(kinesis, b"first")
        disk.write = is_short
        put(kinesis.with_options(delivery_timeout=60), bytes(5000)).cancel()
        disk.write = os.write
        first = put(kinesis, b"second")
        assert isinstance(first.exception(SOON), publisher.StillSpooled)
        until(lambda: made.stats().total.replayed)  # what is on disk was read
        later = [put(kinesis, b"later %d" % number) for number in range(20)]
        for future in later:
            assert isinstance(future.exception(SOON), publisher.StillSpooled)
        server.script(None)
        server.wait_for(lambda: len({one.data for one in server.stored("kinesis")}) == 22, SOON)
    assert [name for name in files(folder) if name != "damaged"] == []


class AlarmError(TimeoutError):
    """What an alarm raises in the caller: an OSError that is none of the disk's."""


def test_an_alarm_is_not_taken_for_an_error_of_the_disk(
    folder: Path, server: Endpoint, disk: Disk
) -> None:
    def ring(*_: object) -> None:
        raise AlarmError

    def write(descriptor: int, data: bytes) -> int:
        written = os.write(descriptor, data)
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGALRM)
        return written

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with publishing(spool=publisher.Spool(folder)) as made:
            kinesis = client_of(made, "kinesis", server.url)
            assert put(kinesis).result(SOON)
            disk.write = write
            with pytest.raises(AlarmError):
                put(kinesis)
            disk.write = os.write
            assert on_disk(made).unwritten == 0
    finally:
        signal.signal(signal.SIGALRM, before)
    assert files(folder) == []


@pytest.mark.parametrize("on_full", ["drop", "drop_oldest", "raise", "block"])
def test_a_full_spool_follows_on_full(folder: Path, server: Endpoint, on_full: str) -> None:
    release = threading.Event()
    server.script(lambda _: Answer(hold=release))
    with publishing(
        spool=publisher.Spool(folder, max_bytes=3000), on_full=on_full, max_block=0.2, linger=0
    ) as made:
        kinesis = client_of(made, "kinesis", server.url)
        kept = [put(kinesis, bytes(1000)) for _ in range(2)]
        if on_full == "raise":
            with pytest.raises(publisher.SpoolFull):
                put(kinesis, bytes(1000))
        else:
            assert isinstance(put(kinesis, bytes(1000)).exception(0), publisher.SpoolFull)
        batch = (
            kinesis.put_records(
                StreamName=STREAM, Records=[{"Data": bytes(1000), "PartitionKey": "k"}] * 2
            )
            if on_full != "raise"
            else None
        )
        release.set()
        assert all(future.result(SOON) for future in kept)
        if batch is not None:
            with pytest.raises(publisher.SpoolFull):
                batch.result(SOON)
        until(lambda: on_disk(made).bytes < 1000)
        assert put(kinesis, bytes(1000)).result(SOON)
    assert files(folder) == []


@pytest.mark.parametrize("queue", [QUEUE, FIFO_QUEUE])
def test_what_gives_way_to_what_the_disk_does_not_take_stays_there(
    folder: Path, server: Endpoint, disk: Disk, queue: str
) -> None:
    with publishing(
        spool=publisher.Spool(folder), on_full="drop_oldest", max_messages=6, linger=0.5
    ) as made:
        sqs = client_of(made, "sqs", server.url)

        def send(text: str) -> publisher.PublishFuture:
            group = {"MessageGroupId": "g", "MessageDeduplicationId": text}
            extra = group if queue == FIFO_QUEUE else {}
            return sqs.send_message(QueueUrl=queue, MessageBody=text, **extra)

        kept = [send(f"{n}") for n in range(6)]
        disk.write = fails(errno.EIO)
        late = [send("6"), send("7")]
        disk.write = os.write
        told = [future.exception(SOON) for future in kept[:2]]
        assert all(isinstance(error, publisher.StillSpooled) for error in told)
        assert all(future.result(SOON) for future in late)
        server.wait_for(lambda: len(server.stored("sqs")) == 8, SOON)
        if queue == FIFO_QUEUE:
            assert [int(entry.data) for entry in server.stored("sqs")] == list(range(8))
        assert made.stats().total.dropped == 0
    assert files(folder) == []


def test_who_waits_for_space_goes_on_when_there_is_some(folder: Path, server: Endpoint) -> None:
    with publishing(
        spool=publisher.Spool(folder, max_bytes=20_000), on_full="block", max_block=SOON, linger=0
    ) as made:
        kinesis = client_of(made, "kinesis", server.url)
        futures = [put(kinesis, bytes(1000)) for _ in range(200)]
        assert all(future.result(SOON) for future in futures)
        assert on_disk(made).bytes <= 20_000
    assert files(folder) == []


def left(folder: Path, where: bytes, entry: bytes) -> None:
    """A record of a process that has died."""
    log = Log(prepare(str(folder)))
    log.append(SimpleNamespace(kept=None), where, time.time(), entry, False)
    log.close()


def where(service: str = "kinesis", place: Any = None, **client: Any) -> bytes:
    said = {"service": service, "place": place or {"StreamName": "s"}, "client": client}
    return json.dumps(said).encode()


HOSTILE = {
    "nothing": b"",
    "nested": b"[" * 10_000,
    "too little": b'{"service":"kinesis"}',
    "no place": b'{"service":"kinesis","place":{},"client":{}}',
    "another place": where(place={"StreamName": "a\x1b"}, region_name="us-east-1"),
    "another service": where("s3", region_name="us-east-1"),
    "a region that is none": where(region_name="no \x1b[31m region"),
    "no region": where(),
    "an address that is none": where(endpoint_url="\u202e://x", region_name="us-east-1"),
    "another server": where(endpoint_url="http://127.0.0.1:9", region_name="us-east-1"),
    "a file": where(verify="/etc/passwd", region_name="us-east-1"),
    "a secret": where(aws_secret_access_key="x", region_name="us-east-1"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_nobody_of_us_wrote_goes_nowhere_and_keeps_nothing_up(
    folder: Path,
    server: Endpoint,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    left(folder, HOSTILE[kind], b"not one of ours")
    with publishing(spool=publisher.Spool(folder), linger=0) as made:
        kinesis = client_of(made, "kinesis", server.url, region_name="us-east-1")
        server.script(DOWN)
        stays = put(kinesis.with_options(delivery_timeout=0.2))
        assert isinstance(stays.exception(SOON), publisher.StillSpooled)
        server.script(None)
        server.wait_for(lambda: server.count("kinesis") == 1, SOON)
        assert put(kinesis).result(SOON)
    assert not [one for one in caplog.records if one.levelname == "CRITICAL"]
    assert not any(character in caplog.text for character in "\x1b\u202e")
    assert server.count("kinesis") == 2


def test_a_clock_that_is_set_meanwhile_expires_nothing(folder: Path, server: Endpoint) -> None:
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder, max_age=3600), delivery_timeout=0.2) as made:
        future = put(client_of(made, "kinesis", server.url))
        assert isinstance(future.exception(SOON), publisher.StillSpooled)
        with freezegun.freeze_time("2099-01-01"):
            assert on_disk(made).oldest_age < SOON
            server.script(None)
            server.wait_for(lambda: server.count("kinesis") == 1, SOON)
        with freezegun.freeze_time("1970-01-01"):
            assert 0 <= on_disk(made).oldest_age < SOON
        assert made.stats().total.failed == 0


def test_what_is_too_old_ends_as_failed(folder: Path, server: Endpoint) -> None:
    class Hook:
        def __init__(self) -> None:
            self.failed: list[publisher.Event] = []

        def on_failed(self, event: publisher.Event) -> None:
            self.failed.append(event)

    server.script(DOWN)
    told = Hook()
    with publishing(
        spool=publisher.Spool(folder, max_age=0.3), delivery_timeout=0.2, hooks=[told]
    ) as made:
        future = put(client_of(made, "kinesis", server.url))
        assert isinstance(future.exception(SOON), publisher.StillSpooled)
        until(lambda: told.failed)
        assert on_disk(made).waiting == 0
        assert made.stats().total.failed == 1
    assert isinstance(told.failed[0].exception, publisher.DeliveryTimeout)
    assert files(folder) == []


def test_order_holds_where_messages_stay_and_the_disk_is_full(
    folder: Path, server: Endpoint, disk: Disk
) -> None:
    """What cannot be written down waits behind what stays of its group, and is sent."""
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.3) as made:
        sqs = client_of(made, "sqs", server.url)
        patient = sqs.with_options(delivery_timeout=60)

        def send(client: Any, number: int) -> Any:
            return client.send_message(
                QueueUrl=FIFO_QUEUE,
                MessageBody=f"{number}",
                MessageGroupId="g",
                MessageDeduplicationId=f"{number}",
            )

        first = [send(sqs, number) for number in range(3)]
        assert all(isinstance(one.exception(SOON), publisher.StillSpooled) for one in first)
        disk.write = fails(errno.ENOSPC)
        last = send(patient, 3)
        server.script(None)
        assert last.result(SOON)
        disk.write = os.write
    assert [one.data for one in server.stored("sqs")] == [b"0", b"1", b"2", b"3"]


def test_a_view_without_the_spool_waits_behind_what_stays(folder: Path, server: Endpoint) -> None:
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.3) as made:
        sqs = client_of(made, "sqs", server.url)
        view = sqs.with_options(delivery_timeout=60, spool=False)
        futures = [
            (view if number % 2 else sqs).send_message(
                QueueUrl=FIFO_QUEUE,
                MessageBody=f"{number}",
                MessageGroupId=f"{number % 4}",
                MessageDeduplicationId=f"{number}",
            )
            for number in range(12)
        ]
        assert all(isinstance(f.exception(SOON), publisher.StillSpooled) for f in futures[::2])
        server.script(None)
        assert all(future.result(SOON) for future in futures[1::2])
        server.wait_for(lambda: server.count("sqs") == 12, SOON)
    arrived = [int(one.data) for one in server.stored("sqs")]
    for group in range(4):
        numbers = [number for number in arrived if number % 4 == group]
        assert numbers == sorted(numbers)
