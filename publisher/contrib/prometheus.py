"""Prometheus: what the account knows, as metrics.

In one process, a collector that reads ``publisher.stats()`` when it is scraped and costs nothing in
between::

    from prometheus_client import REGISTRY
    from publisher.contrib.prometheus import PublisherCollector

    REGISTRY.register(PublisherCollector())

In ``prometheus_client``'s multi-process mode (gunicorn, ``PROMETHEUS_MULTIPROC_DIR``), where no
collector is asked, a hook that keeps the same metrics up to date::

    publisher.configure(hooks=[PrometheusHook()])

One or the other: they share their names. Labels are the service, the region, the destination's name
and, where it applies, an error code, a shard or a reason; all are bounded by the account.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import publisher

from .._message import Event
from .._publisher import Publisher
from .._stats import LATENCY_BOUNDS, Ledger, Stats
from ..hooks import Hook

_LABELS = ("service", "region", "destination")
#: (name, what it counts, further label, its counts in a ledger: a number, or by that label)
_COUNTERS: tuple[tuple[str, str, str, Callable[[Ledger], Any]], ...] = (
    ("accepted", "Messages accepted.", "", lambda ledger: ledger.accepted),
    ("delivered", "Messages stored by the service.", "", lambda ledger: ledger.delivered),
    ("failed", "Messages lost after a try.", "code", lambda ledger: ledger.failed_by_code),
    ("dropped", "Messages never sent.", "reason", lambda ledger: ledger.dropped_by_reason),
    ("cancelled", "Messages withdrawn.", "", lambda ledger: ledger.cancelled),
    ("errors", "Tries that failed.", "code", lambda ledger: ledger.errors_by_code),
    ("shard_errors", "Those that name a shard.", "shard", lambda ledger: ledger.errors_by_shard),
    ("retries", "Times a message was sent again.", "", lambda ledger: ledger.retries),
    ("requests", "Requests sent.", "", lambda ledger: ledger.requests),
    ("sent_bytes", "Bytes of the messages in requests.", "", lambda ledger: ledger.bytes_sent),
)
_GAUGES: tuple[tuple[str, str, str, Callable[[Ledger], float]], ...] = (
    ("outstanding_messages", "Messages waiting.", "livesum", lambda ledger: ledger.outstanding),
    ("outstanding_bytes", "Their bytes.", "livesum", lambda ledger: ledger.outstanding_bytes),
    ("oldest_age_seconds", "Age of the oldest.", "livemax", lambda ledger: ledger.oldest_age),
)
_LATENCY = "Seconds from acceptance to the outcome."
_LIMITS: tuple[tuple[str, Callable[[Publisher], int]], ...] = (
    ("messages", lambda found: found._options.max_messages),
    ("bytes", lambda found: found._options.max_bytes),
)


class PublisherCollector(Collector):
    """Reads a publisher's account when it is scraped.

    Args:
        of: the publisher; default: the process-wide one, whichever that is at the time.
    """

    def __init__(self, of: Publisher | None = None) -> None:
        self._of = of

    def describe(self) -> Iterable[Metric]:
        """Nothing: the destinations are not known yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics of every destination."""
        found = self._of or publisher._default
        stats = found.stats()
        for name, text, label, count in _COUNTERS:
            labels = (*_LABELS, label) if label else _LABELS
            family = CounterMetricFamily(f"publisher_{name}", text, labels=labels)
            for values, amount in _counts(stats, count):
                family.add_metric(values, amount)
            yield family
        for name, text, _, value in _GAUGES:
            gauge = GaugeMetricFamily(f"publisher_{name}", text, labels=_LABELS)
            for key, ledger in stats.destinations.items():
                gauge.add_metric(_split(key), value(ledger))
            yield gauge
        for kind, limit in _LIMITS:
            text = f"The bound max_{kind}."
            yield GaugeMetricFamily(f"publisher_buffer_limit_{kind}", text, value=limit(found))
        yield _histogram(stats)


def _histogram(stats: Stats) -> Metric:
    family = HistogramMetricFamily("publisher_delivery_seconds", _LATENCY, labels=_LABELS)
    for key, ledger in stats.destinations.items():
        passed, buckets = 0, []
        for bound, count in zip((*LATENCY_BOUNDS, None), ledger.latency, strict=True):
            passed += count
            buckets.append(("+Inf" if bound is None else str(bound), float(passed)))
        family.add_metric(_split(key), buckets, ledger.latency_sum)
    return family


def _split(key: str) -> list[str]:
    service, _, rest = key.partition(":")
    region, _, name = rest.partition(":")
    return [service, region, name or service]


def _counts(
    stats: Stats, count: Callable[[Ledger], Any]
) -> Iterator[tuple[tuple[str, ...], float]]:
    for key, ledger in stats.destinations.items():
        found = count(ledger)
        for value, amount in found.items() if hasattr(found, "items") else (("", found),):
            more = (value,) if hasattr(found, "items") else ()
            yield (*_split(key), *more), amount


class PrometheusHook(Hook):
    """Keeps the same metrics as counters, gauges and histograms of ``prometheus_client``.

    They are brought up to date when a request's messages end, so they follow the account within one
    request; a process that is idle, or waits for an answer, shows what was true before.

    Args:
        registry: where the metrics are registered; default: ``prometheus_client.REGISTRY``.

    Attributes:
        publisher: whose account; default: the process-wide one. Set it where the hook is one of
            another publisher's.
    """

    caller_context = False
    _EVERY = 0.1  # seconds: drops come one by one

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.publisher: Publisher | None = None
        self._counters = [
            (
                Counter(
                    f"publisher_{name}",
                    text,
                    (*_LABELS, label) if label else _LABELS,
                    registry=registry,
                ),
                count,
            )
            for name, text, label, count in _COUNTERS
        ]
        self._gauges = [
            (
                Gauge(
                    f"publisher_{name}",
                    text,
                    _LABELS,
                    registry=registry,
                    multiprocess_mode=mode,  # type: ignore[arg-type]
                ),
                value,
            )
            for name, text, mode, value in _GAUGES
        ]
        self._limits = [
            (
                Gauge(
                    f"publisher_buffer_limit_{kind}",
                    f"The bound max_{kind}.",
                    registry=registry,
                    multiprocess_mode="livesum",
                ),
                limit,
            )
            for kind, limit in _LIMITS
        ]
        self._latency = Histogram(
            "publisher_delivery_seconds",
            _LATENCY,
            _LABELS,
            registry=registry,
            buckets=(*LATENCY_BOUNDS, float("inf")),
        )
        self._requests = Histogram(
            "publisher_request_seconds",
            "Seconds that a request took.",
            _LABELS,
            registry=registry,
        )
        self._pid = 0
        self._seen: dict[tuple[int, tuple[str, ...]], float] = {}
        self._batch: Any = None
        self._updated = 0.0

    def on_sent(self, event: Event) -> None:
        """Note how long the request took."""
        self._requests.labels(*_split(event.destination)).observe(event.duration or 0.0)

    def on_delivered(self, event: Event) -> None:
        """Note how long the message took."""
        self._ended(event)

    def on_failed(self, event: Event) -> None:
        """Note how long the message took."""
        self._ended(event)

    def on_retry(self, event: Event) -> None:
        """Bring the counters up to date."""
        self._look(event.attempts[-1])

    def on_dropped(self, event: Event) -> None:
        """Note how long the message took."""
        self._latency.labels(*_split(event.destination)).observe(event.duration or 0.0)
        if time.monotonic() - self._updated > self._EVERY:
            self.update()

    def _ended(self, event: Event) -> None:
        self._latency.labels(*_split(event.destination)).observe(event.duration or 0.0)
        self._look(event.attempts[-1] if event.attempts else None)

    def _look(self, attempt: Any) -> None:
        # The messages of one request share its attempt, and have all ended when the first is told.
        if attempt is None or attempt is not self._batch:
            self._batch = attempt
            self.update()

    def update(self) -> None:
        """Bring counters and gauges up to date with the account."""
        if self._pid != os.getpid():  # a forked child's account starts at zero
            self._pid = os.getpid()
            self._seen = {}
        self._updated = time.monotonic()
        found = self.publisher or publisher._default
        stats = found.stats()
        for index, (counter, count) in enumerate(self._counters):
            for values, amount in _counts(stats, count):
                more = amount - self._seen.get((index, values), 0)
                if more > 0:
                    self._seen[index, values] = amount
                    counter.labels(*values).inc(more)
        for gauge, value in self._gauges:
            for key, ledger in stats.destinations.items():
                gauge.labels(*_split(key)).set(value(ledger))
        for gauge, limit in self._limits:
            gauge.set(limit(found))
