"""aiobotocore: boto's own client on asyncio, one call a message, ten connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from benchmarks.load import REGION, WORKERS, call_single
from benchmarks.peers import Peer, Send


@contextmanager
def open_aiobotocore(service: str, endpoint: str) -> Iterator[Send]:
    """Tasks under a semaphore of ten."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(max_pool_connections=WORKERS, retries={"total_max_attempts": 1})
    with closing(asyncio.new_event_loop()) as loop:
        manager = get_session().create_client(
            service, endpoint_url=endpoint, region_name=REGION, config=config
        )
        client = loop.run_until_complete(manager.__aenter__())

        async def main(work: list[Any]) -> None:
            slots = asyncio.Semaphore(WORKERS)

            async def one(message: Any) -> None:
                async with slots:
                    await call_single(client, service, message)

            await asyncio.gather(*map(one, work))

        yield lambda work: loop.run_until_complete(main(work))
        loop.run_until_complete(manager.__aexit__(None, None, None))


PEERS = [Peer("aiobotocore", open_aiobotocore, {"sns": 800, "kinesis": 800}, ("aiobotocore",))]
