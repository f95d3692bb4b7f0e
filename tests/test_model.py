"""Our checks beside botocore's model, so that a new botocore shows what has changed.

The table is the model as it was last looked at, with what we make of it. A member that is new, or a
constraint that is another, fails here: look at the service's documentation, then change the check
and the table. An older botocore may know less, never more.
"""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

import publisher
from publisher.services import load
from tests.support import QUEUE, STREAM, TOPIC

pytestmark = pytest.mark.every_python("it looks at botocore's model, which differs by version")

#: The botocore that the table was written from; those as new have to agree with all of it.
SEEN = (1, 44, 8)
ARN = {"min": 1, "max": 2048, "pattern": r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+"}
NAME = {"min": 1, "max": 128, "pattern": "[a-zA-Z0-9_.-]+"}
ID = {"min": 1, "max": 24, "pattern": "[a-z0-9]{20}-[a-z0-9]{3}"}
KEY = {"min": 1, "max": 256}
HASH_KEY = {"pattern": r"^(0|([1-9]\d{0,38}))$"}
DELIVERY = {"min": 1, "max": 64, "pattern": "[a-zA-Z0-9_.-]+", "required": True}
BUS = {
    "min": 1,
    "max": 1600,
    "pattern": r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus\/)?"
    r"[\.\-_A-Za-z0-9]+",
}
DATA = {"min": 0, "max": 10485760, "required": True}
TEXTS: dict[str, Any] = {
    "Message": {"required": True},
    "Subject": {},
    "MessageStructure": {},
    "MessageAttributes": {},
    "MessageDeduplicationId": {},
    "MessageGroupId": {},
}
QUEUED: dict[str, Any] = {
    "MessageBody": {"required": True},
    "DelaySeconds": {},
    "MessageAttributes": {},
    "MessageSystemAttributes": {},
    "MessageDeduplicationId": {},
    "MessageGroupId": {},
}
#: service, shape: member: what the model says of it
MODEL: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("sns", "PublishInput"): {"TopicArn": {}, "TargetArn": {}, "PhoneNumber": {}, **TEXTS},
    ("sns", "PublishBatchInput"): {
        "TopicArn": {"required": True},
        "PublishBatchRequestEntries": {"required": True},
    },
    ("sns", "PublishBatchRequestEntry"): {"Id": {"required": True}, **TEXTS},
    ("sns", "MessageAttributeValue"): {
        "DataType": {"required": True},
        "StringValue": {},
        "BinaryValue": {},
    },
    ("kinesis", "PutRecordInput"): {
        "StreamName": NAME,
        "StreamARN": ARN,
        "StreamId": ID,
        "Data": DATA,
        "PartitionKey": KEY,
        "ExplicitHashKey": HASH_KEY,
        "SequenceNumberForOrdering": {"pattern": r"^(0|([1-9]\d{0,128}))$"},
        "DryRun": {},
    },
    ("kinesis", "PutRecordsInput"): {
        "StreamName": NAME,
        "StreamARN": ARN,
        "StreamId": ID,
        "Records": {"min": 1, "max": 500, "required": True},
        "DryRun": {},
    },
    ("kinesis", "PutRecordsRequestEntry"): {
        "Data": DATA,
        "PartitionKey": KEY,
        "ExplicitHashKey": HASH_KEY,
    },
    ("sqs", "SendMessageRequest"): {"QueueUrl": {"required": True}, **QUEUED},
    ("sqs", "SendMessageBatchRequest"): {
        "QueueUrl": {"required": True},
        "Entries": {"required": True},
    },
    ("sqs", "SendMessageBatchRequestEntry"): {"Id": {"required": True}, **QUEUED},
    ("sqs", "MessageAttributeValue"): {
        "DataType": {"required": True},
        "StringValue": {},
        "BinaryValue": {},
        "StringListValues": {},  # of no use yet, AWS says
        "BinaryListValues": {},
    },
    ("firehose", "PutRecordInput"): {
        "DeliveryStreamName": DELIVERY,
        "Record": {"required": True},
    },
    ("firehose", "PutRecordBatchInput"): {
        "DeliveryStreamName": DELIVERY,
        "Records": {"min": 1, "max": 500, "required": True},
    },
    ("events", "PutEventsRequest"): {
        "Entries": {"min": 1, "max": 10, "required": True},
        "EndpointId": {"min": 1, "max": 50, "pattern": r"^[A-Za-z0-9\-]+[\.][A-Za-z0-9\-]+$"},
    },
    ("events", "PutEventsRequestEntry"): {
        "Time": {},
        "Source": {},
        "Resources": {},
        "DetailType": {},
        "Detail": {},
        "EventBusName": BUS,
        "TraceHeader": {"min": 1, "max": 500},
    },
    ("firehose", "Record"): {"Data": {"min": 0, "max": 1024000, "required": True}},
}
#: What travels as it is, on botocore's own check.
ALONE = {"PhoneNumber", "SequenceNumberForOrdering", "DryRun", "EndpointId"}
BUS_ARN = "arn:aws:events:us-east-1:111111111111:event-bus/orders"
STREAM_ARN = "arn:aws:kinesis:us-east-1:111111111111:stream/clicks"
#: By service and member: values that the constraint allows, and values that it does not.
VALUES: dict[tuple[str, str], tuple[list[Any], list[Any]]] = {
    ("kinesis", "StreamName"): (["a", "a" * 128, "A.b_c-1"], ["", "a" * 129, "a b", "a\n"]),
    ("kinesis", "StreamARN"): (
        [STREAM_ARN],
        ["", "x", STREAM_ARN + "\n", STREAM_ARN.replace("1" * 12, "1")],
    ),
    ("kinesis", "StreamId"): (["a" * 20 + "-b12"], ["", "a" * 20, "A" * 20 + "-b12"]),
    ("kinesis", "Data"): ([b"", bytes(10485759)], [bytes(10485760)]),  # with a key of one byte
    ("kinesis", "PartitionKey"): (["k", "k" * 256], ["", "k" * 257]),
    ("kinesis", "ExplicitHashKey"): (["0", "7", f"{2**128 - 1}"], ["", "07", "x", "1" * 40]),
    ("sqs", "DelaySeconds"): ([0, 900], [-1, 901, "1", 1.5]),
    ("firehose", "DeliveryStreamName"): (["a", "a" * 64, "A.b_c-1"], ["", "a" * 65, "a b", "a\n"]),
    ("firehose", "Record"): (
        [{"Data": b""}, {"Data": bytes(1024000)}],
        [{"Data": bytes(1024001)}],
    ),
    ("events", "EventBusName"): (
        ["a", "a" * 1600, "A.b_c-1", BUS_ARN],
        ["", "a" * 1601, "a b", "a\n", "aws.partner/x", BUS_ARN + "/x"],
    ),
    ("events", "TraceHeader"): (["t", "t" * 500], ["", "t" * 501]),
    ("events", "Resources"): ([[], ["r" * 2048]], [["r" * 2049], "r", [1]]),
}


