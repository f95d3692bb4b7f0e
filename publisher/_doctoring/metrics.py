"""The metrics that a running process exposes, read back into ledgers."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._account.ledger import REASONS, Ledger, SpoolStats
from .._text import masked, masked_address
from .finding import WARNING, Finding
from .live import accounts, spool

_TIMEOUT = 10  # seconds
_LONGEST = 64 * 1024 * 1024  # bytes
_COUNTS = ("accepted", "delivered", "cancelled", "spooled", "replayed", "retries", "requests")
_ON_DISK = {
    "waiting": "waiting_messages",
    "bytes": "bytes",
    "orphans": "orphans",
    "skipped": "skipped_records",
    "unwritten": "unwritten_messages",
}


class MetricsError(Exception):
    """There are no metrics that can be read; the text says why, in one line."""


def findings(where: str) -> Iterator[Finding]:
    """What the metrics at a URL, or in a file, say about losses. Raises MetricsError."""
    text = _read(where)
    where = masked_address(where)
    try:
        from prometheus_client.parser import text_string_to_metric_families as parse
    except ModuleNotFoundError:
        raise MetricsError("--metrics needs pip install 'boto3-publisher[prometheus]'") from None
    samples: dict[str, list[Any]] = {}
    try:
        for family in parse(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append(sample)
    except ValueError:
        raise MetricsError(f"{where} has no metrics in Prometheus's text format") from None
    if not any(name.startswith("publisher_") for name in samples):
        yield Finding(
            WARNING,
            "metrics",
            f"{where} has none of a publisher",
            "register publisher.contrib.prometheus.PublisherCollector there",
        )
        return
    try:
        ledgers, bounds, on_disk = _ledgers(samples), _bounds(samples), _spool(samples)
    except MetricsError as error:
        raise MetricsError(f"{where}: {error}") from None
    yield from accounts(ledgers, bounds)
    yield from spool(on_disk)


def _read(where: str) -> str:
    try:
        if where.startswith(("http://", "https://")):
            with urllib.request.urlopen(where, timeout=_TIMEOUT) as response:  # noqa: S310
                return str(response.read(_LONGEST).decode())
        return Path(where).read_text()
    except (
        OSError,
        ValueError,
        http.client.HTTPException,
    ) as error:  # none of these is a subclass of another
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise MetricsError(f"cannot read {masked_address(where)}: {masked(reason)}") from None


def _whole(sample: Any) -> int:
    try:
        return int(sample.value)
    except (ValueError, OverflowError):
        raise MetricsError(
            f"{sample.name} is {sample.value}, and publishers count in whole numbers: see what else"
            " writes metrics of that name"
        ) from None


def _bounds(samples: dict[str, list[Any]]) -> tuple[int, int] | None:
    found = [
        sum(map(_whole, samples.get(f"publisher_buffer_limit_{kind}", [])))
        for kind in ("messages", "bytes")
    ]
    return (found[0], found[1]) if all(found) else None


def _spool(samples: dict[str, list[Any]]) -> SpoolStats | None:
    """What is on disk; None where all is 0, for then there may be no spool."""
    found = SpoolStats(
        **{
            field: sum(map(_whole, samples.get(f"publisher_spool_{name}", [])))
            for field, name in _ON_DISK.items()
        },
        oldest_age=max(
            (each.value for each in samples.get("publisher_spool_oldest_age_seconds", [])),
            default=0.0,
        ),
    )
    return None if found == SpoolStats() else found


def _ledgers(samples: dict[str, list[Any]]) -> dict[str, Ledger]:
    fields: dict[str, dict[str, Any]] = {}

    def of(sample: Any) -> dict[str, Any]:
        labels = sample.labels
        name = ":".join(labels.get(part, "") for part in ("service", "region", "destination"))
        empty: dict[str, Any] = {
            "failed_by_code": {},
            "errors_by_code": {},
            "errors_by_shard": {},
            "dropped_by_reason": dict.fromkeys(REASONS, 0),
        }
        return fields.setdefault(name, empty)

    for count in _COUNTS:
        for sample in samples.get(f"publisher_{count}_total", []):
            found = of(sample)
            found[count] = found.get(count, 0) + _whole(sample)
    for metric, field, label in (
        ("failed", "failed_by_code", "code"),
        ("errors", "errors_by_code", "code"),
        ("shard_errors", "errors_by_shard", "shard"),
        ("dropped", "dropped_by_reason", "reason"),
    ):
        for sample in samples.get(f"publisher_{metric}_total", []):
            counts, name = of(sample)[field], sample.labels.get(label, "")
            counts[name] = counts.get(name, 0) + _whole(sample)
    for gauge, field in (
        ("publisher_outstanding_messages", "outstanding"),
        ("publisher_outstanding_bytes", "outstanding_bytes"),
        ("publisher_oldest_age_seconds", "oldest_age"),
    ):
        for sample in samples.get(gauge, []):
            of(sample)[field] = sample.value if field == "oldest_age" else _whole(sample)
    for found in fields.values():
        found["failed"] = sum(found["failed_by_code"].values())
        found["dropped"] = sum(found["dropped_by_reason"].values())
    return {name: Ledger(**found) for name, found in fields.items()}
