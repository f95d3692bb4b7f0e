"""async-kinesis: as its README starts it, and with its throttles (a shard's limits) lifted."""

# ruff: noqa: ARG001 - every peer is opened with the same arguments
from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from benchmarks.load import REGION, STREAM
from benchmarks.peers import Peer, Send


@contextmanager
def _open(endpoint: str, **options: Any) -> Iterator[Send]:
    from kinesis.processors import StringProcessor
    from kinesis.producer import Producer

    logging.getLogger("kinesis").setLevel(logging.ERROR)

    class Bytes(StringProcessor):  # type: ignore[misc]
        """Sends the bytes it is given: the others were encoded beforehand too."""

        def serialize(self, item: bytes) -> bytes:
            return item

    with closing(asyncio.new_event_loop()) as loop:

        async def start() -> Any:
            producer = Producer(
                STREAM, endpoint_url=endpoint, region_name=REGION, processor=Bytes(), **options
            )
            return await producer.__aenter__()

        producer = loop.run_until_complete(start())

        async def main(work: list[Any]) -> None:
            for key, data in work:
                await producer.put(data, partition_key=key)
            await producer.flush()

        yield lambda work: loop.run_until_complete(main(work))
        loop.run_until_complete(producer.__aexit__(None, None, None))


@contextmanager
def open_defaults(service: str, endpoint: str) -> Iterator[Send]:
    """Its defaults: 1,000 records and 1 MiB a second and shard, in one request at a time."""
    with _open(endpoint) as send:
        yield send


@contextmanager
def open_lifted(service: str, endpoint: str) -> Iterator[Send]:
    """Both throttles out of the way."""
    limits = {"put_rate_limit_per_shard": 10**9, "put_bandwidth_limit_per_shard": 10**9}
    with _open(endpoint, **limits) as send:
        yield send


NEEDS = ("kinesis", "aiobotocore")
PEERS = [
    Peer("async-kinesis", open_defaults, {"kinesis": 6_000}, NEEDS, (3, 11)),
    Peer("async-kinesis (lifted)", open_lifted, {"kinesis": 10_000}, NEEDS, (3, 11)),
]