def version() -> tuple[int, ...]:
    return tuple(int(part) for part in botocore.__version__.split(".")[:3])


def described(service: str, name: str) -> dict[str, dict[str, Any]]:
    """The members of a shape, with their constraints."""
    shape = botocore.session.get_session().get_service_model(service).shape_for(name)
    return {
        member: {
            **{key: found.metadata[key] for key in KEYS if key in found.metadata},
            **({"required": True} if member in shape.required_members else {}),
        }
        for member, found in shape.members.items()
    }


KEYS = ("min", "max", "pattern")


@pytest.mark.parametrize(("service", "shape"), MODEL, ids=lambda part: part)
def test_botocores_model_is_the_one_that_was_looked_at(service: str, shape: str) -> None:
    found = described(service, shape)
    table = MODEL[service, shape]
    assert found.keys() <= table.keys()
    if version() >= SEEN:
        assert found == table


#: A call of the single operation: its shape, and arguments that travel in a batch.
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "sns": ("PublishInput", {"TopicArn": TOPIC, "Message": "m"}),
    "kinesis": ("PutRecordInput", {"StreamName": STREAM, "Data": b"", "PartitionKey": "k"}),
    "sqs": ("SendMessageRequest", {"QueueUrl": QUEUE, "MessageBody": "m"}),
    "firehose": ("PutRecordInput", {"DeliveryStreamName": STREAM, "Record": {"Data": b""}}),
    "events": ("PutEventsRequest", {"Entries": [{"Source": "s"}]}),
}


@pytest.mark.parametrize("name", CALLS)
def test_we_know_every_member_that_travels_in_a_batch(name: str) -> None:
    shape, usual = CALLS[name]
    for parameter in MODEL[name, shape]:
        good = VALUES.get((name, parameter), (["x"], []))[0][0]
        params = {parameter: {} if parameter.endswith("Attributes") else good, **usual}
        if parameter == "TargetArn":
            del params["TopicArn"]
            params["TargetArn"] = TOPIC
        assert (load(name).accept(params) is None) == (parameter in ALONE), parameter


@pytest.mark.parametrize(("name", "member"), VALUES)
def test_a_constraint_of_the_model_is_ours_too(name: str, member: str) -> None:
    service = load(name)
    _, usual = CALLS[name]

    def check(value: Any) -> None:
        params = {**usual, member: value}
        if member.startswith("Stream"):
            del params["StreamName"]
            params[member] = value
        elif name == "events":
            params = {"Entries": [{"Source": "s", member: value}]}
        accepted = service.accept(params)
        assert accepted is not None
        service.check_address(accepted[0])

    good, bad = VALUES[name, member]
    for value in good:
        check(value)
    for value in bad:
        with pytest.raises(publisher.InvalidMessage, match=member):
            check(value)
