"""aiokpl: a KPL in asyncio, and its facade for sync callers; rate limits lifted.

With aggregation (its default) about fifty messages travel in one Kinesis record, which consumers
have to take apart; without it each message is a record, as with everybody else here.
"""

# ruff: noqa: ARG001 - every peer is opened with the same arguments
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from benchmarks.load import ENVIRONMENT, REGION, STREAM
from benchmarks.peers import Open, Peer, Send


def config(endpoint: str, aggregate: bool) -> Any:
    from aiokpl import Config

    return Config(
        region=REGION,
        endpoint_url=endpoint,
        aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        aggregation_enabled=aggregate,
        rate_limit_records_per_sec_per_shard=1e9,
        rate_limit_bytes_per_sec_per_shard=1e12,
    )


def _check(results: list[Any]) -> None:
    failed = sum(not result.success for result in results)
    if failed:
        raise RuntimeError(f"{failed} of {len(results)} failed")


def asynchronous(aggregate: bool) -> Open:
    """`await producer.put_record(...)`, then every outcome."""

    @contextmanager
    def open_aiokpl(service: str, endpoint: str) -> Iterator[Send]:
        from aiokpl import Producer

        with closing(asyncio.new_event_loop()) as loop:
            todo: asyncio.Queue[list[Any] | None] = asyncio.Queue()
            done: asyncio.Queue[Exception | None] = asyncio.Queue()

            async def owner() -> None:
                # Its cancel scopes belong to the task that enters it: one task for its whole life.
                async with Producer(config(endpoint, aggregate)) as producer:
                    while (work := await todo.get()) is not None:
                        try:
                            outcomes = [
                                await producer.put_record(
                                    stream=STREAM, partition_key=key, data=data
                                )
                                for key, data in work
                            ]
                            await producer.flush()
                            _check([await outcome.wait() for outcome in outcomes])
                            await done.put(None)
                        except Exception as error:  # noqa: BLE001 - raised by the caller
                            await done.put(error)

            async def one(work: list[Any]) -> None:
                await todo.put(work)
                error = await done.get()
                if error:
                    raise error

            task = loop.create_task(owner())
            yield lambda work: loop.run_until_complete(one(work))
            todo.put_nowait(None)
            loop.run_until_complete(task)

    return open_aiokpl


@contextmanager
def open_sync(service: str, endpoint: str) -> Iterator[Send]:
    """The facade: `producer.put_record(...)` from a sync caller, then `flush`."""
    from aiokpl import SyncProducer

    with SyncProducer(config(endpoint, aggregate=True)) as producer:

        def send(work: list[Any]) -> None:
            for key, data in work:
                producer.put_record(stream=STREAM, partition_key=key, data=data)
            # Asking each outcome costs a round trip to its thread; the flush waits for all of them.
            producer.flush(timeout=120)

        yield send


NEEDS = ("aiokpl",)
PEERS = [
    Peer("aiokpl", asynchronous(True), {"kinesis": 15_000}, NEEDS, aggregates=True),
    Peer("aiokpl (no aggregation)", asynchronous(False), {"kinesis": 8_000}, NEEDS),
    Peer("aiokpl (sync)", open_sync, {"kinesis": 6_000}, NEEDS, aggregates=True),
]
