"""Against moto: what SNS was sent is read back through a queue, Kinesis from its shards."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.servers import Answer, FaultProxy, Moto
from tests.support import SOON, client, client_of, publishing

EVERY_BYTE = bytes(range(256))
LINES = [f"line {i} \u00e9\U0001f600 & <b>" for i in range(60)]


@pytest.fixture
def stream(moto_server: Moto) -> str:
    name = f"stream-{uuid.uuid4().hex}"
    moto_server.client("kinesis").create_stream(StreamName=name, ShardCount=2)
    return name


def read_back(moto_server: Moto, stream: str) -> list[bytes]:
    kinesis = moto_server.client("kinesis")
    found = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = kinesis.get_records(ShardIterator=iterator, Limit=10_000)["Records"]
        found += [record["Data"] for record in records]
    return found


def test_messages_arrive_in_the_queue_behind_the_topic(moto_server: Moto) -> None:
    topic = moto_server.topic()
    with client("sns", moto_server.url, max_workers=1) as sns:
        attributes = {"n": {"DataType": "String", "StringValue": "v\u00e9"}}
        futures = [
            sns.publish(TopicArn=topic.arn, Message=line, MessageAttributes=attributes)
            for line in LINES
        ]
        ids = {future.result(SOON)["MessageId"] for future in futures}
    messages = topic.drain(len(LINES))
    assert Counter(message.body for message in messages) == Counter(LINES)
    assert {str(message.attributes) for message in messages} == {
        str({"n": ("String", "v\u00e9".encode())})
    }
    assert len(ids) == len(LINES)


def test_subjects_and_binary_attributes_arrive(moto_server: Moto) -> None:
    topic = moto_server.topic(raw=False)
    with client("sns", moto_server.url) as sns:
        sns.publish(
            TopicArn=topic.arn,
            Message="m",
            Subject="subject",
            MessageAttributes={"b": {"DataType": "Binary", "BinaryValue": bytearray(EVERY_BYTE)}},
        ).result(SOON)
    (message,) = topic.drain(1)
    assert (message.body, message.subject) == ("m", "subject")
    assert message.attributes == {"b": ("Binary", EVERY_BYTE)}


def test_partial_failures_arrive_once(
    moto_server: Moto, proxy: Callable[..., FaultProxy], stream: str
) -> None:
    topic, faults = moto_server.topic(), proxy(moto_server.url)
    faults.script(
        lambda request: (
            Answer(failures=dict.fromkeys(range(0, len(request.entries), 2), "InternalError"))
            if request.number % 2
            else None
        )
    )
    with publishing(max_workers=1) as made:
        sns, kinesis = (client_of(made, name, faults.url) for name in ("sns", "kinesis"))
        futures = [sns.publish(TopicArn=topic.arn, Message=line) for line in LINES]
        futures += [
            kinesis.put_record(StreamName=stream, Data=line.encode(), PartitionKey=line)
            for line in LINES
        ]
        for future in futures:
            future.result(SOON)
        assert made.stats().total.retries > 0
    assert Counter(message.body for message in topic.drain(len(LINES))) == Counter(LINES)
    assert Counter(read_back(moto_server, stream)) == Counter(line.encode() for line in LINES)


def test_batches_of_the_callers(moto_server: Moto, stream: str) -> None:
    topic = moto_server.topic()
    with publishing(max_workers=1) as made:
        sns, kinesis = (client_of(made, name, moto_server.url) for name in ("sns", "kinesis"))
        entries: Any = [{"Id": f"{i}", "Message": line} for i, line in enumerate(LINES)]
        published = sns.publish_batch(TopicArn=topic.arn, PublishBatchRequestEntries=entries)
        records: Any = [{"Data": line, "PartitionKey": line} for line in LINES]
        put = kinesis.put_records(StreamName=stream, Records=records)
        assert len(published.result(SOON)["Successful"]) == len(LINES)
        response = put.result(SOON)
        assert (response["FailedRecordCount"], len(response["Records"])) == (0, len(LINES))
        assert {record["ShardId"] for record in response["Records"]} == {
            "shardId-000000000000",
            "shardId-000000000001",
        }
    assert Counter(message.body for message in topic.drain(len(LINES))) == Counter(LINES)
    assert Counter(read_back(moto_server, stream)) == Counter(line.encode() for line in LINES)


def test_the_other_operations_and_their_exceptions(moto_server: Moto) -> None:
    with publishing() as made:
        sns, kinesis = (client_of(made, name, moto_server.url) for name in ("sns", "kinesis"))
        name = f"made-{uuid.uuid4().hex}"
        arn = sns.create_topic(Name=name).result(SOON)["TopicArn"]
        sns.tag_resource(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}]).result(SOON)
        tags = sns.list_tags_for_resource(ResourceArn=arn).result(SOON)["Tags"]
        assert tags == [{"Key": "k", "Value": "v"}]
        sns.publish(PhoneNumber="+15550100", Message="sms").result(SOON)
        kinesis.create_stream(StreamName=name, ShardCount=1).result(SOON)
        with pytest.raises(kinesis.exceptions.ResourceInUseException):
            kinesis.create_stream(StreamName=name, ShardCount=1).result(SOON)
        summary = kinesis.describe_stream_summary(StreamName=name).result(SOON)
        stream_arn = summary["StreamDescriptionSummary"]["StreamARN"]
        kinesis.put_record(StreamARN=stream_arn, Data=b"by ARN", PartitionKey="k").result(SOON)
        sns.delete_topic(TopicArn=arn).result(SOON)
        kinesis.delete_stream(StreamName=name).result(SOON)
        with pytest.raises(sns.exceptions.NotFoundException):
            sns.publish(TopicArn=arn, Message="m").result(SOON)
        with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
            kinesis.put_record(StreamName=name, Data=b"", PartitionKey="k").result(SOON)
