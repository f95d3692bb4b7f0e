"""What is offered again where something is in its way: a file, a destination, a client."""

from __future__ import annotations

import errno
import gc
import json
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

import publisher
from publisher._store.directory import prepare
from publisher._store.log import Log
from publisher._store.reading import Reading
from publisher._store.source import adopt
from publisher.spool import queues
from publisher.spool.keeper import Keeper
from tests.servers import Endpoint
from tests.spool.support import DOWN, Holder, take_back
from tests.support import FIFO_QUEUE, SOON, STREAM, client_of, publishing, until

pytestmark = pytest.mark.every_python("threads and files")

NOWHERE = json.dumps(
    {
        "service": "kinesis",
        "place": {"StreamName": STREAM},
        "client": {"region_name": "us-east-1", "endpoint_url": "http://127.0.0.1:9/"},
    }
).encode()


def send(client: publisher.Client, body: str) -> publisher.PublishFuture:
    return client.send_message(
        QueueUrl=FIFO_QUEUE, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=body
    )


def arrived(server: Endpoint) -> list[str]:
    return list(dict.fromkeys(entry.data.decode() for entry in server.stored("sqs")))


def put(made: publisher.Publisher, server: Endpoint, data: bytes) -> publisher.PublishFuture:
    kinesis = made.client("kinesis", endpoint_url=server.url, region_name="us-east-1")
    return kinesis.put_record(StreamName=STREAM, Data=data, PartitionKey="k")


def leave(folder: Path, *records: tuple[bytes, float, bytes]) -> None:
    """What a process leaves that dies: destination, time and entry of each."""
    log = Log(prepare(folder))
    for where, when, entry in records:
        log.append(Holder(), where, when, entry, False)
    log.close()


def written(folder: Path, server: Endpoint) -> tuple[bytes, bytes]:
    """What is written of the stream on that server, and of a message."""
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder)) as made:
        put(made, server, b"left")
        made.close(0)
    kept = take_back(folder)
    server.clear()
    server.script(None)
    return kept.where, kept.entry


def count(made: publisher.Publisher) -> publisher.SpoolStats:
    found = made.stats().spool
    assert found is not None
    return found


def test_what_cannot_be_read_again_now_keeps_its_place(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script(DOWN)
    fails = iter([OSError(errno.EMFILE, "Too many open files")])
    read_again = Log.read_again

    def read(log: Log, kepts: Any) -> Any:
        for error in fails:
            raise error
        return read_again(log, kepts)

    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.2) as made:
        store: Any = made._current().store
        store._feeder.queues.bodies = 0
        monkeypatch.setattr(Log, "read_again", read)
        sqs = client_of(made, "sqs", server.url)
        futures = [send(sqs, f"{number}") for number in range(5)]
        assert all(isinstance(one.exception(SOON), publisher.StillSpooled) for one in futures)
        server.script(None)
        server.wait_for(lambda: len(arrived(server)) == 5, SOON)
    assert next(fails, None) is None
    assert arrived(server) == ["0", "1", "2", "3", "4"]


def test_records_that_cannot_be_read_again_are_taken_still(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(folder, *[(NOWHERE, 1.0, b"entry")] * 3)
    directory = prepare(folder)
    (owner,) = directory.dead_owners()
    source = adopt(directory, owner)
    assert source is not None
    kepts = source.take(9)

    def fail(*_: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "messages", fail)
        with pytest.raises(OSError, match="Too many"):
            source.read_again(kepts)
    assert source.take(9) == []
    again = source.read_again(kepts)
    assert [kept.entry for kept in again] == [b"entry"] * 3
    source.settle(again)
    assert source.finished


def test_two_clients_that_are_written_alike_both_go_on(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.2) as made:
        one = made.client("sqs", endpoint_url=server.url)
        other = made.client("sqs", endpoint_url=server.url, region_name="us-east-1")
        assert one is not other
        futures = [send(one, "1"), send(other, "2")]
        assert all(isinstance(each.exception(SOON), publisher.StillSpooled) for each in futures)
        lanes = [lane for client in (one, other) for lane in client._binding.lanes.values()]
        assert len({lane.written for lane in lanes}) == 1
        assert len(lanes) == 2
        server.script(None)
        until(lambda: not any(lane.is_behind for lane in lanes))
        server.wait_for(lambda: sorted(arrived(server)) == ["1", "2"], SOON)
        send(one, "3")
        send(other, "4")
        server.wait_for(lambda: sorted(arrived(server)) == ["1", "2", "3", "4"], SOON)


def test_what_has_no_way_does_not_keep_others_from_being_read(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_AHEAD", 4)
    monkeypatch.setattr(queues, "_AT_ONCE", 2)
    where, entry = written(folder, server)
    now = time.time()
    leave(folder, *[(NOWHERE, now, entry)] * 10, (where, now, entry))
    with publishing(spool=publisher.Spool(folder)) as made:
        assert put(made, server, b"new").result(SOON)
        server.wait_for(lambda: server.count("kinesis") == 2, SOON)
        until(lambda: count(made).waiting == 10)


def test_what_has_no_way_is_given_up_at_its_age(
    folder: Path, server: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    _, entry = written(folder, server)
    leave(folder, (NOWHERE, time.time() - 100, entry), (NOWHERE, time.time(), entry))
    with publishing(spool=publisher.Spool(folder, max_age=60)) as made:
        assert put(made, server, b"new").result(SOON)
        until(lambda: count(made).skipped == 1)
        until(lambda: count(made).waiting == 1)
        until(lambda: "are given up" in caplog.text)
    assert server.count("kinesis") == 1


def test_what_a_client_has_left_that_is_let_go_is_sent(
    folder: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keeper, "adopts_every", 0.1)
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.2) as made:
        session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b")
        sqs = made.client("sqs", session=session, endpoint_url=server.url, region_name="us-east-1")
        assert isinstance(send(sqs, "1").exception(SOON), publisher.StillSpooled)
        made._clients._kept.clear()
        del sqs, session
        gc.collect()
        store: Any = made._current().store
        held = store._destinations._held  # nobody else is sure to have it
        until(lambda: len(held) == 1)
        server.script(None)
        server.wait_for(lambda: arrived(server) == ["1"], SOON)
        until(lambda: not held)


def test_a_message_of_a_later_version_stays_on_disk(folder: Path, server: Endpoint) -> None:
    where, entry = written(folder, server)
    now = time.time()
    leave(folder, (where, now, b"\x63" + entry[1:]), (where, now, entry))
    with publishing(spool=publisher.Spool(folder)) as made:
        assert put(made, server, b"new").result(SOON)
        server.wait_for(lambda: server.count("kinesis") == 2, SOON)
        until(lambda: (count(made).skipped, count(made).waiting) == (1, 1))
    assert prepare(folder).dead_owners()
