"""The work every measurement does: 1 KB JSON messages, and the names they go to."""

from __future__ import annotations

import json
import os
from typing import Any

REGION = "us-east-1"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:bench"
STREAM = "bench"
QUEUE = f"https://sqs.{REGION}.amazonaws.com/123456789012/bench"
#: How the bodies of each service name where they go.
ADDRESSES = {
    "sns": TOPIC,
    "sqs": QUEUE,
    "events": "default",
    "kinesis": STREAM,
    "firehose": STREAM,
}
#: Services whose requests carry ten, and five hundred.
TENS, HUNDREDS = ("sns", "sqs", "events"), ("kinesis", "firehose")
SERVICES = (*TENS, *HUNDREDS)
EVENT = {"Source": "bench", "DetailType": "order paid"}
SIZE = 1024
WORKERS = 10
LATENCY = 0.02
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

_ORDER = {
    "event": "order.paid",
    "order": {"currency": "EUR", "total": 129.9, "items": [{"sku": "A-1", "n": 2}] * 8},
    "customer": {"name": "Zoë Example", "country": "NL", "tags": ["new", "web", "50% off"]},
}


def _tail() -> str:
    text = json.dumps(_ORDER)[1:-1]
    head = len('{"id": 00000000, "note": "", }')
    return f', {text}, "note": "{"." * (SIZE - head - len(text))}"}}'


_TAIL = _tail()
_TAIL_BYTES = _TAIL.encode()


def sns_message(number: int) -> str:
    """Return the message body `number`: 1 KB of JSON, its own text."""
    return f'{{"id": {number:08d}{_TAIL}'


def kinesis_data(number: int) -> bytes:
    """Return the record data `number`: 1 KB of JSON, its own bytes."""
    return b'{"id": %08d%b' % (number, _TAIL_BYTES)


def messages(service: str, count: int, start: int = 0) -> list[Any]:
    """Return the work of a measurement: texts, for Kinesis `(partition key, data)`."""
    span = range(start, start + count)
    if service in ("sns", "sqs", "events"):
        return [sns_message(number) for number in span]
    if service == "firehose":
        return [kinesis_data(number) for number in span]
    return [(f"user-{number}", kinesis_data(number)) for number in span]


def send_one_by_one(client: Any, service: str, work: list[Any]) -> None:
    """Send each with the single call of our client or boto3's, and look at no answer."""
    if service == "sns":
        for message in work:
            client.publish(TopicArn=TOPIC, Message=message)
    elif service == "sqs":
        for message in work:
            client.send_message(QueueUrl=QUEUE, MessageBody=message)
    elif service == "firehose":
        for message in work:
            client.put_record(DeliveryStreamName=STREAM, Record={"Data": message})
    elif service == "events":
        for message in work:
            client.put_events(Entries=[{**EVENT, "Detail": message}])
    else:
        for key, data in work:
            client.put_record(StreamName=STREAM, Data=data, PartitionKey=key)


def boto3_client(service: str, endpoint: str, pool: int = WORKERS) -> Any:
    """Return a boto3 client with a connection for each worker and no retries of its own."""
    import boto3
    from botocore.config import Config

    config = Config(max_pool_connections=pool, retries={"total_max_attempts": 1})
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, config=config)


def call_single(client: Any, service: str, message: Any) -> Any:
    """Send one message with a boto3 client, the way people do."""
    if service == "sns":
        return client.publish(TopicArn=TOPIC, Message=message)
    if service == "sqs":
        return client.send_message(QueueUrl=QUEUE, MessageBody=message)
    if service == "firehose":
        return client.put_record(DeliveryStreamName=STREAM, Record={"Data": message})
    if service == "events":
        return client.put_events(Entries=entries("events", [message]))
    key, data = message
    return client.put_record(StreamName=STREAM, Data=data, PartitionKey=key)


def entries(service: str, chunk: list[Any]) -> list[dict[str, Any]]:
    """Return the entries of one batch request for `chunk`."""
    if service == "sns":
        return [{"Id": str(number), "Message": each} for number, each in enumerate(chunk)]
    if service == "sqs":
        return [{"Id": str(number), "MessageBody": each} for number, each in enumerate(chunk)]
    if service == "firehose":
        return [{"Data": each} for each in chunk]
    if service == "events":
        return [{**EVENT, "Detail": each} for each in chunk]
    return [{"Data": data, "PartitionKey": key} for key, data in chunk]


def call_batch(client: Any, service: str, chunk: list[Any]) -> None:
    """Send one hand-made batch with a boto3 client; raises when an entry failed."""
    if service == "sns":
        answer = client.publish_batch(
            TopicArn=TOPIC, PublishBatchRequestEntries=entries("sns", chunk)
        )
        failed = len(answer.get("Failed", ()))
    elif service == "sqs":
        answer = client.send_message_batch(QueueUrl=QUEUE, Entries=entries("sqs", chunk))
        failed = len(answer.get("Failed", ()))
    elif service == "firehose":
        answer = client.put_record_batch(
            DeliveryStreamName=STREAM, Records=entries("firehose", chunk)
        )
        failed = answer["FailedPutCount"]
    elif service == "events":
        failed = client.put_events(Entries=entries("events", chunk))["FailedEntryCount"]
    else:
        answer = client.put_records(StreamName=STREAM, Records=entries("kinesis", chunk))
        failed = answer["FailedRecordCount"]
    if failed:
        raise RuntimeError(f"{failed} entries failed")


def chunks(service: str, work: list[Any]) -> list[list[Any]]:
    """Cut `work` into full batches: 10, or 500 for Kinesis and Firehose."""
    size = 500 if service in HUNDREDS else 10
    return [work[at : at + size] for at in range(0, len(work), size)]


def package(**options: Any) -> Any:
    """Return a publisher with ten workers that holds a caller until there is room."""
    import publisher

    return publisher.Publisher(**{"max_workers": WORKERS, "max_block": None, **options})
