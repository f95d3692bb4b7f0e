"""Plain boto3: one call after the other, the caller waits for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.load import SERVICES, boto3_client, call_single
from benchmarks.peers import Peer, Send


@contextmanager
def open_loop(service: str, endpoint: str) -> Iterator[Send]:
    """`publish` or `put_record` in a loop."""
    client = boto3_client(service, endpoint)

    def send(work: list[Any]) -> None:
        for message in work:
            call_single(client, service, message)

    yield send
    client.close()


PEERS = [Peer("boto3 loop", open_loop, dict.fromkeys(SERVICES, 80), kind="boto3")]
