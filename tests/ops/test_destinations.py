"""SQS, Firehose and EventBridge on command lines and in the doctor: each on a server of moto's."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from publisher import doctor
from publisher._cli import main
from publisher.contrib import _commands
from tests.faults import delivery
from tests.servers import Answer, Endpoint, Moto
from tests.support import FIFO_QUEUE, SOON, client_of, publishing


@pytest.fixture
def lines(tmp_path: Path) -> str:
    path = tmp_path / "lines"
    path.write_text("".join(f'{{"line": {number}}}\n' for number in range(25)))
    return str(path)


def at(server: Moto | Endpoint) -> list[str]:
    return ["--endpoint-url", server.url, "--region", "us-east-1"]


@pytest.fixture
def stream(moto_server: Moto) -> str:
    name = f"stream-{uuid.uuid4().hex}"
    delivery(moto_server, name)
    return name


@pytest.fixture
def bus(moto_server: Moto) -> Iterator[str]:
    name = f"bus-{uuid.uuid4().hex}"
    events = moto_server.client("events")
    events.create_event_bus(Name=name)
    yield name
    events.delete_event_bus(Name=name)


@pytest.fixture
def queue(moto_server: Moto) -> str:
    name = f"queue-{uuid.uuid4().hex}"
    return str(moto_server.client("sqs").create_queue(QueueName=name)["QueueUrl"])


def test_lines_to_a_queue(moto_server: Moto, queue: str, lines: str) -> None:
    assert main(["send", *at(moto_server), "--queue", queue, lines]) == 0
    sqs, found = moto_server.client("sqs"), []
    while some := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(one["Body"])["line"] for one in some]
    assert sorted(found) == list(range(25))


def test_lines_have_no_group_for_a_fifo_queue(
    endpoint: Endpoint, lines: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", *at(endpoint), "--queue", FIFO_QUEUE, lines]) == 2
    assert "a FIFO queue needs a MessageGroupId" in capsys.readouterr().err
    assert endpoint.request_count == 0


def test_a_queue_in_the_commands_of_the_frameworks(moto_server: Moto, queue: str) -> None:
    with publishing() as made:

        def make(service: str) -> Any:
            return client_of(made, service, moto_server.url)

        assert list(_commands.check(make, {"queue": [queue]}, SOON)) == [f"{queue}: ok"]
        told = _commands.send(make, destinations={"queue": queue}, text="x", key="", timeout=SOON)
        assert told.startswith("delivered: MessageId ")
        missing = _commands.check(make, {"queue": [f"{queue}-gone"]}, SOON)
        with pytest.raises(_commands.CommandFailedError, match="1 of 1"):
            list(missing)


def test_the_doctor_tries_a_queue_and_sends_nothing(moto_server: Moto, queue: str) -> None:
    found = doctor.examine(region="us-east-1", endpoint_url=moto_server.url, queue=queue)
    about = {each.about: each.text for each in found}[f"sqs {queue.rpartition('/')[2]}"]
    assert "publishing is permitted (sqs:SendMessage)" in about
    assert "Messages" not in moto_server.client("sqs").receive_message(QueueUrl=queue)


def test_the_doctor_names_the_cause_of_a_missing_queue(moto_server: Moto, queue: str) -> None:
    found = doctor.examine(region="us-east-1", endpoint_url=moto_server.url, queue=f"{queue}-gone")
    (error,) = (each for each in found if each.severity == "error")
    assert "no such queue there: wrong name, account or region" in error.text


def test_lines_to_a_delivery_stream(endpoint: Endpoint, lines: str) -> None:
    assert main(["send", *at(endpoint), "--delivery-stream", "clicks", lines]) == 0
    sent = [json.loads(entry.data)["line"] for entry in endpoint.stored("firehose")]
    assert sent == list(range(25))
    assert {entry.destination for entry in endpoint.stored()} == {"clicks"}


def test_lines_to_a_bus(endpoint: Endpoint, lines: str) -> None:
    assert main(["send", *at(endpoint), "--bus", "orders", lines]) == 0
    found = [entry.event for entry in endpoint.stored("events")]
    assert sorted(json.loads(event["Detail"])["line"] for event in found) == list(range(25))
    assert {(event["EventBusName"], event["Source"], event["DetailType"]) for event in found} == {
        ("orders", "boto3-publisher", "line")
    }


def test_source_and_detail_type_of_the_lines(endpoint: Endpoint, lines: str) -> None:
    more = ["--source", "shop", "--detail-type", "paid"]
    assert main(["send", *at(endpoint), "--bus", "orders", *more, lines]) == 0
    assert {(one.event["Source"], one.event["DetailType"]) for one in endpoint.stored()} == {
        ("shop", "paid")
    }


def test_a_source_is_for_a_bus(
    endpoint: Endpoint, lines: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--delivery-stream", "clicks", "--source", "shop"]
    assert main(["send", *at(endpoint), *where, lines]) == 2
    assert "--source is for --bus" in capsys.readouterr().err
    assert endpoint.request_count == 0


def test_a_line_that_the_bus_refuses_is_lost_and_kept(
    endpoint: Endpoint, lines: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(request: Any) -> Answer:
        places = [i for i, one in enumerate(request.entries) if b'"line": 7}' in one.data]
        return Answer(failures=dict.fromkeys(places, "MalformedDetail"))

    endpoint.script(script)
    failed = tmp_path / "failed"
    arguments = ["send", *at(endpoint), "--bus", "orders", "--failed", str(failed), lines]
    assert main(arguments) == 1
    assert failed.read_text() == '{"line": 7}\n'
    assert "MalformedDetail" in capsys.readouterr().out


def test_commands_of_the_frameworks(moto_server: Moto, stream: str, bus: str) -> None:
    named = {"delivery_stream": stream, "bus": bus}
    with publishing() as made:

        def make(service: str) -> Any:
            return client_of(made, service, moto_server.url)

        checked = _commands.check(make, {key: [name] for key, name in named.items()}, SOON)
        assert list(checked) == [f"{stream}: ok", f"{bus}: ok"]
        for key, receipt in (("delivery_stream", "RecordId"), ("bus", "EventId")):
            told = _commands.send(
                make, destinations={key: named[key]}, text="{}", key="", timeout=SOON
            )
            assert told.startswith(f"delivered: {receipt} ")
        with pytest.raises(_commands.CommandFailedError, match="MalformedDetail"):
            _commands.send(make, destinations={"bus": bus}, text="{", key="", timeout=SOON)
        with pytest.raises(_commands.CommandFailedError, match="--delivery-stream, --bus"):
            _commands.send(make, destinations={}, text="{}", key="", timeout=SOON)
        missing = _commands.check(make, {"bus": ["gone"]}, SOON)
        with pytest.raises(_commands.CommandFailedError, match="1 of 1"):
            list(missing)


@pytest.mark.parametrize("service", ["firehose", "events"])
def test_the_doctor_tries_them(moto_server: Moto, stream: str, bus: str, service: str) -> None:
    option, name = {"firehose": ("delivery_stream", stream), "events": ("bus", bus)}[service]
    found = doctor.examine(region="us-east-1", endpoint_url=moto_server.url, **{option: name})
    about = [each.text for each in found if each.about == f"{service} {name}"]
    assert any("accepts connections" in text for text in about), about
    assert any("publishing is permitted" in text for text in about), about


def test_the_doctor_puts_nothing_onto_the_bus(endpoint: Endpoint) -> None:
    with Endpoint(strict=True) as strict:
        assert main(["doctor", *at(strict), "--bus", "orders", "--delivery-stream", "clicks"]) == 0
        probes = {request.operation: request for request in strict.requests if request.entries}
        assert {name: len(one.entries) for name, one in probes.items()} == {
            "PutEvents": 11,
            "PutRecordBatch": 501,
        }
        assert probes["PutEvents"].entries[0].event["EventBusName"] == "orders"
        assert strict.stored() == []
