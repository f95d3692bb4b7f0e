"""Faults on order: the future and its attempts look as they do after the real thing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tenacity import stop_after_attempt, wait_fixed

import publisher
from publisher.testing import ALWAYS, Capture, Faults, capture
from tests.servers import Answer, Endpoint, Error, Failure, Request

pytestmark = pytest.mark.every_python(
    "a fault looks like what boto3 itself raises, whatever its version"
)

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"
THROUGHPUT = "ProvisionedThroughputExceededException"


def new_publisher(read_timeout: float = 20) -> publisher.Publisher:
    policy = publisher.retry_policy(stop=stop_after_attempt(3), wait=wait_fixed(0.01))
    return publisher.Publisher(linger=0, retry=policy, read_timeout=read_timeout)


def entries(count: int) -> list[dict[str, Any]]:
    return [{"Id": str(n), "Message": f"m{n}"} for n in range(count)]


def records(count: int) -> list[dict[str, Any]]:
    return [{"Data": b"%d" % n, "PartitionKey": str(n)} for n in range(count)]


def publish(client: Any) -> Any:
    return client.publish(TopicArn=TOPIC, Message="m")


def publish_batch(client: Any) -> Any:
    return client.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=entries(4))


def put_record(client: Any) -> Any:
    return client.put_record(StreamName="clicks", Data=b"m", PartitionKey="1")


def put_records(client: Any) -> Any:
    return client.put_records(StreamName="clicks", Records=records(4))


def sms(client: Any) -> Any:
    return client.publish(PhoneNumber="+49123", Message="m")


def first(count: int, answer: Answer) -> Callable[[Request], Answer | None]:
    return lambda request: answer if request.number <= count else None


def shape(future: Any) -> Any:
    """What can be seen of an outcome, but for what is different each time."""

    def plain(value: Any, name: str = "") -> Any:
        if name in ("MessageId", "SequenceNumber", "ShardId", "ResponseMetadata"):
            return type(value).__name__
        if isinstance(value, dict):
            return {key: plain(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value

    error = future.exception(10)
    outcome: Any
    if error is None:
        outcome = plain(future.result())
    else:
        outcome = (
            [kind.__name__ for kind in type(error).__mro__],
            getattr(error, "outcome_unknown", None),
            plain(getattr(error, "response", {})),
            getattr(error, "operation_name", None),
            type(error.__cause__).__name__,
        )
    tries = [
        (one.error_code, one.error_message, one.outcome_unknown, one.split, one.delay)
        for one in future.attempts
    ]
    return outcome, [
        (code, re.sub(r"https?://[^\"]*", "URL", text or ""), *rest) for code, text, *rest in tries
    ]


CASES: dict[str, tuple[Any, Any, Any]] = {
    "a message fails": (
        publish,
        lambda faults: faults.fail(1),
        first(1, Answer(failures={0: Failure("InternalFailure", "made to fail")})),
    ),
    "it fails for good": (
        publish,
        lambda faults: faults.fail(1, "InvalidParameter", sender_fault=True),
        first(1, Answer(failures={0: Failure("InvalidParameter", "made to fail", True)})),
    ),
    "it fails until the policy gives up": (
        put_record,
        lambda faults: faults.fail(ALWAYS, "InternalFailure"),
        Answer(failures={0: Failure("InternalFailure", "made to fail")}),
    ),
    "entries of SNS fail": (
        publish_batch,
        lambda faults: faults.fail_entries(1, 3),
        first(
            1, Answer(failures=dict.fromkeys((1, 3), Failure("InternalFailure", "made to fail")))
        ),
    ),
    "records fail": (
        put_records,
        lambda faults: faults.fail_entries(0, 2, code="KMSThrottlingException"),
        first(
            1,
            Answer(
                failures=dict.fromkeys((0, 2), Failure("KMSThrottlingException", "made to fail"))
            ),
        ),
    ),
    "every record fails": (
        put_records,
        lambda faults: faults.fail(ALWAYS),
        Answer(failures=dict.fromkeys(range(4), Failure("InternalFailure", "made to fail"))),
    ),
    "no such topic": (
        publish,
        lambda faults: faults.reject(1, "NotFound", "Topic does not exist"),
        first(1, Answer(error=Error(404, "NotFound", "Topic does not exist"))),
    ),
    "no such stream": (
        put_records,
        lambda faults: faults.reject(1, "ResourceNotFoundException", "no"),
        first(1, Answer(error=Error(400, "ResourceNotFoundException", "no"))),
    ),
    "the service is down": (
        put_records,
        lambda faults: faults.reject(1, "InternalFailure", "no", status=500),
        first(1, Answer(error=Error(500, "InternalFailure", "no"))),
    ),
    "SNS throttles": (
        publish_batch,
        lambda faults: faults.throttle(2),
        first(2, Answer(error=Error(429, "Throttled", "Rate exceeded"))),
    ),
    "SNS throttles for ever": (
        publish,
        lambda faults: faults.throttle(ALWAYS),
        Answer(error=Error(429, "Throttled", "Rate exceeded")),
    ),
    "Kinesis throttles": (
        put_records,
        lambda faults: faults.throttle(1),
        first(
            1,
            Answer(
                failures=dict.fromkeys(
                    range(4),
                    Failure(THROUGHPUT, "Rate exceeded for shard shardId-000000000000"),
                )
            ),
        ),
    ),
    "an SMS is throttled": (
        sms,
        lambda faults: faults.throttle(1),
        first(1, Answer(error=Error(429, "Throttled", "Rate exceeded"))),
    ),
    "no answer": (publish, lambda faults: faults.time_out(1), first(1, Answer(latency=8))),
    "no answer, ever": (put_records, lambda faults: faults.time_out(ALWAYS), Answer(latency=3)),
    "too slow": (publish, lambda faults: faults.slow(8), first(1, Answer(latency=8))),
    "an answer without one record": (
        put_records,
        lambda faults: faults.wrong_length(1),
        first(1, Answer(results=3)),
    ),
    "an answer without one message": (
        publish_batch,
        lambda faults: faults.wrong_length(1),
        first(1, Answer(omit=[3])),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("place", ["capture", "client"])
def test_a_fault_looks_like_the_real_thing(endpoint: Endpoint, case: str, place: str) -> None:
    call, order, script = CASES[case]
    service = "kinesis" if call in (put_record, put_records) else "sns"
    # Where a second try must succeed it has more time.
    timeout = {"no answer": 3, "too slow": 3, "no answer, ever": 1}.get(case, 20)
    endpoint.script(script)
    with new_publisher(timeout) as real:
        expected = shape(call(real.client(service, endpoint_url=endpoint.url)))
    endpoint.script(None)
    if place == "capture":
        with capture() as captured, new_publisher(timeout) as one:
            order(captured.faults)
            found = shape(call(one.client(service, endpoint_url=endpoint.url)))
    else:
        with new_publisher(timeout) as one:
            client = one.client(service, endpoint_url=endpoint.url)
            faults = Faults()
            faults.attach(client)
            order(faults)
            found = shape(call(client))
            faults.detach(client)
    assert found == expected


def test_no_connection_is_known_not_to_be_stored(captured: Capture) -> None:
    captured.faults.time_out(ALWAYS, stored=False)
    one = new_publisher()
    error = publish(one.client("sns")).exception()
    assert isinstance(error, publisher.RetriesExhausted)
    assert (error.last_code, error.outcome_unknown) == ("ConnectTimeoutError", False)
    one.close()


@pytest.fixture
def captured() -> Any:
    with capture() as captured:
        yield captured


@pytest.mark.parametrize("ours", [True, False])
def test_only_the_good_entries_go_on_and_the_others_later(endpoint: Endpoint, ours: bool) -> None:
    with new_publisher() as one:
        if ours:
            client = one.client("kinesis", endpoint_url=endpoint.url)
        else:
            boto = endpoint.client("kinesis")
            with pytest.warns(UserWarning, match="used as it is"):
                client = one.client("kinesis", client=boto)
        faults = Faults()
        faults.attach(client if ours else boto)
        fast = client._binding.connection.fast if ours else False
        faults.fail_entries(1, 3)
        response = put_records(client).result(10)
        faults.detach(client if ours else boto)
        put_records(client).result(10)
        assert not fast
        assert client._binding is not None
        assert client._binding.connection.fast is ours
    assert response["FailedRecordCount"] == 0
    sent = [[entry.data for entry in request.entries] for request in endpoint.requests]
    assert sent == [[b"0", b"2"], [b"1", b"3"], [b"0", b"1", b"2", b"3"]]


def test_a_time_out_after_the_store_stores_twice(endpoint: Endpoint) -> None:
    with new_publisher() as one:
        client = one.client("sns", endpoint_url=endpoint.url)
        faults = Faults()
        faults.attach(client)
        faults.time_out(1)
        publish(client).result(10)
    assert endpoint.count("sns") == 2


def test_on_a_moto_client() -> None:
    with mock_aws(), capture() as captured:
        boto3.client("kinesis", "us-east-1").create_stream(StreamName="clicks", ShardCount=1)
        captured.faults.fail_entries(0, 1)
        captured.faults.reject(1, "AccessDeniedException", service="sns")
        kinesis = publisher.client("kinesis", region_name="us-east-1")
        put_records(kinesis).result()
        reader = boto3.client("kinesis", "us-east-1")
        shard = reader.get_shard_iterator(
            StreamName="clicks", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        stored = [one["Data"] for one in reader.get_records(ShardIterator=shard)["Records"]]
        assert captured.faults.pending
    assert stored == [b"2", b"3", b"0", b"1"]


def test_faults_queue(captured: Capture) -> None:
    one = new_publisher()
    captured.faults.fail(2, "A", service="kinesis")
    captured.faults.fail(1, "B")
    captured.faults.reject(1, "C")
    kinesis, sns = one.client("kinesis"), one.client("sns")
    put_records(kinesis).result()
    codes = [[one.error_code for one in sent.future.attempts] for sent in captured.messages]
    # the first request: A, A, B and a record that goes; then C for the three that are left
    assert codes == [["A", "C", None], ["A", "C", None], ["B", "C", None], [None]]
    captured.faults.fail(1, "D")
    captured.faults.clear()
    assert not captured.faults.pending
    assert len(publish(sns).attempts) == 1
    one.close()


def test_slow_on_a_real_client_takes_its_time(endpoint: Endpoint) -> None:
    with new_publisher() as one:
        client = one.client("sns", endpoint_url=endpoint.url)
        faults = Faults()
        faults.attach(client)
        faults.slow(0.2)
        future = publish(client)
        assert future.result(10)
        assert future.attempts[0].duration >= 0.2


def test_what_makes_no_fault(captured: Capture) -> None:
    for wrong in (
        lambda: captured.faults.fail(0),
        lambda: captured.faults.throttle(service="s3"),
        captured.faults.fail_entries,
        lambda: captured.faults.fail_entries(-1),
    ):
        with pytest.raises(ValueError, match=r"must be|takes"):
            wrong()
    assert not captured.faults.pending


def test_exceptions_are_of_the_classes_that_the_application_holds(endpoint: Endpoint) -> None:
    where = {"region_name": "us-east-1", "endpoint_url": endpoint.url}
    boto = boto3.client("sns", **where)
    with publisher.Publisher() as made:
        ours = made.client("sns", **where)
        held = ours.exceptions.NotFoundException  # as a module does at its top
        with capture() as published:
            published.faults.reject(1, "NotFound")
            error = ours.publish(TopicArn=TOPIC, Message="m").exception()
            assert isinstance(error, held)
            assert isinstance(error, ours.exceptions.NotFoundException)
            published.faults.reject(1, "NotFound")
            error = publisher.client("sns").publish(TopicArn=TOPIC, Message="m").exception()
            assert isinstance(error, boto.exceptions.NotFoundException)
    with publisher.Publisher() as other, capture() as published:  # a user's own session
        session = boto3.Session(region_name="us-east-1")
        published.faults.reject(1, "NotFound")
        error = (
            other.client("sns", session=session).publish(TopicArn=TOPIC, Message="m").exception()
        )
        assert isinstance(error, session.client("sns").exceptions.NotFoundException)
