"""The two ways to send: one call after the other, and through `publisher`.

Both send with the very same functions, such as `to_topic`: only the client differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

Send = Callable[[int, str], Any]
"""Sends one line, given its number and text."""

Step = Callable[[int, int, int], None]
"""Told after each message: how many more were sent, retried, failed."""


@dataclass(frozen=True)
class Run:
    """What one way to one destination cost. Times are in seconds."""

    messages: int
    held: float
    """How long the caller was held by the sending calls, all together."""
    total: float
    """From the first call until the last message had its outcome."""
    cpu: float
    """Of this process, all threads."""
    retries: int
    failed: int
    requests: int = 0

    @property
    def per_second(self) -> float:
        """Messages per second, over the whole time."""
        return self.messages / self.total


def to_topic(sns: Any, topic: str) -> Send:
    """Send lines to `topic` with `sns`, boto3's client or publisher's."""

    def send(number: int, line: str) -> Any:
        return sns.publish(TopicArn=topic, Message=line, MessageAttributes=_mark(number))

    return send


def to_queue(sqs: Any, queue: str) -> Send:
    """Send lines to `queue` with `sqs`, boto3's client or publisher's."""

    def send(number: int, line: str) -> Any:
        return sqs.send_message(QueueUrl=queue, MessageBody=line, MessageAttributes=_mark(number))

    return send


def _mark(number: int) -> dict[str, dict[str, str]]:
    return {"line": {"DataType": "Number", "StringValue": str(number)}}


def to_stream(kinesis: Any, stream: str) -> Send:
    """Send lines to `stream` with `kinesis`, boto3's client or publisher's."""

    def send(number: int, line: str) -> Any:
        return kinesis.put_record(StreamName=stream, Data=line.encode(), PartitionKey=str(number))

    return send


def one_by_one(send: Send, lines: Sequence[str], step: Step) -> Run:
    """Call and wait, line after line; boto3's own retries (its default mode) are at work."""
    retries = failed = 0
    with _stopwatch() as elapsed:
        for number, line in enumerate(lines):
            try:
                tries = send(number, line)["ResponseMetadata"]["RetryAttempts"]
            except (BotoCoreError, ClientError):
                step(0, 0, 1)
                failed += 1
            else:
                step(1, tries, 0)
                retries += tries
        total, cpu = elapsed()
    return Run(len(lines), total, total, cpu, retries, failed)


def with_futures(send: Send, lines: Sequence[str], step: Step) -> Run:
    """Send all lines without waiting, then wait for every outcome."""
    retries = failed = 0
    with _stopwatch() as elapsed:
        futures = [send(number, line) for number, line in enumerate(lines)]
        held, _ = elapsed()
        for future in futures:
            lost = future.exception() is not None
            again = max(len(future.attempts) - 1, 0)
            step(not lost, again, lost)
            retries += again
            failed += lost
        total, cpu = elapsed()
    return Run(len(lines), held, total, cpu, retries, failed)


@contextmanager
def _stopwatch() -> Iterator[Callable[[], tuple[float, float]]]:
    """Yield a function that tells seconds elapsed and CPU seconds used since."""
    started, cpu_before = time.perf_counter(), time.process_time()
    yield lambda: (time.perf_counter() - started, time.process_time() - cpu_before)
