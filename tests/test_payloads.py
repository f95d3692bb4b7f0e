"""What is published arrives byte for byte, whatever it is and whatever the caller does next."""

from __future__ import annotations

import threading
import unicodedata
from typing import Any

import pytest

from tests.servers import Answer, Endpoint
from tests.support import SOON, STREAM, TOPIC, client

pytestmark = pytest.mark.every_python(
    "what boto3 puts on the wire for a payload differs by version"
)

EVERY_BYTE = bytes(range(256))
MEBI = 1024 * 1024
TEXTS = {
    "ascii": "plain & = + % \" ' < > / ?",
    "control": "".join(map(chr, [9, 10, 13])) + "\x01\x1f\x7f",
    "latin": "\u00e9\u00df\u00ff",
    "bmp": "\u4e2d\u6587 \u2028\u2029 \ufeff \uffff",
    "astral": "\U0001f600\U0010ffff\U00010000",
    "combining": "e\u0301\u200d\U0001f468\u200d\U0001f469",
    "looks like a form": "a=1&PublishBatchRequestEntries.member.2.Id=0%00",
    "looks like xml": "<member><Id>0</Id></member>]]>",
    "json": '{"a": "\\u0000"}',
    "spaces": "  a  ",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_unicode(endpoint: Endpoint, text: str) -> None:
    # A subject must have no control characters.
    subject = "".join(each for each in text if unicodedata.category(each) != "Cc") or "none"
    with client("sns", endpoint.url) as sns:
        sns.publish(TopicArn=TOPIC, Message=text, Subject=subject).result(SOON)
        sns.publish(TopicArn=TOPIC, Message=text).result(SOON)
        sns.publish_batch(
            TopicArn=TOPIC,
            PublishBatchRequestEntries=[
                {
                    "Id": "a",
                    "Message": text,
                    "MessageAttributes": {text: {"DataType": "String", "StringValue": text}},
                }
            ],
        ).result(SOON)
        sns.publish(PhoneNumber="+15550100", Message=text).result(SOON)
    stored = endpoint.stored("sns")
    assert [entry.data for entry in stored] == [text.encode()] * 4
    assert stored[0].subject == subject
    assert stored[2].attributes == {text: ("String", text.encode())}
    with client("kinesis", endpoint.url) as kinesis:
        kinesis.put_record(StreamName=STREAM, Data=text, PartitionKey=text).result(SOON)
        kinesis.put_record(
            StreamName=STREAM, Data=text.encode(), PartitionKey=text, ExplicitHashKey="7"
        ).result(SOON)
    for entry in endpoint.stored("kinesis"):
        assert (entry.data, entry.partition_key) == (text.encode(), text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        EVERY_BYTE,
        bytearray(EVERY_BYTE),
        memoryview(EVERY_BYTE),
        memoryview(EVERY_BYTE)[10:200:3],
        memoryview(bytearray(EVERY_BYTE)).cast("I"),
        bytearray(),
    ],
    ids=["empty", "bytes", "bytearray", "memoryview", "strided", "of integers", "empty bytearray"],
)
def test_binary_data(endpoint: Endpoint, data: Any) -> None:
    wanted = bytes(data)
    with client("kinesis", endpoint.url) as kinesis:
        kinesis.put_record(StreamName=STREAM, Data=data, PartitionKey="k").result(SOON)
        kinesis.put_records(
            StreamName=STREAM, Records=[{"Data": data, "PartitionKey": "k"}] * 3
        ).result(SOON)
    assert [entry.data for entry in endpoint.stored()] == [wanted] * 4


def test_subclasses_of_str_and_bytes(endpoint: Endpoint) -> None:
    class Text(str):
        __slots__ = ()

    class Data(bytes):
        pass

    with client("sns", endpoint.url) as sns:
        sns.publish(TopicArn=Text(TOPIC), Message=Text("m\u00e9")).result(SOON)
    with client("kinesis", endpoint.url) as kinesis:
        kinesis.put_record(StreamName=Text(STREAM), Data=Data(b"d"), PartitionKey=Text("k")).result(
            SOON
        )
    assert [entry.data for entry in endpoint.stored()] == ["m\u00e9".encode(), b"d"]


