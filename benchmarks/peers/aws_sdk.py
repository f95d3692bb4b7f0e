"""AWS's own async SDK for SNS (`aws-sdk-sns`, a developer preview): calls and hand-made batches."""

# ruff: noqa: ARG001 - every peer is opened with the same arguments
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from benchmarks.load import REGION, TOPIC, WORKERS, chunks
from benchmarks.peers import Peer, Send


@contextmanager
def _open(
    endpoint: str, call: Callable[[Any, Any], Awaitable[None]], batch: bool
) -> Iterator[Send]:
    """Run `call(client, work item)` for each item, ten in flight."""
    from aws_sdk_sns.client import AsyncSNSClient
    from aws_sdk_sns.config import AsyncSNSConfig

    with closing(asyncio.new_event_loop()) as loop:

        async def make() -> Any:
            return AsyncSNSClient(
                await AsyncSNSConfig.resolve(endpoint_uri=endpoint, region=REGION)
            )

        client = loop.run_until_complete(make())

        async def main(work: list[Any]) -> None:
            items = iter(chunks("sns", work) if batch else work)

            async def runner() -> None:
                for item in items:
                    await call(client, item)

            await asyncio.gather(*(runner() for _ in range(WORKERS)))

        yield lambda work: loop.run_until_complete(main(work))


@contextmanager
def open_publish(service: str, endpoint: str) -> Iterator[Send]:
    """`publish`, ten in flight."""
    from aws_sdk_sns.models import PublishInput

    async def call(client: Any, message: str) -> None:
        await client.publish(PublishInput(topic_arn=TOPIC, message=message))

    with _open(endpoint, call, batch=False) as send:
        yield send


@contextmanager
def open_batches(service: str, endpoint: str) -> Iterator[Send]:
    """`publish_batch` of ten made by hand, ten in flight."""
    from aws_sdk_sns.models import PublishBatchInput, PublishBatchRequestEntry

    async def call(client: Any, chunk: list[str]) -> None:
        entries = [
            PublishBatchRequestEntry(id=str(number), message=message)
            for number, message in enumerate(chunk)
        ]
        answer = await client.publish_batch(
            PublishBatchInput(topic_arn=TOPIC, publish_batch_request_entries=entries)
        )
        if answer.failed:
            raise RuntimeError(f"{len(answer.failed)} entries failed")

    with _open(endpoint, call, batch=True) as send:
        yield send


NEEDS = ("aws_sdk_sns", "aiohttp")
PEERS = [
    Peer("aws-sdk-sns", open_publish, {"sns": 800}, NEEDS, (3, 12)),
    Peer("aws-sdk-sns (hand-made batches)", open_batches, {"sns": 8_000}, NEEDS, (3, 12)),
]
