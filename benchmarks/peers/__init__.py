"""The peers: each a small file that says how its users would send the same work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

Send = Callable[[list[Any]], None]
"""Sends a list of messages and returns once each has its outcome; raises when one failed."""


Open = Callable[[str, str], AbstractContextManager[Send]]
"""`open(service, endpoint)`: makes the client and yields its `Send`."""


@dataclass(frozen=True)
class Peer:
    """One way to send.

    `messages` is the work of one measurement by service; a service that is not in it is not
    supported. A peer that `aggregates` packs many messages in one record. `kind` is one of
    `benchmarks.style.KINDS`: how the plots show it.
    """

    name: str
    open: Open
    messages: dict[str, int]
    needs: tuple[str, ...] = ("boto3",)
    python: tuple[int, int] = (3, 10)
    kind: str = "library"
    aggregates: bool = False

    def missing(self) -> str:
        """Return why this peer can't run here, or ""."""
        if sys.version_info < self.python:
            return "needs Python {}.{}".format(*self.python)
        absent = [name for name in self.needs if find_spec(name) is None]
        return f"{', '.join(absent)} not installed" if absent else ""


MODULES = (
    "ours",
    "sockets",
    "boto3_loop",
    "pools",
    "batches",
    "to_thread",
    "aiobotocore_",
    "aws_sdk",
    "async_kinesis",
    "aiokpl_",
    "kinesis_producer_",
    "kinesis_python",
)


def all_peers() -> dict[str, Peer]:
    """Return every peer by name, this package first."""
    found: dict[str, Peer] = {}
    for module in MODULES:
        for peer in import_module(f"benchmarks.peers.{module}").PEERS:
            found[peer.name] = peer
    return found


def peer(name: str) -> Peer:
    """Return the peer called `name`."""
    return all_peers()[name]
