"""Messages on disk: what stays, what is offered again and in which order, against real servers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

import publisher
from publisher._store.directory import prepare
from publisher._store.log import Log
from publisher._store.source import adopt
from publisher.spool import owners
from publisher.testing import capture
from tests.servers import Answer, Endpoint, Request
from tests.spool.support import DOWN, Holder, files
from tests.support import FIFO_QUEUE, QUEUE, SOON, STREAM, client_of, publishing, until

pytestmark = pytest.mark.every_python("files, locks and threads at the end of a publisher")


def bodies(server: Endpoint, service: str) -> list[Any]:
    return [entry.data for entry in server.stored(service)]


class Told:
    """A hook that notes what stays."""

    def __init__(self) -> None:
        self.spooled: list[publisher.Event] = []
        self.failed: list[publisher.Event] = []

    def on_spooled(self, event: publisher.Event) -> None:
        self.spooled.append(event)

    def on_failed(self, event: publisher.Event) -> None:
        self.failed.append(event)


def test_what_is_delivered_leaves_nothing_on_disk(folder: Path, server: Endpoint) -> None:
    spool = publisher.Spool(folder)
    with publishing(spool=spool) as made:
        kinesis = client_of(made, "kinesis", server.url)
        futures = [
            kinesis.put_record(StreamName=STREAM, Data=b"%d" % n, PartitionKey=str(n))
            for n in range(20)
        ]
        on_disk = made.stats().spool
        assert on_disk is not None
        assert on_disk.bytes > 0
        assert all(future.result(SOON)["SequenceNumber"] for future in futures)
        response = kinesis.put_records(
            StreamName=STREAM, Records=[{"Data": b"x", "PartitionKey": "k"}] * 3
        ).result(SOON)
        assert response["FailedRecordCount"] == 0
        assert (folder.stat().st_mode & 0o777) == 0o700
        assert all((folder / name).stat().st_mode & 0o777 == 0o600 for name in files(folder))
    assert files(folder) == []
    assert server.count("kinesis") == 23


def test_what_cannot_be_delivered_stays_and_is_offered_again(
    folder: Path, server: Endpoint
) -> None:
    server.script(DOWN)
    told = Told()
    with publishing(
        spool=publisher.Spool(folder), delivery_timeout=0.5, hooks=[told], max_workers=2
    ) as made:
        kinesis = client_of(made, "kinesis", server.url)
        future = kinesis.put_record(StreamName=STREAM, Data=b"one", PartitionKey="k")
        batch = kinesis.put_records(
            StreamName=STREAM, Records=[{"Data": b"two", "PartitionKey": "k"}]
        )
        error = future.exception(SOON)
        assert type(error) is publisher.StillSpooled
        assert error.last_code == "503"
        assert "not lost" in str(error)
        (record,) = batch.result(SOON)["Records"]
        assert record["ErrorCode"] == "StillSpooled"
        ledger = made.stats().total
        assert ledger.spooled >= 2
        assert ledger.failed == ledger.dropped == 0
        server.script(None)
        server.wait_for(lambda: server.count("kinesis") == 2, SOON)
        assert sorted(bodies(server, "kinesis")) == [b"one", b"two"]
    assert made.stats().total.replayed >= 2
    assert {event.operation for event in told.spooled} == {"put_record"}
    assert not told.failed
    assert files(folder) == []


@pytest.mark.parametrize("service", ["kinesis", "sqs", "sns", "firehose", "events"])
def test_the_next_process_sends_what_a_closed_one_left(
    folder: Path, server: Endpoint, service: str
) -> None:
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "kinesis": ("put_record", {"StreamName": STREAM, "Data": b"left", "PartitionKey": "k"}),
        "sqs": ("send_message", {"QueueUrl": QUEUE, "MessageBody": "left"}),
        "sns": ("publish", {"TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Message": "left"}),
        "firehose": ("put_record", {"DeliveryStreamName": "d", "Record": {"Data": b"left"}}),
        "events": (
            "put_events",
            {"Entries": [{"Source": "s", "DetailType": "t", "Detail": '{"left": 1}'}]},
        ),
    }
    operation, params = calls[service]
    arguments = {"endpoint_url": server.url, "region_name": "us-east-1"}
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder)) as made:
        future = getattr(made.client(service, **arguments), operation)(**params)
        made.close(0.2)
        if service == "events":
            assert future.result(0)["Entries"][0]["ErrorCode"] == "StillSpooled"
        else:
            assert isinstance(future.exception(0), publisher.StillSpooled)
        assert made.stats().total.spooled == 1
    assert files(folder)
    server.clear()
    server.script(None)
    with publishing(spool=publisher.Spool(folder)) as made:
        getattr(made.client(service, **arguments), operation)(**params)
        server.wait_for(lambda: server.count(service) >= 2, SOON)  # one may have been on its way
    assert made.stats().total.replayed == 1
    assert made.stats().total.delivered == 2
    assert files(folder) == []


def test_a_cancelled_message_does_not_come_back(folder: Path, server: Endpoint) -> None:
    with publishing(spool=publisher.Spool(folder), linger=10) as made:
        kinesis = client_of(made, "kinesis", server.url)
        future = kinesis.put_record(StreamName=STREAM, Data=b"no", PartitionKey="k")
        assert future.cancel()
        made.close(SOON)
    assert files(folder) == []
    assert server.count("kinesis") == 0


def test_what_finds_the_memory_full_stays_on_disk(folder: Path, server: Endpoint) -> None:
    release = threading.Event()
    server.script(lambda _: Answer(hold=release))
    with publishing(
        spool=publisher.Spool(folder, when="overflow"), max_messages=5, max_workers=1, linger=0
    ) as made:
        kinesis = client_of(made, "kinesis", server.url)
        futures = [
            kinesis.put_record(StreamName=STREAM, Data=b"%d" % n, PartitionKey="k")
            for n in range(12)
        ]
        late = [future for future in futures if future.done()]
        assert len(late) == 7
        assert all(isinstance(one.exception(), publisher.StillSpooled) for one in late)
        assert made.stats().total.spooled == 7
        release.set()
        server.wait_for(lambda: server.count("kinesis") == 12, SOON)
    assert sorted(bodies(server, "kinesis"), key=int) == [b"%d" % n for n in range(12)]
    assert files(folder) == []


def test_what_no_store_keeps_is_held_at_a_full_buffer_as_without_a_spool(
    folder: Path, server: Endpoint
) -> None:
    server.script(lambda request: time.sleep(0.02))
    with publishing(spool=publisher.Spool(folder), max_messages=2, max_workers=1) as made:
        sqs = client_of(made, "sqs", server.url)
        memory = sqs.with_options(spool=False)
        futures = [memory.send_message(QueueUrl=QUEUE, MessageBody=f"{n}") for n in range(6)]
        entries = [{"Id": f"{n}", "MessageBody": f"b{n}"} for n in range(6)]
        futures.append(memory.send_message_batch(QueueUrl=QUEUE, Entries=entries))
        assert [future.exception(SOON) for future in futures] == [None] * 7
        assert not futures[6].result(SOON).get("Failed")
    assert len(bodies(server, "sqs")) == 12
    assert files(folder) == []


def test_a_group_is_never_overtaken_while_messages_of_it_stay(
    folder: Path, server: Endpoint
) -> None:
    """The queue fails for a while, again and again, as messages come without a pause."""
    turn = iter(range(10**9))

    def script(request: Request) -> Answer | None:
        return DOWN if request.entries and next(turn) % 7 < 5 else None

    server.script(script)
    sent: list[tuple[int, int]] = []
    with publishing(
        spool=publisher.Spool(folder), delivery_timeout=0.3, linger=0.005, max_messages=500
    ) as made:
        sqs = client_of(made, "sqs", server.url)
        for number in range(150):
            group = number % 3
            sqs.send_message(
                QueueUrl=FIFO_QUEUE,
                MessageBody=json.dumps([group, number]),
                MessageGroupId=str(group),
                MessageDeduplicationId=str(number),
            )
            sent.append((group, number))
            if number % 10 == 0:
                sqs.close(0.05)
        server.script(None)
        server.wait_for(lambda: len({e.data for e in server.stored("sqs")}) == 150, 2 * SOON)
    arrived = [tuple(json.loads(body)) for body in bodies(server, "sqs")]
    first = list(dict.fromkeys(arrived))
    assert sorted(first) == sorted(sent)
    for group in range(3):
        assert [n for g, n in first if g == group] == [n for g, n in sent if g == group]
    total = made.stats().total
    assert total.spooled > 0
    assert total.failed == total.dropped == 0
    assert files(folder) == []


def test_what_is_left_to_the_relay_has_an_id_at_once(folder: Path, server: Endpoint) -> None:
    told = Told()
    with publishing(spool=publisher.Spool(folder, send="relay"), hooks=[told]) as made:
        kinesis = client_of(made, "kinesis", server.url)
        future = kinesis.put_record(StreamName=STREAM, Data=b"x", PartitionKey="k")
        assert set(future.result(0)) == {"SpoolId"}
        batch = kinesis.put_records(
            StreamName=STREAM, Records=[{"Data": b"y", "PartitionKey": "k"}] * 2
        ).result(0)
        assert batch["FailedRecordCount"] == 0
        assert len({one["SpoolId"] for one in batch["Records"]}) == 2
        ledger = made.stats().total
        assert ledger.spooled == ledger.accepted == 3
    assert len(told.spooled) == 3
    assert server.count("kinesis") == 0
    assert files(folder)


def test_a_capture_and_a_mock_leave_nothing_on_disk(folder: Path) -> None:
    with capture() as messages:
        made = publisher.Publisher(spool=publisher.Spool(folder))
        made.client("sns", region_name="eu-west-1").publish(
            TopicArn="arn:aws:sns:eu-west-1:000000000000:t", Message="m"
        ).result(SOON)
        made.close(SOON)
    assert len(messages) == 1
    with mock_aws():
        topic = boto3.client("sns", region_name="eu-west-1").create_topic(Name="t")["TopicArn"]
        with publishing(spool=publisher.Spool(folder)) as made:
            sns = made.client("sns", region_name="eu-west-1")
            assert sns.publish(TopicArn=topic, Message="m").result(SOON)["MessageId"]
            assert files(folder) == []
    assert files(folder) == []


@pytest.mark.parametrize("inside", [capture, mock_aws])
def test_nothing_is_taken_over_inside_a_capture_or_a_mock(
    folder: Path, server: Endpoint, inside: Callable[[], AbstractContextManager[Any]]
) -> None:
    arguments = {"endpoint_url": server.url, "region_name": "us-east-1"}
    record = {"StreamName": STREAM, "PartitionKey": "k"}
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder)) as made:
        made.client("kinesis", **arguments).put_record(Data=b"left", **record)
        made.close(0)
    server.script(None)
    server.clear()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with inside():
        made = publisher.Publisher(spool=publisher.Spool(folder), delivery_timeout=1)
        future = made.client("kinesis", **arguments).put_record(Data=b"inside", **record)
        future.exception(SOON)
        made.close(SOON)
        assert not [one for one in threading.enumerate() if one.name == "publisher-spool"]
    assert server.count("kinesis") <= (inside is mock_aws)  # moto passes on what is not AWS's
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_mock_that_begins_later_is_not_offered_what_stays(folder: Path, server: Endpoint) -> None:
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.2) as made:
        kinesis = made.client("kinesis", endpoint_url=server.url, region_name="us-east-1")
        record = {"StreamName": STREAM, "PartitionKey": "k"}
        first = kinesis.put_record(Data=b"stays", **record)
        assert isinstance(first.exception(SOON), publisher.StillSpooled)
        until(lambda: not made.stats().total.outstanding)
        store: Any = made._current().store
        with mock_aws():
            server.script(None)
            for _ in range(2):  # the second turn began in here
                store._rounds.look_soon()
                until(lambda: not store._rounds._due)
            assert server.count("kinesis") == 0
        kinesis.put_record(Data=b"new", **record)
        server.wait_for(lambda: server.count("kinesis") == 2, SOON)
    assert sorted(bodies(server, "kinesis")) == [b"new", b"stays"]
    assert files(folder) == []


def test_what_many_dead_owners_left_is_taken_over_a_few_at_a_time(
    folder: Path, server: Endpoint
) -> None:
    server.script(DOWN)
    arguments = {"endpoint_url": server.url, "region_name": "us-east-1"}
    record = {"StreamName": STREAM, "PartitionKey": "k"}
    with publishing(spool=publisher.Spool(folder)) as made:
        made.client("kinesis", **arguments).put_record(Data=b"left", **record)
        made.close(0)
    directory = prepare(folder)
    (owner,) = directory.dead_owners()
    source = adopt(directory, owner)
    assert source is not None
    (kept,) = source.take(9)
    source.close()
    many = owners.MOST * 2
    for _ in range(many):
        log = Log(directory)
        log.append(Holder(), kept.where, kept.when, kept.entry, False)
        log.close()
    assert len(directory.dead_owners()) == many + 1
    server.script(None)
    with publishing(spool=publisher.Spool(folder)) as made:
        made.client("kinesis", **arguments).put_record(Data=b"new", **record)
        server.wait_for(lambda: server.count("kinesis") == many + 2, SOON)
    assert files(folder) == []
