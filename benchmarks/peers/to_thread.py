"""`asyncio.to_thread` around boto3, with the loop's executor set to ten threads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

from benchmarks.load import WORKERS, boto3_client, call_single
from benchmarks.peers import Peer, Send


@contextmanager
def open_to_thread(service: str, endpoint: str) -> Iterator[Send]:
    """A task a message, all at once."""
    client = boto3_client(service, endpoint)
    with closing(asyncio.new_event_loop()) as loop:
        loop.set_default_executor(ThreadPoolExecutor(WORKERS))

        async def main(work: list[Any]) -> None:
            calls = (asyncio.to_thread(call_single, client, service, each) for each in work)
            await asyncio.gather(*calls)

        yield lambda work: loop.run_until_complete(main(work))
        loop.run_until_complete(loop.shutdown_default_executor())
    client.close()


PEERS = [Peer("asyncio.to_thread", open_to_thread, {"sns": 800, "kinesis": 800}, kind="boto3")]
