"""What type checkers must accept, and what they must know. Never run."""

from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

import publisher
from publisher.testing import Capture, call, capture, contains
from publisher.types import (
    Answer,
    DjangoSettings,
    FlaskSettings,
    PublishResponse,
    PutEventsRequestEntry,
    PutEventsResponse,
    PutRecordsRequestEntry,
    ServiceName,
    SNSClient,
)

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"

sns = publisher.client("sns", region_name="eu-west-1")
future = sns.publish(TopicArn=TOPIC, Message="paid", Subject="order")
number: str = future.result(timeout=5)["MessageId"]
whole: PublishResponse = future.result()
status: int = whole["ResponseMetadata"]["HTTPStatusCode"]
plain: Future[Any] = future
attributes = {"event": {"DataType": "String", "StringValue": "paid"}}
sns.publish(
    PhoneNumber="+49123",
    Message="paid",
    MessageAttributes={"event": {"DataType": "String", "StringValue": "paid"}},
)
failed = sns.publish_batch(
    TopicArn=TOPIC, PublishBatchRequestEntries=[{"Id": "1", "Message": "a"}]
).result()["Failed"]
codes: list[str] = [entry["Code"] for entry in failed]
for done in as_completed([future]):
    done.result().keys()
future.add_done_callback(lambda one: print(one.result()["MessageId"]))
first: str | None = future.attempts[0].error_code

kinesis = publisher.Publisher(linger=0).client("kinesis")
shard: str = kinesis.put_record(StreamName="clicks", Data=b"x", PartitionKey="1").result()[
    "ShardId"
]
records: list[PutRecordsRequestEntry] = [{"Data": "text", "PartitionKey": "1"}]
lost: int = kinesis.put_records(StreamName="clicks", Records=records).result()["FailedRecordCount"]

firehose = publisher.client("firehose", "eu-west-1")
record_id: str = firehose.put_record(DeliveryStreamName="clicks", Record={"Data": b"x"}).result()[
    "RecordId"
]
unsent: int = firehose.put_record_batch(
    DeliveryStreamName="clicks", Records=[{"Data": "text"}]
).result()["FailedPutCount"]
events = publisher.client("events")
event: PutEventsRequestEntry = {"Source": "shop", "DetailType": "paid", "Detail": "{}"}
gathered: PutEventsResponse = events.put_events(Entries=[event]).result()
refused: list[str] = [one["ErrorCode"] for one in gathered["Entries"] if "ErrorCode" in one]

sqs = publisher.client("sqs")
digest: str = sqs.send_message(
    QueueUrl="https://sqs.eu-west-1.amazonaws.com/123456789012/jobs",
    MessageBody="resize 17",
    DelaySeconds=5,
    MessageAttributes={"event": {"DataType": "String", "StringValue": "paid"}},
).result()["MD5OfMessageBody"]
ids: list[str] = [
    entry["Id"]
    for entry in sqs.send_message_batch(
        QueueUrl="jobs", Entries=[{"Id": "1", "MessageBody": "a", "MessageGroupId": "g"}]
    ).result()["Successful"]
]


def in_a_hurry(client: SNSClient) -> SNSClient:
    return client.with_options(delivery_timeout=2)


def by_name(name: ServiceName) -> publisher.Client:
    return publisher.client(name)


async def confirmed() -> str:
    return (await sns.publish(TopicArn=TOPIC, Message="paid"))["MessageId"]


def later(known: dict[str, Any]) -> publisher.PublishFuture[PublishResponse]:
    publisher.configure(**known)
    return sns.publish(TopicArn=TOPIC, Message="paid")


typed: Future[PublishResponse] = future
answer: Answer[PublishResponse] = future
publisher.configure(
    linger={"sns": 0.01},
    on_full="raise",
    max_block=None,
    hooks=[publisher.LoggingHook()],
    retry=publisher.retry_policy(),
)
publisher.client("kinesis", "eu-west-1", verify=False)


class Pager:
    def on_failed(self, event: publisher.Event) -> None:
        print(event.destination)


publisher.configure(hooks=(publisher.LoggingHook(), Pager()), linger={"kinesis": 0.5})
publisher.configure(
    spool=publisher.Spool(
        Path("/var/spool/shop"),
        send="relay",
        key=[b"0" * 32],
        clients={"sns:eu-west-1": {"endpoint_url": "http://127.0.0.1:4566"}},
    )
)
on_disk: publisher.SpoolStats | None = publisher.stats().spool
AWS_PUBLISHER: dict[str, DjangoSettings] = {
    "default": {"MAX_WORKERS": 20, "CLIENT": {"region_name": "eu-west-1"}},
    "spooled": {"SPOOL": {"directory": "/var/spool/shop", "sync": "disk"}},
}
FLASK: FlaskSettings = {
    "PUBLISHER_ON_FULL": "drop",
    "PUBLISHER_SPOOL": "/var/spool/shop",
    "PUBLISHER_HOOKS": ["shop.hooks.Pager", Pager, Pager()],
}

sns.some_future_operation(Anything=1).result()
with capture() as published:
    in_a_hurry(sns)
published.assert_sent("sns", count=1, Message=contains("paid"))
published.assert_in_order(call("sns", Message="a"), call("kinesis"))
captured: Capture = published
