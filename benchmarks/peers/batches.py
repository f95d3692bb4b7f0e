"""Hand-written full batches with boto3: in a loop or from a shared pool, no retries."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks.load import HUNDREDS, TENS, WORKERS, boto3_client, call_batch, chunks
from benchmarks.peers import Peer, Send


@contextmanager
def open_loop(service: str, endpoint: str) -> Iterator[Send]:
    """`publish_batch` of 10 or `put_records` of 500 in a loop."""
    client = boto3_client(service, endpoint)

    def send(work: list[Any]) -> None:
        for chunk in chunks(service, work):
            call_batch(client, service, chunk)

    yield send
    client.close()


@contextmanager
def open_pool(service: str, endpoint: str) -> Iterator[Send]:
    """The same requests from a shared pool of 10."""
    client = boto3_client(service, endpoint)
    with ThreadPoolExecutor(WORKERS) as pool:

        def send(work: list[Any]) -> None:
            list(pool.map(lambda chunk: call_batch(client, service, chunk), chunks(service, work)))

        yield send
    client.close()


PEERS = [
    Peer(
        "batch loop",
        open_loop,
        {**dict.fromkeys(TENS, 1_000), **dict.fromkeys(HUNDREDS, 30_000)},
        kind="boto3",
    ),
    Peer(
        "batches in a shared pool",
        open_pool,
        {**dict.fromkeys(TENS, 6_000), **dict.fromkeys(HUNDREDS, 40_000)},
        kind="boto3",
    ),
]