def test_what_the_caller_changes_after_the_call_does_not_change_what_is_sent(
    endpoint: Endpoint,
) -> None:
    gate = threading.Event()
    endpoint.script(lambda request: Answer(hold=gate) if request.number <= 2 else None)
    with client("kinesis", endpoint.url, linger=5) as kinesis:
        buffer = bytearray(b"first")
        records = [{"Data": buffer, "PartitionKey": "k"}]
        futures = [
            kinesis.put_record(StreamName=STREAM, Data=buffer, PartitionKey="k"),
            kinesis.put_record(StreamName=STREAM, Data=memoryview(buffer), PartitionKey="k"),
            kinesis.put_records(StreamName=STREAM, Records=records),
            kinesis.put_record(
                StreamName=STREAM, Data=buffer, PartitionKey="k", SequenceNumberForOrdering="1"
            ),
        ]
        buffer[:] = b"again"
        records[0]["PartitionKey"] = "other"
        records.clear()
        gate.set()
        kinesis.close(SOON)
        for future in futures:
            future.result(0)
    found = [(entry.data, entry.partition_key) for entry in endpoint.stored()]
    assert found == [(b"first", "k")] * 4

    endpoint.clear()
    with client("sns", endpoint.url, linger=5) as sns:
        value = bytearray(b"first")
        attributes: dict[str, Any] = {"a": {"DataType": "Binary", "BinaryValue": value}}
        entries = [{"Id": "1", "Message": "m", "MessageAttributes": attributes}]
        futures = [
            sns.publish(TopicArn=TOPIC, Message="m", MessageAttributes=attributes),
            sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=entries),
            sns.publish(PhoneNumber="+15550100", Message="m", MessageAttributes=attributes),
        ]
        value[:] = b"again"
        attributes["a"]["DataType"] = "String"
        attributes["b"] = attributes["a"]
        entries[0]["Message"] = "other"
        sns.close(SOON)
        for future in futures:
            future.result(0)
    found_attributes = [(entry.data, dict(entry.attributes)) for entry in endpoint.stored()]
    assert found_attributes == [(b"m", {"a": ("Binary", b"first")})] * 3


def test_a_retry_sends_the_same_bytes(endpoint: Endpoint) -> None:
    endpoint.script(
        lambda request: Answer(failures={0: "InternalFailure"}) if request.number == 1 else None
    )
    with client("kinesis", endpoint.url) as kinesis:
        buffer = bytearray(EVERY_BYTE)
        future = kinesis.put_record(StreamName=STREAM, Data=buffer, PartitionKey="\U0001f600")
        buffer[:] = b"x"
        future.result(SOON)
    first, second = endpoint.entries
    assert first == second
    assert first.data == EVERY_BYTE


def test_records_of_10_mib(endpoint: Endpoint) -> None:
    largest = 10 * MEBI - 1  # and a key of one byte
    bodies = [bytes([i]) * largest for i in range(3)]
    with client(
        "kinesis", endpoint.url, max_bytes=64 * MEBI, connect_timeout=SOON, read_timeout=SOON
    ) as kinesis:
        futures = [
            kinesis.put_record(StreamName=STREAM, Data=body, PartitionKey="k") for body in bodies
        ]
        small = kinesis.put_record(StreamName=STREAM, Data=b"small", PartitionKey="k")
        for future in (*futures, small):
            assert future.result(SOON)["SequenceNumber"]
    assert sorted(entry.data for entry in endpoint.stored()) == sorted([*bodies, b"small"])
    for request in endpoint.requests:
        assert sum(entry.size for entry in request.entries) <= 10 * MEBI


def test_messages_between_the_default_and_the_highest_limit_go_alone(endpoint: Endpoint) -> None:
    large, small = "x" * MEBI, "x" * (100 * 1024)
    with client("sns", endpoint.url) as sns:
        futures = [
            sns.publish(TopicArn=TOPIC, Message=text) for text in (small, large, small, small)
        ]
        for future in futures:
            future.result(SOON)
    sizes = [[entry.size for entry in request.entries] for request in endpoint.requests]
    assert [MEBI] in sizes
    for request in sizes:
        assert sum(request) <= 256 * 1024 or len(request) == 1


def test_ten_binary_attributes(endpoint: Endpoint) -> None:
    values = {f"name-{i}": EVERY_BYTE[i:] + EVERY_BYTE[:i] for i in range(10)}
    kinds: list[Any] = [bytes, bytearray, memoryview]
    attributes = {
        name: {"DataType": "Binary.jpeg", "BinaryValue": kinds[i % 3](value)}
        for i, (name, value) in enumerate(values.items())
    }
    with client("sns", endpoint.url) as sns:
        for future in [
            sns.publish(TopicArn=TOPIC, Message=f"{i}", MessageAttributes=attributes)
            for i in range(10)
        ]:
            future.result(SOON)
    assert sorted(entry.data for entry in endpoint.stored()) == [b"%d" % i for i in range(10)]
    for entry in endpoint.stored():
        assert entry.attributes == {name: ("Binary.jpeg", value) for name, value in values.items()}
    for request in endpoint.requests:
        assert sum(entry.size for entry in request.entries) <= 256 * 1024


def test_everything_that_an_entry_may_have(endpoint: Endpoint) -> None:
    fields = {
        "Message": '{"default": "m"}',
        "MessageStructure": "json",
        "Subject": "subject",
        "MessageGroupId": "group",
        "MessageDeduplicationId": "dedup",
    }
    with client("sns", endpoint.url) as sns:
        sns.publish(TopicArn=TOPIC + ".fifo", **fields).result(SOON)
    (entry,) = endpoint.stored()
    assert (entry.data.decode(), entry.structure, entry.subject) == (
        fields["Message"],
        "json",
        "subject",
    )
    assert (entry.group_id, entry.deduplication_id) == ("group", "dedup")
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"
    with client("kinesis", endpoint.url) as kinesis:
        kinesis.put_record(StreamARN=arn, Data=b"d", PartitionKey="k", ExplicitHashKey="0").result(
            SOON
        )
    (record,) = endpoint.stored("kinesis")
    assert (record.destination, record.explicit_hash_key) == (STREAM, "0")
