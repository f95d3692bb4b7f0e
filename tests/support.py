"""What the tests of whole publishers share: one on short times, and what holds at its end."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import boto3
import tenacity

import publisher

#: One session for all: reading the services' models takes longer than most tests.
SESSION = boto3.Session()
SESSION.get_credentials()  # now: a test may take them away for a while
TOPIC = "arn:aws:sns:us-east-1:000000000000:orders"
FIFO_TOPIC = TOPIC + ".fifo"
STREAM = "clicks"
QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/jobs"
FIFO_QUEUE = QUEUE + ".fifo"
#: Seconds in which what should happen at once has happened, on a busy machine too.
SOON = 20
#: How many processes of each kind are killed; ``make kills`` has 500.
KILLS = int(os.environ.get("KILLS", "25"))
FAST: dict[str, Any] = {
    "linger": 0.02,
    "connect_timeout": 2,
    "read_timeout": 5,
    "delivery_timeout": 20,
    "retry": publisher.retry_policy(wait=tenacity.wait_none()),
}


def tries(count: int) -> tenacity.Retrying:
    """A policy of so many tries, almost without a wait."""
    return publisher.retry_policy(
        wait=tenacity.wait_none(), stop=tenacity.stop_after_attempt(count)
    )


@contextlib.contextmanager
def publishing(**options: Any) -> Iterator[publisher.Publisher]:
    """A publisher on short times; at its end every permit is back and the ledger balances."""
    made = publisher.Publisher(**{**FAST, **options})
    try:
        yield made
    finally:
        made.close(SOON)
        if made._core is not None:
            made._core.runtime.wait_for_end(SOON)
    assert_at_rest(made)


def client_of(made: publisher.Publisher, service: str, url: str, **kwargs: Any) -> publisher.Client:
    """A client of the server at `url`."""
    return made.client(service, **{"session": SESSION, "endpoint_url": url, **kwargs})


@contextlib.contextmanager
def client(service: str, url: str, **options: Any) -> Iterator[publisher.Client]:
    """A client of the server at `url`, of a publisher of its own."""
    with publishing(**options) as made:
        yield client_of(made, service, url)


def balance(ledger: publisher.Ledger) -> int:
    ended = ledger.delivered + ledger.failed + ledger.dropped + ledger.cancelled + ledger.spooled
    return ended + ledger.outstanding


def assert_balanced(stats: publisher.Stats) -> None:
    for ledger in (stats.total, *stats.destinations.values()):
        assert ledger.accepted == balance(ledger)
        assert ledger.dropped == sum(ledger.dropped_by_reason.values())
        assert ledger.outstanding >= 0
        assert sum(ledger.latency) == ledger.accepted - ledger.outstanding
    ends = ("delivered", "failed", "dropped", "cancelled", "spooled")
    for name in ("accepted", *ends, "replayed", "requests", "retries"):
        summed = sum(getattr(ledger, name) for ledger in stats.destinations.values())
        assert getattr(stats.total, name) == summed


def assert_at_rest(made: publisher.Publisher) -> None:
    """Nothing is in flight, by flow control's own count and by the ledger's."""
    stats = made.stats()
    assert_balanced(stats)
    assert stats.total.outstanding == stats.total.outstanding_bytes == 0
    core = made._core
    if core is not None:
        assert (core.flow.messages, core.flow.bytes, core.flow.waiting) == (0, 0, 0)


def codes(future: publisher.PublishFuture) -> list[str | None]:
    """The error codes of the tries; None for the one that delivered."""
    return [attempt.error_code for attempt in future.attempts]


def count_codes(futures: Sequence[publisher.PublishFuture]) -> dict[tuple[str | None, ...], int]:
    """How many futures have which history."""
    found: dict[tuple[str | None, ...], int] = {}
    for future in futures:
        history = tuple(codes(future))
        found[history] = found.get(history, 0) + 1
    return found


def publish(target: publisher.Client, text: str, topic: str = TOPIC, **more: Any) -> Any:
    """One message, through any service."""
    if target._service.name == "sns":
        return target.publish(TopicArn=topic, Message=text, **more)
    if target._service.name == "sqs":
        return target.send_message(QueueUrl=QUEUE, MessageBody=text, **more)
    if target._service.name == "firehose":
        return target.put_record(DeliveryStreamName=STREAM, Record={"Data": text.encode()}, **more)
    if target._service.name == "events":
        event = {"Source": "shop", "DetailType": "told", "Detail": json.dumps({"text": text})}
        return target.put_events(Entries=[event], **more)
    return target.put_record(StreamName=STREAM, Data=text.encode(), PartitionKey=text, **more)


def publish_together(target: publisher.Client, bodies: Sequence[str], **more: Any) -> list[Any]:
    """One message each, in as few requests as may be, however busy the machine is."""
    patient = target.with_options(linger=60)
    futures = [publish(patient, body, **more) for body in bodies]
    target._publisher.flush(0)
    return futures


def publish_all(target: publisher.Client, bodies: Sequence[str], topic: str = TOPIC) -> Any:
    """All in one call of the batch twin."""
    if target._service.name == "sns":
        entries = [{"Id": f"{i}", "Message": body} for i, body in enumerate(bodies)]
        return target.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    records = [{"Data": body.encode(), "PartitionKey": body} for body in bodies]
    return target.put_records(StreamName=STREAM, Records=records)


def texts(entries: Sequence[Any]) -> list[str]:
    """The bodies of what a server stored."""
    return [entry.data.decode() for entry in entries]


def until(predicate: Callable[[], Any], timeout: float = SOON) -> Any:
    """Ask until it is true, for what no event tells. Raises TimeoutError after `timeout` s."""
    watch, never = Watch(), threading.Event()
    while not (value := predicate()):
        if watch.seconds > timeout:
            raise TimeoutError(f"not within {timeout} s")
        never.wait(0.002)
    return value


class Watch:
    """Measures; `seconds` until now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()

    @property
    def seconds(self) -> float:
        return self._clock() - self._began


def close_what_vcr_left() -> None:
    """Close the connections that VCR.py lets go of, with plain boto3 too, and does not close.

    Whichever test runs when they are collected would be blamed for them.
    """
    from vcr.stubs import VCRConnection

    for one in gc.get_objects():
        if issubclass(type(one), VCRConnection):
            one.real_connection.close()
    gc.collect()
