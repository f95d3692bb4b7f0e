"""This package: one call a message, futures not kept, and its own account of what was delivered.

And the bound under it: its bodies through bare boto3 calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks.load import (
    ADDRESSES,
    QUEUE,
    REGION,
    STREAM,
    TOPIC,
    WORKERS,
    chunks,
    entries,
    package,
    send_one_by_one,
)
from benchmarks.peers import Peer, Send

BARE = "bare calls, our bodies"


def _settle(ours: Any, before: int, count: int) -> None:
    left = ours.flush(timeout=120)
    delivered = ours.stats().total.delivered - before
    if left or delivered != count:
        raise RuntimeError(f"{delivered} of {count} delivered, {left} unresolved")


@contextmanager
def open_single(service: str, endpoint: str) -> Iterator[Send]:
    """`publish`, `send_message` or `put_record`, then `flush`."""
    with package() as ours:
        client = ours.client(service, endpoint_url=endpoint, region_name=REGION)

        def send(work: list[Any]) -> None:
            before = ours.stats().total.delivered
            send_one_by_one(client, service, work)
            _settle(ours, before, len(work))

        yield send


@contextmanager
def open_batch(service: str, endpoint: str) -> Iterator[Send]:
    """`publish_batch` and `put_records` with the whole work in one call."""
    with package() as ours:
        client = ours.client(service, endpoint_url=endpoint, region_name=REGION)

        def send(work: list[Any]) -> None:
            if service == "sns":
                future = client.publish_batch(
                    TopicArn=TOPIC, PublishBatchRequestEntries=entries("sns", work)
                )
                failed = len(future.result(timeout=120).get("Failed", ()))
            elif service == "sqs":
                future = client.send_message_batch(QueueUrl=QUEUE, Entries=entries("sqs", work))
                failed = len(future.result(timeout=120).get("Failed", ()))
            elif service == "firehose":
                future = client.put_record_batch(
                    DeliveryStreamName=STREAM, Records=entries("firehose", work)
                )
                failed = future.result(timeout=120)["FailedPutCount"]
            elif service == "events":
                future = client.put_events(Entries=entries("events", work))
                failed = future.result(timeout=120)["FailedEntryCount"]
            else:
                future = client.put_records(StreamName=STREAM, Records=entries("kinesis", work))
                failed = future.result(timeout=120)["FailedRecordCount"]
            if failed:
                raise RuntimeError(f"{failed} of {len(work)} failed")

        yield send


@contextmanager
def open_bare(service: str, endpoint: str) -> Iterator[Send]:
    """Ready-made full batches with this package's bodies, each a boto3 call on a pool.

    No future, no account, no retry: what boto3's part of a request leaves to be had.
    """
    from publisher._aws.connection import Connection
    from publisher._aws.fast import encode
    from publisher.services import load

    kwargs = {"endpoint_url": endpoint}
    client = Connection(service, REGION, kwargs, None, None, {}, WORKERS).get()
    known = load(service)
    name = known.batch
    address = ADDRESSES[service]

    def call(batch: list[Any]) -> None:
        response = getattr(client, name)(**encode(known, address, batch))
        if any(response.get(name) for name in response if name.startswith("Failed")):
            raise RuntimeError("an entry failed")

    with ThreadPoolExecutor(WORKERS) as pool:

        def send(work: list[Any]) -> None:
            made = [(data, key) for key, data in work] if service == "kinesis" else work
            if service == "events":
                _, made, *_ = known.accept_batch({"Entries": entries("events", work)})
            list(pool.map(call, chunks(service, made)))

        yield send
    client.close()


WORK = {"sns": 10_000, "sqs": 10_000, "kinesis": 80_000, "firehose": 80_000, "events": 10_000}
NEEDS = ("boto3", "publisher")
PEERS = [
    Peer("publisher", open_single, WORK, NEEDS, kind="ours"),
    Peer("publisher (batch)", open_batch, WORK, NEEDS, kind="ours"),
    Peer(BARE, open_bare, WORK, NEEDS, kind="bound"),
]
