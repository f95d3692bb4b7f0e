"""A thread pool around boto3: made for each call, as an often copied answer has it, or shared."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks.load import SERVICES, WORKERS, boto3_client, call_single
from benchmarks.peers import Peer, Send


@contextmanager
def open_per_call(service: str, endpoint: str) -> Iterator[Send]:
    """A `ThreadPoolExecutor` made, used once and joined for each message."""
    client = boto3_client(service, endpoint)

    def send(work: list[Any]) -> None:
        for message in work:
            with ThreadPoolExecutor(WORKERS) as pool:
                future = pool.submit(call_single, client, service, message)
            future.result()

    yield send
    client.close()


@contextmanager
def open_shared(service: str, endpoint: str) -> Iterator[Send]:
    """One pool for the process, one call a message: the base line of most goals."""
    client = boto3_client(service, endpoint)
    with ThreadPoolExecutor(WORKERS) as pool:

        def send(work: list[Any]) -> None:
            for future in [pool.submit(call_single, client, service, each) for each in work]:
                future.result()

        yield send
    client.close()


PEERS = [
    Peer("pool per call", open_per_call, dict.fromkeys(SERVICES, 80), kind="boto3"),
    Peer("shared pool", open_shared, dict.fromkeys(SERVICES, 800), kind="boto3"),
]
