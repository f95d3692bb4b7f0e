"""kinesis_producer 0.2.1 (2016) still runs: messages share a record of 100 KB, under a random key.

There is no key of one's own, no outcome (a failure is a log line), and it can be waited for only by
closing it; so each measurement takes a producer made beforehand.
"""

# ruff: noqa: ARG001 - every peer is opened with the same arguments
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.load import REGION, STREAM, WORKERS
from benchmarks.peers import Peer, Send


@contextmanager
def open_producer(service: str, endpoint: str) -> Iterator[Send]:
    """`send` each message's data, then `join`."""
    from kinesis_producer import KinesisProducer

    os.environ["AWS_ENDPOINT_URL"] = endpoint  # it takes no endpoint of its own
    config = {
        "aws_region": REGION,
        "buffer_size_limit": 100_000,
        "buffer_time_limit": 0.2,
        "kinesis_concurrency": WORKERS,
        "kinesis_max_retries": 10,
        "record_delimiter": b"\n",
        "stream_name": STREAM,
    }
    ready = iter([KinesisProducer(config), KinesisProducer(config)])

    def send(work: list[Any]) -> None:
        producer = next(ready)
        for _, data in work:
            producer.send(data)
        producer.join()

    yield send


PEERS = [
    Peer(
        "kinesis_producer",
        open_producer,
        {"kinesis": 20_000},
        ("kinesis_producer",),
        aggregates=True,
    )
]
