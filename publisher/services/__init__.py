"""The services, one small file each: what differs from one AWS service to the next.

A service is one file with one ``Service`` of its own (see ``_engine/contract.py``), and a row here.
Beside it the types for checkers, the demo and the traces' attributes alone name services.
"""

from __future__ import annotations

import functools
import importlib
from typing import NamedTuple

from .._engine.contract import Service


class Row(NamedTuple):
    """One service, before its file is imported.

    Attributes:
        module: its file, below this package or in full.
        name: of its class there.
        linger: longest wait for company by default, seconds.
    """

    module: str
    name: str
    linger: float


REGISTRY: dict[str, Row] = {
    "sns": Row(".sns", "SNS", linger=0.01),
    "sqs": Row(".sqs", "SQS", linger=0.01),
    # Its requests are fifty times larger: they are worth waiting for.
    "kinesis": Row(".kinesis", "Kinesis", linger=0.05),
    "firehose": Row(".firehose", "Firehose", linger=0.05),
    "events": Row(".events", "EventBridge", linger=0.01),
}


def names() -> tuple[str, ...]:
    """The supported services."""
    return tuple(REGISTRY)


def default_linger() -> dict[str, float]:
    """Longest wait for company by default, seconds, by service."""
    return {name: row.linger for name, row in REGISTRY.items()}


def by_option() -> dict[str, Service]:
    """Every service, by the option that names a destination of it."""
    return {service.option: service for service in map(load, names())}


def flag(option: str) -> str:
    """An option as it stands on a command line."""
    return f"--{option.replace('_', '-')}"


def load(name: str) -> Service:
    """The service called ``name``, one of :func:`names`."""
    return _made(REGISTRY[name])


@functools.cache
def _made(row: Row) -> Service:
    service: Service = getattr(importlib.import_module(row.module, __name__), row.name)()
    return service
