"""The drill: six broken set-ups, each named by the logs, by the metrics and by doctor."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from publisher import Spool, _process
from publisher._cli import main
from publisher._doctoring import aws, live
from publisher.contrib.prometheus import PublisherCollector
from tests.ops.test_metrics import Samples, parsed, total
from tests.servers import Answer, Endpoint, Error, ShardLimit
from tests.support import SOON, STREAM, TOPIC, client_of, publishing, tries

Doctor = Callable[..., str]


@pytest.fixture
def doctor(endpoint: Endpoint, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Runs the command, which finds an error, and returns what it printed."""
    monkeypatch.setattr(aws, "_TIMEOUT", 20)
    monkeypatch.setattr(_process, "_publishers", weakref.WeakSet())  # none of other tests'

    def run(*arguments: str) -> str:
        assert main(["doctor", "--endpoint-url", endpoint.url, *arguments]) == 3
        return str(capsys.readouterr().out)

    return run


class Drill:
    """What the on-call engineer has after a process met a broken set-up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples: Samples = {}

    def run(self, send: Callable[[Any], None], **options: Any) -> None:
        registry = CollectorRegistry()
        with publishing(**options) as made:
            registry.register(PublisherCollector(made))
            send(made)
            made.close(SOON)
            text = generate_latest(registry)
        self.path.write_bytes(text)
        self.samples = parsed(text.decode())


@pytest.fixture
def drill(tmp_path: Path) -> Drill:
    return Drill(tmp_path / "metrics")


def test_missing_permission(
    endpoint: Endpoint, drill: Drill, doctor: Doctor, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.script(Answer(error=Error(403, "AuthorizationError")))

    def send(made: Any) -> None:
        sns = client_of(made, "sns", endpoint.url)
        for _ in range(20):
            sns.publish(TopicArn=TOPIC, Message="x")

    drill.run(send)
    cause = "the role lacks the permission sns:Publish"
    assert cause in caplog.text
    assert total(drill.samples, "publisher_failed_total", code="AuthorizationError") == 20
    assert cause in doctor("--topic", TOPIC)
    assert cause in doctor("--metrics", str(drill.path))


def test_wrong_region(
    endpoint: Endpoint, drill: Drill, doctor: Doctor, caplog: pytest.LogCaptureFixture
) -> None:
    arn = "arn:aws:kinesis:eu-west-1:000000000000:stream/clicks"
    endpoint.script(Answer(error=Error(400, "ResourceNotFoundException", "Stream not found.")))

    def send(made: Any) -> None:
        kinesis = client_of(made, "kinesis", endpoint.url)
        for key in range(20):
            kinesis.put_record(StreamARN=arn, Data=b"x", PartitionKey=str(key))

    drill.run(send)
    assert "wrong region: the destination is in eu-west-1, the client in us-east-1" in caplog.text
    code = "ResourceNotFoundException"
    assert total(drill.samples, "publisher_failed_total", code=code, region="eu-west-1") == 20
    assert "wrong region: its ARN says eu-west-1" in doctor("--stream", arn)
    assert "no such destination in us-east-1: wrong region" in doctor("--stream", STREAM)


def test_one_hot_shard(drill: Drill, doctor: Doctor, caplog: pytest.LogCaptureFixture) -> None:
    with Endpoint(shards=4, shard_limit=ShardLimit(records=20)) as endpoint:

        def send(made: Any) -> None:
            kinesis = client_of(made, "kinesis", endpoint.url)
            for number in range(400):
                key = "the-one" if number % 10 else str(number)
                kinesis.put_record(StreamName=STREAM, Data=b"x", PartitionKey=key)

        drill.run(send, retry=tries(3))
    assert "hot shard: " in caplog.text
    assert "shardId-" in caplog.text
    by_shard = sorted(value for _, value in drill.samples.get("publisher_shard_errors_total", []))
    assert by_shard[-1] > 0.8 * sum(by_shard)
    assert "hot shard: " in doctor("--metrics", str(drill.path))
    assert "the-one" not in caplog.text


def test_an_endpoint_that_accepts_and_never_answers(
    endpoint: Endpoint,
    drill: Drill,
    doctor: Doctor,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aws, "_TIMEOUT", 1)
    endpoint.script(Answer(hold=threading.Event()))

    def send(made: Any) -> None:
        sns = client_of(made, "sns", endpoint.url)
        for _ in range(20):
            sns.publish(TopicArn=TOPIC, Message="x")

    drill.run(send, read_timeout=0.5, retry=tries(2))
    cause = "the endpoint accepts requests and does not answer in time"
    assert cause in caplog.text
    assert total(drill.samples, "publisher_errors_total", code="ReadTimeoutError") >= 20
    out = doctor("--topic", TOPIC)
    assert "accepts connections" in out
    assert cause in out
    assert cause in doctor("--metrics", str(drill.path))


def test_a_buffer_too_small(
    endpoint: Endpoint, drill: Drill, doctor: Doctor, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    endpoint.script(Answer(hold=gate))

    def send(made: Any) -> None:
        sns = client_of(made, "sns", endpoint.url)
        for _ in range(100):
            sns.publish(TopicArn=TOPIC, Message="x")
        gate.set()

    drill.run(send, max_messages=10, on_full="drop")
    cause = "the buffer is too small, or nothing drains it"
    assert f"{cause} (max_messages=10 and" in caplog.text
    assert total(drill.samples, "publisher_dropped_total", reason="buffer_full") == 90
    assert total(drill.samples, "publisher_buffer_limit_messages") == 10
    out = doctor("--metrics", str(drill.path))
    assert cause in out
    assert "raise max_messages" in out


def test_a_spool_that_cannot_be_made(
    endpoint: Endpoint, tmp_path: Path, drill: Drill, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    def send(made: Any) -> None:
        sns = client_of(made, "sns", endpoint.url)
        for _ in range(20):
            sns.publish(TopicArn=TOPIC, Message="x").result(SOON)
        texts = [str(each) for each in live.findings()]
        assert any("cannot be made" in text and "mkdir -m 700" in text for text in texts)

    drill.run(send, spool=Spool(tmp_path / "not" / "there"))
    assert "messages are sent from memory alone" in caplog.text
    assert total(drill.samples, "publisher_spool_unwritten_messages") == 20
    assert main(["doctor", "--metrics", str(drill.path)]) == 1
    assert "20 messages were kept in memory alone: the disk failed" in capsys.readouterr().out
