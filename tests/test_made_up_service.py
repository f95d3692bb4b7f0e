"""A short service from outside the package: whatever must know it asks the registry."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from publisher import doctor, services
from publisher._cli import main
from publisher.contrib import _commands
from publisher.testing import capture
from tests.servers import Moto
from tests.support import SOON, client_of, publishing, tries

NAME = "firehose"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    row = services.Row("tests.made_up", "Delivery", linger=0.02)
    monkeypatch.setitem(services.REGISTRY, NAME, row)


@pytest.fixture
def delivery(moto_server: Moto) -> str:
    """A delivery stream of moto's, which writes into a bucket."""
    name = f"stream-{uuid.uuid4().hex}"
    moto_server.client("s3").create_bucket(Bucket=name)
    moto_server.client("firehose").create_delivery_stream(
        DeliveryStreamName=name,
        S3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/firehose",
            "BucketARN": f"arn:aws:s3:::{name}",
        },
    )
    return name


def stored(server: Moto, name: str) -> bytes:
    s3 = server.client("s3")
    found = s3.list_objects_v2(Bucket=name).get("Contents", [])
    return b"".join(s3.get_object(Bucket=name, Key=each["Key"])["Body"].read() for each in found)


def record(text: str) -> dict[str, Any]:
    return {"DeliveryStreamName": "clicks", "Record": {"Data": text.encode()}}


def test_it_is_short() -> None:
    source = Path(__file__).with_name("made_up.py").read_text()
    assert sum(1 for line in source.splitlines() if line.strip()) < 60


def test_its_messages_travel_in_batches(moto_server: Moto, delivery: str) -> None:
    with publishing() as made:
        ours = client_of(made, NAME, moto_server.url)
        sent = [
            ours.put_record(DeliveryStreamName=delivery, Record={"Data": f"{index};".encode()})
            for index in range(30)
        ]
        assert all(future.result(SOON)["RecordId"] for future in sent)
        answer = ours.put_record_batch(
            DeliveryStreamName=delivery, Records=[{"Data": b"x;"}] * 600
        ).result(SOON)
        assert (answer["FailedPutCount"], len(answer["RequestResponses"])) == (0, 600)
        total = made.stats().destinations[f"firehose:us-east-1:{delivery}"]
        assert (total.delivered, total.outstanding) == (630, 0)
        assert total.requests < 10
    found = stored(moto_server, delivery)
    assert found.count(b"x;") == 600
    assert all(f"{index};".encode() in found for index in range(30))


def test_the_test_kit_answers_for_it() -> None:
    with publishing(retry=tries(3)) as made, capture() as published:
        firehose = made.client(NAME)
        published.faults.fail(1, code="ServiceUnavailableException")
        future = firehose.put_record(**record("a"))
        assert future.result(SOON)["RecordId"]
        assert [attempt.error_code for attempt in future.attempts] == [
            "ServiceUnavailableException",
            None,
        ]
        published.faults.throttle(1)
        batch = firehose.put_record_batch(
            DeliveryStreamName="clicks", Records=[{"Data": b"b"}, {"Data": b"c"}]
        )
        assert batch.result(SOON)["FailedPutCount"] == 0
        assert not published.faults.pending
        published.assert_sent(NAME, Record={"Data": b"a"})


def test_a_lost_message_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    with publishing() as made, capture() as published:
        published.faults.reject(2, code="AccessDeniedException")  # of the single operation too
        with caplog.at_level(logging.ERROR, "publisher"):
            future = made.client(NAME).put_record(**record("a"))
            assert isinstance(future.exception(SOON), ClientError)
        assert made.stats().total.failed == 1
    assert "firehose:PutRecordBatch" in caplog.text


def test_commands_know_its_option(
    moto_server: Moto, delivery: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("first\nsecond\n")
    where = ["--endpoint-url", moto_server.url, "--region", "us-east-1", "--delivery", delivery]
    assert main(["send", *where, str(lines)]) == 0, capsys.readouterr()
    assert sorted(stored(moto_server, delivery).split(b"s")[:1]) == [b"fir"]
    with publishing() as made:

        def make(service: str) -> Any:
            return client_of(made, service, moto_server.url)

        names = {"delivery": [delivery]}
        assert list(_commands.check(make, names, SOON)) == [f"{delivery}: ok"]
        told = _commands.send(
            make, destinations={"delivery": delivery}, text="third", key="", timeout=SOON
        )
        assert told.startswith("delivered: RecordId ")


def test_the_doctor_tries_it(moto_server: Moto, delivery: str) -> None:
    found = doctor.examine(delivery=delivery, region="us-east-1", endpoint_url=moto_server.url)
    about = [each.text for each in found if each.about == f"firehose {delivery}"]
    assert any("accepts connections" in text for text in about), about
    with pytest.raises(TypeError, match="has no deliveries; destinations are"):
        doctor.examine(deliveries="x", region="us-east-1")
