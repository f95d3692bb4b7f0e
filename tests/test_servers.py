"""The test servers do what the other tests rely on, shown with plain boto3."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.exceptions
import pytest
from botocore.config import Config

from tests.conftest import OutsideConnectionError
from tests.servers import (
    HTML,
    Answer,
    Endpoint,
    Error,
    Failure,
    FaultProxy,
    Kinesalite,
    Moto,
    ShardLimit,
    processes,
)
from tests.servers.limits import ShardThrottle

ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=5)
BRIEF = Config(retries={"total_max_attempts": 1}, read_timeout=0.3, connect_timeout=5)
TOPIC = "arn:aws:sns:us-east-1:000000000000:orders"
EVERY_BYTE = bytes(range(256))


def messages(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"Id": f"id-{i}", "Message": f"message {i}", **fields} for i in range(count)]


def records(count: int, data: bytes = b"record ") -> list[dict[str, Any]]:
    return [{"Data": data + b"%d" % i, "PartitionKey": f"key-{i}"} for i in range(count)]


def put(server: Any, count: int = 3, stream: str = "clicks", config: Config = ONCE) -> Any:
    kinesis = server.client("kinesis", config=config)
    return kinesis.put_records(StreamName=stream, Records=records(count))


def publish(server: Any, count: int = 3, topic: str = TOPIC, config: Config = ONCE) -> Any:
    sns = server.client("sns", config=config)
    return sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=messages(count))


def ids(answer: Any, kind: str) -> list[str]:
    return [entry["Id"] for entry in answer.get(kind, [])]


# The endpoint records, byte for byte


def test_publish_is_recorded_to_the_byte(endpoint: Endpoint) -> None:
    before = time.monotonic()
    answer = endpoint.client("sns").publish(
        TopicArn=TOPIC,
        Message="a&b=c+d %20 \u00e9 \U0001f600\n\t",
        Subject="subject",
        MessageStructure="json",
        MessageAttributes={
            "binary": {"DataType": "Binary", "BinaryValue": EVERY_BYTE},
            "text": {"DataType": "String", "StringValue": "\U0001f600"},
        },
    )
    (request,) = endpoint.requests
    (entry,) = endpoint.stored("sns")
    assert (request.service, request.operation, request.entries) == ("sns", "Publish", (entry,))
    assert request.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert before <= request.arrived <= time.monotonic()
    assert entry.destination == TOPIC
    assert entry.data == "a&b=c+d %20 \u00e9 \U0001f600\n\t".encode()
    assert (entry.subject, entry.structure) == ("subject", "json")
    assert entry.attributes == {
        "binary": ("Binary", EVERY_BYTE),
        "text": ("String", "\U0001f600".encode()),
    }
    assert entry.size == len(entry.data) + len("binaryBinary") + 256 + len("textString") + 4
    assert answer["MessageId"]
    assert "SequenceNumber" not in answer
    endpoint.wait_for(lambda: request.finished is not None)


def test_a_batch_for_a_fifo_topic(endpoint: Endpoint) -> None:
    sns = endpoint.client("sns")
    batch = [
        {
            "Id": f"{i}",
            "Message": f"{i}",
            "MessageGroupId": "g",
            "MessageDeduplicationId": f"d{i}",
            "MessageAttributes": {"b": {"DataType": "Binary", "BinaryValue": EVERY_BYTE}},
        }
        for i in range(10)
    ]
    answer = sns.publish_batch(TopicArn=TOPIC + ".fifo", PublishBatchRequestEntries=batch)
    stored = endpoint.stored("sns")
    assert [entry.id for entry in stored] == [f"{i}" for i in range(10)]  # not 1, 10, 2
    assert [entry.deduplication_id for entry in stored] == [f"d{i}" for i in range(10)]
    assert {entry.group_id for entry in stored} == {"g"}
    assert stored[9].attributes == {"b": ("Binary", EVERY_BYTE)}
    numbers = [entry["SequenceNumber"] for entry in answer["Successful"]]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 10


def test_records_of_any_size_are_recorded_to_the_byte(endpoint: Endpoint) -> None:
    kinesis = endpoint.client("kinesis")
    large = EVERY_BYTE * 40 * 1024  # 10 MiB
    one = kinesis.put_record(
        StreamName="s", Data=large, PartitionKey="\U0001f600", ExplicitHashKey="0"
    )
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/t"
    many = kinesis.put_records(StreamARN=arn, Records=[{"Data": b"", "PartitionKey": "k"}])
    first, second = endpoint.stored("kinesis")
    assert first.data == large
    assert (first.partition_key, first.explicit_hash_key) == ("\U0001f600", "0")
    assert one["ShardId"] == "shardId-000000000000"
    assert (second.data, second.destination) == (b"", "t")
    assert many["FailedRecordCount"] == 0
    assert many["Records"][0]["SequenceNumber"]
    assert (endpoint.count("kinesis"), endpoint.count("sns")) == (2, 0)


def test_control_calls(endpoint: Endpoint) -> None:
    sns, kinesis = endpoint.client("sns"), endpoint.client("kinesis")
    topic = sns.create_topic(Name="a", Attributes={"DisplayName": "A & B"})["TopicArn"]
    assert sns.list_topics()["Topics"] == [{"TopicArn": topic}]
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "A & B"
    assert sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="x")["SubscriptionArn"]
    kinesis.create_stream(StreamName="s", ShardCount=2)
    assert kinesis.list_streams()["StreamNames"] == ["s"]
    summary = kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 2

    sns.delete_topic(TopicArn=topic)
    kinesis.delete_stream(StreamName="s")
    with pytest.raises(sns.exceptions.NotFoundException):
        publish(endpoint, topic=topic)
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        put(endpoint, stream="s")
    assert endpoint.stored() == []


def test_connections_are_kept_alive_and_told_apart(endpoint: Endpoint) -> None:
    first, second = endpoint.client("kinesis"), endpoint.client("kinesis")
    for client in (first, first, second):
        client.put_record(StreamName="s", Data=b"", PartitionKey="k")
    assert [request.connection for request in endpoint.requests] == [1, 1, 2]
    assert (endpoint.connections, endpoint.open_connections) == (2, 2)
    first.close()
    endpoint.wait_for(lambda: endpoint.open_connections == 1)


def test_waiting_is_on_the_condition_and_has_an_end(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(endpoint.wait_for, lambda: endpoint.stored("sns"))
        publish(endpoint, 1)
        assert [entry.id for entry in waiting.result(5)] == ["id-0"]
    with pytest.raises(TimeoutError, match="requests=1"):
        endpoint.wait_for(lambda: endpoint.request_count == 2, timeout=0.01)


def test_without_keeping_it_only_counts() -> None:
    with Endpoint(keep=False) as endpoint:
        put(endpoint)
        assert (endpoint.requests, endpoint.stored()) == ([], [])
        assert (endpoint.request_count, endpoint.count("kinesis")) == (1, 3)


# Faults, from the endpoint and from the proxy in front of one: they share one vocabulary


@pytest.fixture(params=["endpoint", "proxy"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    with Endpoint() as endpoint:
        if request.param == "endpoint":
            yield endpoint
        else:
            with FaultProxy(endpoint.url) as proxy:
                yield proxy
                assert proxy.stored() == endpoint.stored()


def test_entries_fail_by_position(server: Any) -> None:
    server.script(Answer(failures={0: "InternalFailure", 2: Failure("Odd", "<&>")}))
    answer = put(server, 4)
    assert answer["FailedRecordCount"] == 2
    assert [record.get("ErrorCode") for record in answer["Records"]] == [
        "InternalFailure",
        None,
        "Odd",
        None,
    ]
    assert answer["Records"][2]["ErrorMessage"] == "<&>"
    assert [entry.data for entry in server.stored()] == [b"record 1", b"record 3"]


def test_entries_fail_by_id(server: Any) -> None:
    server.script(Answer(failures={0: Failure("Odd", "<&>", True), 11: "Internal"}))
    answer = publish(server, 12)
    assert ids(answer, "Successful") == [f"id-{i}" for i in range(1, 11)]
    assert [
        tuple(failed[name] for name in ("Id", "Code", "Message", "SenderFault"))
        for failed in answer["Failed"]
    ] == [("id-0", "Odd", "<&>", True), ("id-11", "Internal", "failed by the test", False)]
    assert [entry.data for entry in server.stored()] == [b"message %d" % i for i in range(1, 11)]


def test_all_entries_fail(server: Any) -> None:
    server.script(Answer(failures=dict.fromkeys(range(3), "InternalFailure")))
    assert put(server)["FailedRecordCount"] == 3
    assert len(publish(server)["Failed"]) == 3
    assert server.stored() == []


def test_a_single_entry_fails_as_an_exception(server: Any) -> None:
    server.script(Answer(failures={0: "KMSThrottlingException"}))
    kinesis = server.client("kinesis", config=ONCE)
    with pytest.raises(kinesis.exceptions.KMSThrottlingException):
        kinesis.put_record(StreamName="s", Data=b"", PartitionKey="k")


def test_answers_of_the_wrong_shape(server: Any) -> None:
    server.script(Answer(results=1))
    assert len(put(server)["Records"]) == 1
    server.script(Answer(results=5))
    assert len(put(server)["Records"]) == 5
    server.script(Answer(failures={1: "InternalFailure"}, failed_count=0))
    answer = put(server)
    assert answer["FailedRecordCount"] == 0
    assert "ErrorCode" in answer["Records"][1]
    server.script(Answer(unknown_ids={1}))
    first, unknown, third = ids(publish(server), "Successful")
    assert (first, third) == ("id-0", "id-2")
    assert unknown.startswith("unknown-")
    server.script(Answer(omit={0}, failures={1: "Odd"}))
    answer = publish(server)
    assert (ids(answer, "Successful"), ids(answer, "Failed")) == (["id-2"], ["id-1"])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ThrottlingException"),
        (429, "Throttled"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
        (403, "ExpiredTokenException"),
    ],
)
def test_whole_requests_fail(server: Any, status: int, code: str) -> None:
    server.script(Answer(error=Error(status, code, "sorry & bye")))
    for call in (put, publish):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            call(server)
        response = caught.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert response["Error"]["Code"] == code
        assert response["Error"]["Message"] == "sorry & bye"
    assert server.stored() == []


def test_an_error_after_the_store(server: Any) -> None:
    server.script(Answer(error=Error(500, "InternalFailure"), store=True))
    with pytest.raises(botocore.exceptions.ClientError):
        put(server)
    assert len(server.stored()) == 3


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 3)])
def test_resets(server: Any, when: Any, stored: int) -> None:
    server.script(Answer(reset=when))
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        put(server)
    assert len(server.stored()) == stored
    server.script(None)
    assert put(server)["FailedRecordCount"] == 0


def test_a_reset_is_a_real_one(endpoint: Endpoint) -> None:
    endpoint.script(Answer(reset="before"))
    with socket.create_connection(("127.0.0.1", endpoint.port), 5) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_html_instead_of_an_answer(server: Any) -> None:
    server.script(HTML)
    assert "Records" not in put(server)
    with pytest.raises(KeyError):
        publish(server)
    assert len(server.stored()) == 6


def test_truncated_answers(server: Any) -> None:
    server.script(Answer(truncate=20))
    assert "Records" not in put(server)
    with pytest.raises(botocore.parsers.ResponseParserError):
        publish(server)


def test_a_dripping_answer_outlasts_the_read_timeout_and_ends_with_the_server(
    server: Any,
) -> None:
    server.script(Answer(drip=0.01))
    with ThreadPoolExecutor() as pool:
        config = BRIEF.merge(Config(read_timeout=1))
        call = pool.submit(put, server, config=config)
        (request,) = server.wait_for(lambda: server.requests)
        with pytest.raises(TimeoutError):
            server.wait_for(lambda: request.finished, 1.5)
        assert not call.done()
        server.close()
        call.result(5)  # boto3 takes the truncated body for an empty answer


def test_a_dripping_answer_may_complete(server: Any) -> None:
    server.script(Answer(drip=0.01, pieces=4))
    assert len(put(server)["Records"]) == 3


def test_slow_answers(server: Any) -> None:
    server.script(Answer(latency=0.05))
    started = time.monotonic()
    put(server)
    assert time.monotonic() - started >= 0.05


def test_held_answers(server: Any) -> None:
    go = threading.Event()
    server.script(Answer(hold=go))
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        put(server, config=BRIEF)
    server.wait_for(lambda: len(server.stored()) == 3)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(put, server)
        server.wait_for(lambda: len(server.stored()) == 6)
        assert not call.done()
        go.set()
        assert len(call.result(5)["Records"]) == 3


@pytest.mark.parametrize("answer", [Answer(latency=600), Answer(hold=threading.Event())])
def test_closing_ends_every_wait(answer: Answer) -> None:
    endpoint = Endpoint()
    endpoint.script(answer)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(put, endpoint)
        endpoint.wait_for(endpoint.stored)
        endpoint.close()
        assert endpoint.open_connections == 0
        with pytest.raises(botocore.exceptions.ConnectionClosedError):
            call.result(5)
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        put(endpoint)


def test_connections_closed_without_a_word(server: Any) -> None:
    server.script(Answer(close=True))
    client = server.client("sns", config=ONCE)
    for number in (1, 2):
        client.publish(TopicArn=TOPIC, Message="m")
        server.wait_for(lambda: server.open_connections == 0)
        assert server.connections == number


def test_headers_of_the_answer(server: Any) -> None:
    server.script(Answer(headers={"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "X-Extra": "1"}))
    headers = put(server)["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["date"], headers["x-extra"]) == ("Thu, 01 Jan 1970 00:00:00 GMT", "1")


def test_a_script_decides_for_each_request(server: Any) -> None:
    server.script(lambda request: Answer(failures={0: "Odd"}) if request.number == 1 else None)
    assert [put(server)["FailedRecordCount"] for _ in range(2)] == [1, 0]


def test_a_failing_script_is_not_silent() -> None:
    def script(request: Any) -> None:
        raise ValueError("a bug in the test")

    endpoint = Endpoint()
    endpoint.script(script)
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        put(endpoint)
    with pytest.raises(ValueError, match="a bug in the test"):
        endpoint.close()


# Limits


def sns_error(endpoint: Endpoint, entries: Any, topic: str = TOPIC) -> str:
    client = endpoint.client("sns", config=Config(parameter_validation=False))
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    return str(caught.value.response["Error"]["Code"])


def test_limits_of_sns() -> None:
    with Endpoint(strict=True) as endpoint:
        large = "x" * (128 * 1024)
        assert sns_error(endpoint, messages(11)) == "TooManyEntriesInBatchRequest"
        assert sns_error(endpoint, []) == "EmptyBatchRequest"
        assert sns_error(endpoint, [*messages(1), *messages(1)]) == "BatchEntryIdsNotDistinct"
        assert sns_error(endpoint, [{"Id": "a b", "Message": "m"}]) == "InvalidBatchEntryId"
        assert sns_error(endpoint, [{"Id": "i" * 81, "Message": "m"}]) == "InvalidBatchEntryId"
        assert sns_error(endpoint, messages(3, Message=large)) == "BatchRequestTooLong"
        assert sns_error(endpoint, messages(1, Message="")) == "InvalidParameter"
        assert sns_error(endpoint, messages(1), TOPIC + ".fifo") == "InvalidParameter"
        assert endpoint.stored() == []

        sns = endpoint.client("sns")
        sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=messages(2, Message=large))
        with pytest.raises(sns.exceptions.InvalidParameterException):
            sns.publish(TopicArn=TOPIC, Message=large * 2 + "x")
        roomy = sns.create_topic(Name="roomy", Attributes={"MaximumMessageSize": "1048576"})
        sns.publish(TopicArn=roomy["TopicArn"], Message=large * 8)

        fifo = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
        assert sns_error(endpoint, messages(1, MessageGroupId="g"), fifo) == "InvalidParameter"


def kinesis_error(endpoint: Endpoint, entries: Any) -> str:
    client = endpoint.client("kinesis", config=Config(parameter_validation=False))
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.put_records(StreamName="s", Records=entries)
    return str(caught.value.response["Error"]["Code"])


def test_limits_of_kinesis() -> None:
    with Endpoint(strict=True) as endpoint:
        mib = b"x" * (1024 * 1024)
        assert kinesis_error(endpoint, records(501)) == "ValidationException"
        assert kinesis_error(endpoint, []) == "ValidationException"
        for key in ("", "k" * 257):
            entries = [{"Data": b"", "PartitionKey": key}]
            assert kinesis_error(endpoint, entries) == "ValidationException"
        ten = [{"Data": mib, "PartitionKey": "k"}] * 10  # the keys are too much
        assert kinesis_error(endpoint, ten) == "InvalidArgumentException"
        assert endpoint.stored() == []
        put(endpoint, 500)
        kinesis = endpoint.client("kinesis")
        kinesis.put_record(StreamName="s", Data=b"", PartitionKey="\U0001f600" * 256)


def test_a_shard_takes_no_more_than_its_rate(server: Any) -> None:
    server.shard_limit = ShardLimit(records=2, bytes=1000)
    server.shards = 1
    answer = put(server, 4)
    codes = [record.get("ErrorCode") for record in answer["Records"]]
    assert codes == [None, None, *["ProvisionedThroughputExceededException"] * 2]
    assert len(server.stored()) == 2
    server.shard_limit = None
    assert put(server, 4)["FailedRecordCount"] == 0


def test_shards_refill_with_time_and_on_their_own(endpoint: Endpoint) -> None:
    kinesis = endpoint.client("kinesis")
    low, high = "0", str(2**128 - 1)  # the first shard and the last
    kinesis.put_records(
        StreamName="s",
        Records=[
            {"Data": bytes(100), "PartitionKey": "k", "ExplicitHashKey": key}
            for key in (low, low, low, high)
        ],
    )
    (request,) = endpoint.requests
    throttle, limit = ShardThrottle(), ShardLimit(records=2, bytes=10_000)

    def refused(now: float, limit: ShardLimit = limit) -> list[int]:
        return list(throttle.refused(request, 4, limit, now))

    assert refused(0) == [2]
    assert refused(0) == [0, 1, 2]
    assert refused(0.5) == [1, 2]
    assert refused(60) == [2]
    # 101 bytes each: one fits, and one that is larger than the bucket passes when it is full.
    throttle = ShardThrottle()
    assert refused(0, ShardLimit(records=10, bytes=150)) == [1, 2]
    throttle = ShardThrottle()
    assert refused(0, ShardLimit(records=10, bytes=50)) == [1, 2]
    assert refused(1, ShardLimit(records=10, bytes=50)) == [0, 1, 2, 3]
    assert refused(3, ShardLimit(records=10, bytes=50)) == [1, 2]


# The real servers, and the proxy in front of them


@pytest.mark.parametrize("raw", [True, False])
def test_moto_read_back_through_a_queue(moto_server: Moto, raw: bool) -> None:
    topic = moto_server.topic(raw=raw)
    sns = moto_server.client("sns")
    sns.publish_batch(TopicArn=topic.arn, PublishBatchRequestEntries=messages(10))
    attributes: dict[str, Any] = {"s": {"DataType": "String", "StringValue": "\U0001f600"}}
    expected = {"s": ("String", "\U0001f600".encode())}
    if not raw:
        attributes["b"] = {"DataType": "Binary", "BinaryValue": EVERY_BYTE}
        expected["b"] = ("Binary", EVERY_BYTE)
    sns.publish(TopicArn=topic.arn, Message="\U0001f600", Subject="s", MessageAttributes=attributes)
    drained = topic.drain(11)
    assert Counter(message.body for message in drained) == Counter(
        [f"message {i}" for i in range(10)] + ["\U0001f600"]
    )
    (last,) = (message for message in drained if message.body == "\U0001f600")
    assert last.attributes == expected
    assert last.subject == (None if raw else "s")
    assert topic.drain() == []


def test_moto_keeps_fifo_order_and_removes_duplicates(moto_server: Moto) -> None:
    topic = moto_server.topic(fifo=True)
    sns = moto_server.client("sns")
    for start in (0, 5, 5):  # the last five a second time
        sns.publish_batch(
            TopicArn=topic.arn,
            PublishBatchRequestEntries=[
                {
                    "Id": f"{i}",
                    "Message": f"{i}",
                    "MessageGroupId": "g",
                    "MessageDeduplicationId": f"d{i}",
                }
                for i in range(start, start + 5)
            ],
        )
    drained = topic.drain(10)
    assert [message.body for message in drained] == [f"{i}" for i in range(10)]
    assert {message.system["MessageGroupId"] for message in drained} == {"g"}


def test_moto_loses_no_message_under_threads(moto_server: Moto) -> None:
    topic = moto_server.topic()
    sns = moto_server.client("sns")

    def send(start: int) -> None:
        sns.publish_batch(
            TopicArn=topic.arn,
            PublishBatchRequestEntries=[
                {"Id": f"{i}", "Message": f"{i}"} for i in range(start, start + 10)
            ],
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(0, 500, 10)))
    bodies = sorted(int(message.body) for message in topic.drain(500))
    assert bodies == list(range(500))


def test_faults_in_front_of_moto(moto_server: Moto, proxy: Callable[..., FaultProxy]) -> None:
    topic = moto_server.topic()
    server = proxy(moto_server.url)
    server.script(Answer(failures={1: Failure("Odd", "no", True), 9: "Internal"}))
    answer = publish(server, 10, topic.arn)
    assert ids(answer, "Failed") == ["id-1", "id-9"]
    expected = [i for i in range(10) if i not in (1, 9)]
    assert ids(answer, "Successful") == [f"id-{i}" for i in expected]
    server.script(Answer(reset="after"))
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        publish(server, 1, topic.arn)
    server.script(Answer(reset="before"))
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        publish(server, 1, topic.arn)
    server.script(None)
    sns = server.client("sns")
    assert sns.publish(TopicArn=topic.arn, Message="single")["MessageId"]
    bodies = [f"message {i}" for i in [*expected, 0]] + ["single"]
    assert sorted(message.body for message in topic.drain(10)) == sorted(bodies)
    assert sorted(entry.data.decode() for entry in server.stored("sns")) == sorted(bodies)
    with pytest.raises(sns.exceptions.NotFoundException):  # moto's own errors come through
        publish(server, 1, topic.arn + "-missing")
    assert topic.arn in [
        one["TopicArn"]
        for page in sns.get_paginator("list_topics").paginate()
        for one in page["Topics"]
    ]


def test_faults_in_front_of_kinesalite(
    kinesalite: Kinesalite, proxy: Callable[..., FaultProxy]
) -> None:
    stream = kinesalite.stream(shards=3)
    server = proxy(kinesalite.url)
    server.script(Answer(failures={0: "InternalFailure", 7: "Odd"}))
    answer = put(server, 8, stream)
    assert [index for index, record in enumerate(answer["Records"]) if "ErrorCode" in record] == [
        0,
        7,
    ]
    server.script(Answer(reset="after"))
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        put(server, 1, stream)
    server.script(Answer(error=Error(400, "ProvisionedThroughputExceededException")))
    with pytest.raises(botocore.exceptions.ClientError):
        put(server, 1, stream)
    server.script(None)
    kinesis = server.client("kinesis", config=ONCE)
    single = kinesis.put_record(StreamName=stream, Data=EVERY_BYTE, PartitionKey="\U0001f600")
    found = kinesalite.records(stream)
    expected = [b"record %d" % i for i in range(7)] + [EVERY_BYTE]
    assert sorted(record["Data"] for record in found) == sorted(expected)
    places = {record["Data"]: (record["ShardId"], record["SequenceNumber"]) for record in found}
    assert places[EVERY_BYTE] == (single["ShardId"], single["SequenceNumber"])
    for index in range(1, 7):  # each result stands at its record's own position
        result = answer["Records"][index]
        assert places[b"record %d" % index] == (result["ShardId"], result["SequenceNumber"])
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        put(server, 1, "missing")


def test_kinesalite_loses_no_record_under_threads(
    kinesalite: Kinesalite, proxy: Callable[..., FaultProxy]
) -> None:
    stream = kinesalite.stream(shards=4)
    server = proxy(kinesalite.url)
    client = server.client("kinesis")

    def send(number: int) -> None:
        client.put_records(StreamName=stream, Records=records(100, b"%d-" % number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(20)))
    found = [record["Data"] for record in kinesalite.records(stream)]
    assert sorted(found) == sorted(b"%d-%d" % (n, i) for n in range(20) for i in range(100))
    assert server.connections <= 8  # kept alive, on this side


def test_both_sides_of_the_proxy_are_kept_alive(endpoint: Endpoint) -> None:
    with FaultProxy(endpoint.url) as proxy:
        client = proxy.client("kinesis")
        for _ in range(3):
            client.put_records(StreamName="s", Records=records(2))
        assert (proxy.connections, endpoint.connections) == (1, 1)
        client.close()
        endpoint.wait_for(lambda: endpoint.open_connections == 0)


def test_a_dead_server_behind_the_proxy_is_a_502() -> None:
    # A port that is taken and that nobody listens on: one that was let go could become the proxy's.
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        with FaultProxy(f"http://127.0.0.1:{dead.getsockname()[1]}") as proxy:
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                put(proxy)
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 502
            assert proxy.stored() == []


def test_servers_die_with_the_process_that_started_them(kinesalite: Kinesalite) -> None:
    program = (
        "from tests.servers import processes\n"
        "import sys\n"
        "with processes.kinesalite() as server:\n"
        "    print(server.url, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=processes.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.settimeout(10)
            parent.kill()
            assert sock.recv(1) == b""  # the server's end: nothing else closes this connection
    assert parent.returncode == -signal.SIGKILL
    assert kinesalite.process.poll() is None


def test_a_server_that_does_not_start_says_why() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    with pytest.raises(RuntimeError, match="no such luck"), processes.running(command):
        pass


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # threads run: that is the point
def test_a_forked_child_keeps_no_connection_open(endpoint: Endpoint) -> None:
    done_read, done_write = os.pipe()
    with socket.create_connection(("127.0.0.1", endpoint.port), 5) as sock:
        endpoint.wait_for(lambda: endpoint.open_connections == 1)
        pid = os.fork()
        if pid == 0:
            os.close(done_write)
            os.read(done_read, 1)  # until the parent closes its end
            os._exit(0)
        os.close(done_read)
        try:
            endpoint.script(Answer(reset="before"))
            sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        finally:
            os.close(done_write)
            os.waitpid(pid, 0)


# No way out


def test_other_machines_cannot_be_reached(outside_connections: list[str]) -> None:
    with socket.socket() as sock:
        with pytest.raises(OutsideConnectionError, match=r"192\.0\.2\.1"):
            sock.connect(("192.0.2.1", 80))
        with pytest.raises(OutsideConnectionError, match=r"example\.com"):
            sock.connect_ex(("example.com", 80))
    assert len(outside_connections) == 2
    outside_connections.clear()  # else this test failed


def test_only_dummy_credentials_are_seen() -> None:
    assert os.environ["AWS_ACCESS_KEY_ID"] == "testing"
    assert os.environ["AWS_DEFAULT_REGION"] == "us-east-1"
    assert os.environ["AWS_EC2_METADATA_DISABLED"] == "true"
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"} & set(os.environ)
