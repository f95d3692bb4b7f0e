"""Whether a publisher of this process gets its messages through, as data for a health view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .._publisher import Publisher
from .._stats import Ledger


def problems(publisher: Publisher) -> list[str]:
    """Why this publisher is not healthy; empty if it is.

    It is not, when it is closed, when its buffer is full, or when the oldest message has waited
    for more than half of its ``delivery_timeout``: then nothing gets through.
    """
    if publisher._closed_in is not None:
        return ["the publisher is closed"]
    options = publisher._options
    total = publisher.stats().total
    found = []
    if total.outstanding >= options.max_messages or total.outstanding_bytes >= options.max_bytes:
        found.append(
            f"the buffer is full: {total.outstanding:,} messages, {total.outstanding_bytes:,} bytes"
        )
    if total.oldest_age > options.delivery_timeout / 2:
        found.append(
            f"the oldest message has waited for {total.oldest_age:.1f} s of"
            f" delivery_timeout={options.delivery_timeout:g} s"
        )
    return found


def report(publisher: Publisher) -> dict[str, Any]:
    """The problems and the account of one publisher, for JSON."""
    stats = publisher.stats()
    found = problems(publisher)
    return {
        "healthy": not found,
        "problems": found,
        "total": as_dict(stats.total),
        "destinations": {name: as_dict(ledger) for name, ledger in stats.destinations.items()},
    }


def as_dict(ledger: Ledger) -> dict[str, Any]:
    """A ledger as JSON's own types."""
    values = {item.name: getattr(ledger, item.name) for item in fields(ledger)}
    return {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()
    }
