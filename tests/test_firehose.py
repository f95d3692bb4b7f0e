"""Firehose: what arrives behind moto, what is refused at the call, and who is sent again."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

import publisher
from publisher.testing import capture
from tests.servers import Answer, Endpoint, Error, FaultProxy, Moto, Request
from tests.support import SOON, client, client_of, codes, publishing, texts, tries

STREAM = "clicks"
RECORDS = [{"Data": f"{index};"} for index in range(1200)]


@pytest.fixture
def delivery(moto_server: Moto) -> Iterator[str]:
    """A stream that writes into a bucket."""
    name = f"stream-{uuid.uuid4().hex}"
    s3, firehose = moto_server.client("s3"), moto_server.client("firehose")
    s3.create_bucket(Bucket=name)
    firehose.create_delivery_stream(
        DeliveryStreamName=name,
        S3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/firehose",
            "BucketARN": f"arn:aws:s3:::{name}",
        },
    )
    yield name
    firehose.delete_delivery_stream(DeliveryStreamName=name)


def stored(server: Moto, name: str) -> Counter[bytes]:
    """The records in the bucket, each of which ends with a semicolon."""
    s3 = server.client("s3")
    found = s3.list_objects_v2(Bucket=name).get("Contents", [])
    objects = [s3.get_object(Bucket=name, Key=one["Key"])["Body"].read() for one in found]
    return Counter(part for text in objects for part in text.split(b";") if part)


def put(firehose: Any, data: Any, stream: str = STREAM) -> Any:
    return firehose.put_record(DeliveryStreamName=stream, Record={"Data": data})


def test_records_arrive_once(moto_server: Moto, delivery: str) -> None:
    with publishing() as made:
        firehose = client_of(made, "firehose", moto_server.url)
        singles = [put(firehose, f"single {index};", delivery) for index in range(30)]
        whole = firehose.put_record_batch(DeliveryStreamName=delivery, Records=RECORDS)
        assert all(future.result(SOON)["RecordId"] for future in singles)
        answer = whole.result(SOON)
        ledger = made.stats().destinations[f"firehose:us-east-1:{delivery}"]
    assert (answer["FailedPutCount"], len(answer["RequestResponses"])) == (0, 1200)
    assert all(one["RecordId"] for one in answer["RequestResponses"])
    assert (ledger.delivered, ledger.outstanding) == (1230, 0)
    assert ledger.requests < 10
    found = stored(moto_server, delivery)
    assert set(found.values()) == {1}
    assert len(found) == 1230


def test_what_failed_is_sent_again_alone(
    moto_server: Moto, delivery: str, proxy: Callable[..., FaultProxy]
) -> None:
    front = proxy(moto_server.url)

    def script(request: Request) -> Answer | None:
        if request.number > 3 or not request.entries:
            return None
        places = range(0, len(request.entries), 10)
        return Answer(failures=dict.fromkeys(places, "ServiceUnavailableException"), failed_count=0)

    front.script(script)
    with client("firehose", front.url) as firehose:
        answer = firehose.put_record_batch(DeliveryStreamName=delivery, Records=RECORDS)
        assert answer.result(SOON)["FailedPutCount"] == 0
    found = stored(moto_server, delivery)
    assert len(found) == 1200
    assert set(found.values()) == {1}
    assert len(front.entries) > 1200


@pytest.mark.parametrize("encrypted", [True, False])
def test_encrypted_is_in_the_answers_as_boto3_has_it(endpoint: Endpoint, encrypted: bool) -> None:
    def script(request: Request) -> Answer:
        outcomes = [{"RecordId": f"r{index}"} for index, _ in enumerate(request.entries)]
        said = {"FailedPutCount": 0, "Encrypted": encrypted, "RequestResponses": outcomes}
        return Answer(body=json.dumps(said).encode(), content_type="application/x-amz-json-1.1")

    endpoint.script(script)
    with client("firehose", endpoint.url) as firehose:
        answer = put(firehose, b"x").result(SOON)
        whole = firehose.put_record_batch(DeliveryStreamName=STREAM, Records=RECORDS[:3]).result(
            SOON
        )
    assert (answer["RecordId"], answer["Encrypted"]) == ("r0", encrypted)
    assert set(answer) == {"RecordId", "Encrypted", "ResponseMetadata"}
    assert whole["Encrypted"] is encrypted
    assert set(whole) == {"FailedPutCount", "Encrypted", "RequestResponses", "ResponseMetadata"}


def test_large_records_fill_a_request_to_the_byte() -> None:
    largest = b"x" * 1024 * 1000
    with Endpoint(strict=True) as endpoint, client("firehose", endpoint.url) as firehose:
        answer = firehose.put_record_batch(
            DeliveryStreamName=STREAM, Records=[{"Data": largest}] * 9
        ).result(SOON)
        assert answer["FailedPutCount"] == 0
        assert sorted(len(request.entries) for request in endpoint.requests) == [1, 4, 4]


@pytest.mark.parametrize(
    ("params", "match", "code"),
    [
        ({"Record": {"Data": b"x"}}, "needs the parameter DeliveryStreamName", None),
        ({"DeliveryStreamName": STREAM}, "needs the parameter Record", None),
        ({"DeliveryStreamName": STREAM, "Record": b"x"}, "Record must be a dict, not bytes", None),
        ({"DeliveryStreamName": STREAM, "Record": {}}, "Record needs the parameter Data", None),
        ({"DeliveryStreamName": STREAM, "Record": {"Data": 7}}, "Data must be bytes", None),
        (
            {"DeliveryStreamName": STREAM, "Record": {"Data": b"", "Key": "k"}},
            "unknown parameters: Key",
            None,
        ),
        ({"DeliveryStreamName": "a b", "Record": {"Data": b""}}, "1 to 64 letters", "Validation"),
        (
            {"DeliveryStreamName": STREAM, "Record": {"Data": bytes(1024001)}},
            "has 1,024,001 bytes; at most 1,024,000",
            "Validation",
        ),
    ],
)
def test_what_the_caller_got_wrong_raises_at_the_call(
    endpoint: Endpoint, params: dict[str, Any], match: str, code: str | None
) -> None:
    with client("firehose", endpoint.url) as firehose:
        with pytest.raises(publisher.InvalidMessage, match=match) as caught:
            firehose.put_record(**params)
        assert isinstance(caught.value, ClientError) == (code is not None)
        assert firehose._publisher.stats().total.accepted == 0
    assert endpoint.request_count == 0


@pytest.mark.parametrize(
    ("records", "match"),
    [
        ([], "Records is empty"),
        ("x", "Records must be a list of dicts, not str"),
        ([{"Data": b""}, {"Data": None}], r"Records\[1\]: Data must be bytes"),
        ([{"Data": b""}, {"Data": b"", "K": 1}], r"Records\[1\] has unknown parameters: K"),
    ],
)
def test_a_wrong_batch_raises_at_the_call(endpoint: Endpoint, records: Any, match: str) -> None:
    with (
        client("firehose", endpoint.url) as firehose,
        pytest.raises(publisher.InvalidMessage, match=match),
    ):
        firehose.put_record_batch(DeliveryStreamName=STREAM, Records=records)
    assert endpoint.request_count == 0


@pytest.mark.parametrize(
    ("code", "final"),
    [
        ("InvalidKMSResourceException", True),
        ("InvalidSourceException", True),
        ("ResourceNotFoundException", True),
        ("InvalidArgumentException", True),
        ("ServiceUnavailableException", False),
        ("InternalFailure", False),
    ],
)
def test_its_own_errors(endpoint: Endpoint, code: str, final: bool) -> None:
    endpoint.script(Answer(error=Error(400, code)))
    with client("firehose", endpoint.url, retry=tries(2)) as firehose:
        future = put(firehose, b"x")
        assert isinstance(future.exception(SOON), ClientError)
    assert codes(future) == [code] * (1 if final else 2)


def test_a_role_that_may_only_put_one_record(endpoint: Endpoint) -> None:
    denied = Answer(error=Error(400, "AccessDeniedException"))
    endpoint.script(lambda request: denied if request.operation == "PutRecordBatch" else None)
    with client("firehose", endpoint.url) as firehose:
        futures = [put(firehose, f"{index}") for index in range(5)]
        assert all(future.result(SOON)["RecordId"] for future in futures)
    assert sorted(texts(endpoint.stored())) == [f"{index}" for index in range(5)]


def test_the_test_kit_stands_in_for_it() -> None:
    with publishing(retry=tries(3)) as made, capture() as published:
        firehose = made.client("firehose", region_name="us-east-1")
        published.faults.throttle(1)
        published.faults.fail(1, code="ServiceUnavailableException")
        future = put(firehose, '{"paid": true}')
        assert future.result(SOON)["RecordId"]
        assert codes(future) == ["ServiceUnavailableException"] * 2 + [None]
        (sent,) = published.assert_sent("firehose", Record={"Data": b'{"paid": true}'})
        assert sent.json() == {"paid": True}
        firehose.put_record_batch(DeliveryStreamName=STREAM, Records=RECORDS[:7]).result(SOON)
        published.assert_sent("firehose", "put_record", DeliveryStreamName=STREAM, count=8)
