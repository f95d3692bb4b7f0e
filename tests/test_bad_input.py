"""Bad input raises at the call, and says what, the limit and its source, never the value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import pytest
import tenacity

import publisher
from tests.servers import Endpoint
from tests.support import STREAM, TOPIC, client_of, publishing

pytestmark = pytest.mark.every_python("botocore's own checks, and their words, differ by version")

SECRET = "squirrel"
DOCS = "https://docs.aws.amazon.com/"
KIBI = 1024


class Clients:
    """The clients that a bad call is made on."""

    def __init__(self, made: publisher.Publisher, url: str) -> None:
        self.sns = client_of(made, "sns", url)
        self.kinesis = client_of(made, "kinesis", url)


@pytest.fixture
def clients() -> Iterator[Clients]:
    with Endpoint() as endpoint, publishing() as made:
        yield Clients(made, endpoint.url)
        # nothing was accepted, nothing was lost
        assert made.flush(5) == 0
        assert made.stats().total == publisher.Ledger()
        assert endpoint.stored() == []


def to_topic(**params: Any) -> Callable[[Clients], Any]:
    return lambda clients: clients.sns.publish(**{"TopicArn": TOPIC, "Message": "m", **params})


def to_phone(**params: Any) -> Callable[[Clients], Any]:
    return lambda clients: clients.sns.publish(
        **{"PhoneNumber": "+15550100", "Message": "m", **params}
    )


def attribute(value: Any, name: Any = "name") -> Callable[[Clients], Any]:
    return to_topic(MessageAttributes={name: value})


def batch(*entries: Any, **params: Any) -> Callable[[Clients], Any]:
    return lambda clients: clients.sns.publish_batch(
        **{"TopicArn": TOPIC, "PublishBatchRequestEntries": list(entries), **params}
    )


def record(**params: Any) -> Callable[[Clients], Any]:
    return lambda clients: clients.kinesis.put_record(
        **{"StreamName": STREAM, "Data": b"d", "PartitionKey": "k", **params}
    )


def records(*each: Any, **params: Any) -> Callable[[Clients], Any]:
    return lambda clients: clients.kinesis.put_records(
        **{"StreamName": STREAM, "Records": list(each), **params}
    )


def one(**params: Any) -> dict[str, Any]:
    return {"Data": b"d", "PartitionKey": "k", **params}


BAD: dict[str, tuple[Callable[[Clients], Any], list[str]]] = {
    # what is missing
    "no topic": (lambda c: c.sns.publish(Message=SECRET), ["TopicArn", "TargetArn", "PhoneNumber"]),
    "topic None": (to_topic(TopicArn=None), ["TopicArn"]),
    "no message": (lambda c: c.sns.publish(TopicArn=TOPIC), ["publish()", "Message"]),
    "no topic for a batch": (
        lambda c: c.sns.publish_batch(PublishBatchRequestEntries=[{"Id": "1", "Message": SECRET}]),
        ["publish_batch()", "TopicArn"],
    ),
    "no entries": (
        lambda c: c.sns.publish_batch(TopicArn=TOPIC),
        ["publish_batch()", "PublishBatchRequestEntries"],
    ),
    "no Id": (batch({"Message": SECRET}), ["PublishBatchRequestEntries[0]", "Id"]),
    "no message in an entry": (
        batch({"Id": "1", "Message": "m"}, {"Id": "2"}),
        ["PublishBatchRequestEntries[1]", "Message"],
    ),
    "no stream": (
        lambda c: c.kinesis.put_record(Data=SECRET.encode(), PartitionKey="k"),
        ["StreamName", "StreamARN"],
    ),
    "no data": (
        lambda c: c.kinesis.put_record(StreamName=STREAM, PartitionKey=SECRET),
        ["put_record()", "Data"],
    ),
    "no records": (
        lambda c: c.kinesis.put_records(StreamName=STREAM),
        ["put_records()", "Records"],
    ),
    "no data in a record": (
        records(one(), {"PartitionKey": SECRET}),
        ["Records[1]", "Data"],
    ),
    "no stream for records": (
        lambda c: c.kinesis.put_records(Records=[one()]),
        ["StreamName", "StreamARN"],
    ),
    # wrong types
    "topic of bytes": (to_topic(TopicArn=SECRET.encode()), ["TopicArn", "str", "bytes"]),
    "topic in a list": (to_topic(TopicArn=[SECRET]), ["TopicArn", "str", "list"]),
    "topic in a list for a batch": (
        batch({"Id": "1", "Message": "m"}, TopicArn=[SECRET]),
        ["TopicArn", "str", "list"],
    ),
    "message of bytes": (to_topic(Message=SECRET.encode()), ["Message", "str", "bytes"]),
    "message None": (to_topic(Message=None), ["Message", "str", "NoneType"]),
    "message of an SMS": (to_phone(Message=SECRET.encode()), ["Message", "str", "bytes"]),
    "phone number": (to_phone(PhoneNumber=[SECRET]), ["PhoneNumber", "must be str,", "list"]),
    "target": (
        lambda c: c.sns.publish(TargetArn=7, Message=SECRET),
        ["TargetArn", "str", "int"],
    ),
    "subject": (to_topic(Subject=7), ["Subject", "str", "int"]),
    "structure": (to_topic(MessageStructure=None), ["MessageStructure", "str", "NoneType"]),
    "group": (to_topic(MessageGroupId=7), ["MessageGroupId", "str", "int"]),
    "deduplication": (
        to_topic(MessageDeduplicationId=b"x"),
        ["MessageDeduplicationId", "str", "bytes"],
    ),
    "attributes": (to_topic(MessageAttributes=[SECRET]), ["MessageAttributes", "dict", "list"]),
    "an attribute": (attribute(SECRET), ["MessageAttributes['name']", "dict", "str"]),
    "an attribute's name": (
        attribute({"DataType": "String", "StringValue": "x"}, 7),
        ["MessageAttributes", "str", "int"],
    ),
    "an attribute without a type": (
        attribute({"StringValue": SECRET}),
        ["MessageAttributes['name']", "DataType", DOCS],
    ),
    "an attribute's type": (attribute({"DataType": 7}), ["DataType", "str", "int"]),
    "an attribute's text": (
        attribute({"DataType": "String", "StringValue": SECRET.encode()}),
        ["StringValue", "str", "bytes"],
    ),
    "an attribute's bytes": (
        attribute({"DataType": "Binary", "BinaryValue": 7}),
        ["BinaryValue", "bytes", "int"],
    ),
    "an attribute's unknown field": (
        attribute({"DataType": "String", "StringValue": SECRET, "Text": SECRET}),
        ["MessageAttributes['name']", "Text"],
    ),
    "entries None": (
        batch(PublishBatchRequestEntries=None),
        ["PublishBatchRequestEntries", "list", "NoneType"],
    ),
    "entries in a dict": (
        batch(PublishBatchRequestEntries={"a": SECRET}),
        ["PublishBatchRequestEntries", "list", "dict"],
    ),
    "entries from a generator": (
        batch(PublishBatchRequestEntries=(entry for entry in [])),
        ["PublishBatchRequestEntries", "list", "generator"],
    ),
    "an entry of text": (batch(SECRET), ["PublishBatchRequestEntries[0]", "dict", "str"]),
    "an entry's message": (
        batch({"Id": "1", "Message": SECRET.encode()}),
        ["PublishBatchRequestEntries[0]", "Message", "str", "bytes"],
    ),
    "an Id": (
        batch({"Id": 1, "Message": SECRET}),
        ["PublishBatchRequestEntries[0].Id", "str", "int"],
    ),
    "stream": (record(StreamName=7), ["StreamName", "str", "int"]),
    "stream in a list": (record(StreamName=[SECRET]), ["StreamName", "str", "list"]),
    "data of a number": (record(Data=7), ["Data", "bytes", "memoryview", "int"]),
    "data None": (record(Data=None), ["Data", "NoneType"]),
    "key of bytes": (record(PartitionKey=SECRET.encode()), ["PartitionKey", "str", "bytes"]),
    "key None": (record(PartitionKey=None), ["PartitionKey", "str", "NoneType"]),
    "hash key": (record(ExplicitHashKey=7), ["ExplicitHashKey", "str", "int"]),
    "records None": (records(Records=None), ["Records", "list", "NoneType"]),
    "a record of text": (records(SECRET), ["Records[0]", "dict", "str"]),
    "a record's data": (records(one(), one(Data=7)), ["Records[1]", "Data", "int"]),
    # empty, duplicate, invalid, over the limit
    "an empty batch": (batch(), ["PublishBatchRequestEntries", "empty", "1", DOCS]),
    "no records at all": (records(), ["Records", "empty", "1", DOCS]),
    "duplicate Ids": (
        batch(*[{"Id": SECRET, "Message": "m"}] * 3),
        ["Ids", "3", "distinct", DOCS],
    ),
    "duplicate Ids far apart": (
        batch(*({"Id": f"{i % 25}", "Message": "m"} for i in range(26))),
        ["Ids", "26", "25", DOCS],
    ),
    "an invalid Id": (
        batch({"Id": SECRET + "!", "Message": "m"}),
        ["Id", "9 characters", "80", DOCS],
    ),
    "an Id with a line break": (
        batch({"Id": "a\n", "Message": "m"}),
        ["Id", "2 characters", "80", DOCS],
    ),
    "an empty Id": (batch({"Id": "", "Message": "m"}), ["Id", "0 characters", "80", DOCS]),
    "an Id of 81 characters": (
        batch({"Id": "x" * 81, "Message": "m"}),
        ["Id", "81 characters", "80", DOCS],
    ),
    "a key of 257 characters": (
        record(PartitionKey="\U0001f600" * 257),
        ["PartitionKey", "257 characters", "256", DOCS],
    ),
    "an empty key": (record(PartitionKey=""), ["PartitionKey", "0 characters", "256", DOCS]),
    "a key in a batch": (
        records(one(), one(PartitionKey=SECRET * 33)),
        ["Records[1]", "PartitionKey", "264 characters", "256", DOCS],
    ),
    "a hash key of letters": (
        record(ExplicitHashKey=SECRET),
        ["ExplicitHashKey", "8 characters", "39", DOCS],
    ),
    "a message over the limit": (
        to_topic(Message="x" * (KIBI * KIBI + 1)),
        ["Message", "1,048,577 bytes", "1,048,576", DOCS],
    ),
    "a message over the limit in UTF-8": (
        to_topic(Message="\U0001f600" * (KIBI * KIBI // 4) + "x"),
        ["Message", "1,048,577 bytes", "1,048,576", DOCS],
    ),
    "a message over the limit by its attributes": (
        to_topic(
            Message="x" * (KIBI * KIBI - 10),
            MessageAttributes={"n": {"DataType": "String", "StringValue": "four"}},
        ),
        ["Message", "1,048,577 bytes", "attributes", "1,048,576", DOCS],
    ),
    "an entry over the limit": (
        batch({"Id": "1", "Message": "x" * (KIBI * KIBI + 1)}),
        ["PublishBatchRequestEntries[0]", "1,048,577 bytes", DOCS],
    ),
    "a record over the limit": (
        record(Data=bytes(10 * KIBI * KIBI)),
        ["Data", "PartitionKey", "10,485,761 bytes", "10,485,760", DOCS],
    ),
    "a record over the limit in a batch": (
        records(one(Data=bytes(10 * KIBI * KIBI))),
        ["Records[0]", "10,485,761 bytes", "10,485,760", DOCS],
    ),
    "text without UTF-8": (to_topic(Message=SECRET + "\ud800"), ["Message", "9 characters"]),
    "a key without UTF-8": (
        record(PartitionKey=SECRET + "\udfff"),
        ["PartitionKey", "9 characters"],
    ),
    # unknown arguments
    "an unknown argument": (to_topic(Mesage=SECRET), ["publish()", "'Mesage'", "Message"]),
    "an unknown argument of a batch": (
        batch({"Id": "1", "Message": "m"}, Topic=SECRET),
        ["publish_batch()", "'Topic'", "TopicArn"],
    ),
    "an unknown argument of a record": (
        record(Key=SECRET),
        ["put_record()", "'Key'", "PartitionKey"],
    ),
    "an unknown argument of records": (
        records(one(), Stream=SECRET),
        ["put_records()", "'Stream'", "StreamName"],
    ),
    "an unknown field of an entry": (
        batch({"Id": "1", "Message": "m", "Body": SECRET}),
        ["PublishBatchRequestEntries[0]", "Body"],
    ),
    "an unknown field of a record": (records(one(Body=SECRET)), ["Records[0]", "Body"]),
    # addresses
    "a malformed topic": (
        to_topic(TopicArn=SECRET),
        ["TopicArn", "8 characters", "arn:aws:", DOCS],
    ),
    "an empty topic": (to_topic(TopicArn=""), ["TopicArn", "0 characters", "arn:aws:", DOCS]),
    "a queue for a topic": (
        to_topic(TopicArn="arn:aws:sqs:us-east-1:000000000000:jobs"),
        ["TopicArn", "arn:aws:sqs:us-east-1:000000000000:jobs", "arn:aws:sns:region", DOCS],
    ),
    "a topic with a line break": (to_topic(TopicArn=TOPIC + "\n"), ["TopicArn", "arn:aws:sns"]),
    "a malformed topic of a batch": (
        batch({"Id": "1", "Message": "m"}, TopicArn=SECRET),
        ["TopicArn", "arn:aws:sns:region", DOCS],
    ),
    "a malformed stream ARN": (
        lambda c: c.kinesis.put_record(StreamARN=SECRET, Data=b"", PartitionKey="k"),
        ["StreamARN", "arn:aws:kinesis:region"],
    ),
    "an empty stream": (record(StreamName=""), ["StreamName", "0 characters", "128", DOCS]),
    "a stream of 129 characters": (
        record(StreamName="x" * 129),
        ["StreamName", "129 characters", "128", DOCS],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_raises_at_the_call(clients: Clients, name: str) -> None:
    call, wanted = BAD[name]
    for _ in range(2):  # the second time everything is set up already
        with pytest.raises(publisher.InvalidMessage) as raised:
            call(clients)
        text = str(raised.value)
        for part in wanted:
            assert part in text
        assert SECRET not in text
        assert raised.value.__cause__ is None
        assert SECRET not in repr(raised.value.__context__)
        assert isinstance(raised.value, botocore.exceptions.ParamValidationError)
        assert isinstance(raised.value, ValueError)


def test_a_message_that_the_buffer_could_never_hold(endpoint: Endpoint) -> None:
    with publishing(max_bytes=100) as made:
        sns = client_of(made, "sns", endpoint.url)
        kinesis = client_of(made, "kinesis", endpoint.url)
        for call in (
            lambda: sns.publish(TopicArn=TOPIC, Message="x" * 101),
            lambda: sns.publish(PhoneNumber="+15550100", Message="x" * 101),
            lambda: sns.create_topic(Name="x" * 101),
            lambda: kinesis.put_records(StreamName=STREAM, Records=[one(), one(Data=bytes(101))]),
        ):
            with pytest.raises(publisher.InvalidMessage, match=r"bytes.*max_bytes=100"):
                call()
        assert made.stats().total.accepted == 0


@pytest.mark.parametrize(
    ("option", "kind", "wanted"),
    [
        ({"max_workers": 0}, ValueError, ["max_workers", "at least 1", "0"]),
        ({"max_workers": 1.5}, TypeError, ["max_workers", "integer", "float"]),
        ({"max_workers": True}, TypeError, ["max_workers", "integer", "bool"]),
        ({"linger": -1}, ValueError, ["linger", "0 or more", "-1"]),
        ({"linger": "1"}, TypeError, ["linger", "seconds", "str"]),
        ({"linger": float("nan")}, ValueError, ["linger", "nan"]),
        ({"linger": {"s3": 1}}, ValueError, ["linger", "s3", "sns", "kinesis"]),
        ({"linger": {"sns": -1}}, ValueError, ["linger['sns']", "-1"]),
        ({"max_messages": 0}, ValueError, ["max_messages", "at least 1"]),
        ({"max_bytes": -5}, ValueError, ["max_bytes", "at least 1"]),
        (
            {"on_full": "wait"},
            ValueError,
            ["on_full", "'block'", "'drop'", "'drop_oldest'", "'raise'", "'wait'"],
        ),
        ({"on_full": ["block"]}, ValueError, ["on_full", "'block'"]),
        ({"max_block": -0.1}, ValueError, ["max_block", "0 or more"]),
        ({"delivery_timeout": 0}, ValueError, ["delivery_timeout", "above 0"]),
        ({"delivery_timeout": float("inf")}, ValueError, ["delivery_timeout", "inf"]),
        ({"connect_timeout": 0}, ValueError, ["connect_timeout", "above 0"]),
        ({"read_timeout": None}, TypeError, ["read_timeout", "NoneType"]),
        ({"close_timeout": -1}, ValueError, ["close_timeout", "0 or more"]),
        ({"retry": 3}, TypeError, ["retry", "tenacity.Retrying", "int"]),
        (
            {"retry": tenacity.Retrying(before_sleep=print)},
            ValueError,
            ["retry", "before_sleep", "hooks"],
        ),
        ({"retry": tenacity.Retrying(after=print)}, ValueError, ["retry", "after", "hooks"]),
        (
            {"retry": tenacity.Retrying(retry_error_callback=print)},
            ValueError,
            ["retry", "retry_error_callback", "hooks"],
        ),
        ({"retry": tenacity.Retrying(sleep=print)}, ValueError, ["retry", "sleep", "wait="]),
        ({"retry": tenacity.AsyncRetrying()}, TypeError, ["retry", "tenacity.Retrying"]),
        ({"hooks": [object()]}, TypeError, ["object", "hook", "on_delivered"]),
        ({"hooks": object()}, TypeError, ["hooks", "object"]),
        ({"hooks": "log"}, TypeError, ["hooks", "str"]),
        ({"hooks": [publisher.LoggingHook]}, TypeError, ["LoggingHook()"]),
        (
            {"hooks": [type("Hook", (), {"on_sent": 7})()]},
            TypeError,
            ["Hook.on_sent", "callable"],
        ),
        ({"max_worker": 3}, TypeError, ["max_worker", "max_workers", "delivery_timeout"]),
    ],
)
def test_impossible_options_raise_at_once(
    option: dict[str, Any], kind: type[Exception], wanted: list[str]
) -> None:
    with pytest.raises(kind) as raised:
        publisher.Publisher(**option)
    with pytest.raises(kind) as configured:
        publisher.configure(**option)
    assert str(configured.value) == str(raised.value)
    for part in wanted:
        assert part in str(raised.value)
