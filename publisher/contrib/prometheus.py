"""Prometheus: what the account knows, as metrics.

In one process, a collector that reads the account when it is scraped and costs nothing in between::

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

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from .. import _clock
from .._account.events import Event
from .._account.ledger import LATENCY_BOUNDS, Ledger, SpoolStats, Stats
from .._options import Options
from .._publisher import Publisher
from ..hooks import Hook
from ._watching import named, on_disk, together, watched

if TYPE_CHECKING:
    from .._engine.core import Core

_LABELS = ("service", "region", "destination")
#: (name, what it counts, further label, its counts in a ledger: a number, or by that label)
_COUNTERS: tuple[tuple[str, str, str, Callable[[Ledger], Any]], ...] = (
    ("accepted", "Messages accepted.", "", lambda ledger: ledger.accepted),
    ("delivered", "Messages stored by the service.", "", lambda ledger: ledger.delivered),
    ("failed", "Messages lost after a try.", "code", lambda ledger: ledger.failed_by_code),
    ("dropped", "Messages never sent.", "reason", lambda ledger: ledger.dropped_by_reason),
    ("cancelled", "Messages withdrawn.", "", lambda ledger: ledger.cancelled),
    ("spooled", "Messages left on disk.", "", lambda ledger: ledger.spooled),
    ("replayed", "Messages offered again from disk.", "", lambda ledger: ledger.replayed),
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
#: What is on disk; 0 without a spool.
_SPOOL: tuple[tuple[str, str, str, Callable[[SpoolStats], float]], ...] = (
    ("waiting_messages", "Messages on disk.", "livesum", lambda spool: spool.waiting),
    ("bytes", "Bytes of the files.", "livesum", lambda spool: spool.bytes),
    ("oldest_age_seconds", "Age of the oldest on disk.", "livemax", lambda spool: spool.oldest_age),
    ("orphans", "Dead processes whose files nobody has.", "livemax", lambda spool: spool.orphans),
    ("skipped_records", "Damaged records passed over.", "livesum", lambda spool: spool.skipped),
    ("unwritten_messages", "Messages the disk failed.", "livesum", lambda spool: spool.unwritten),
)
_EVERY = 0.1  # seconds
_LATENCY = "Seconds from acceptance to the outcome."
_LIMITS: tuple[tuple[str, Callable[[Options], int]], ...] = (
    ("messages", lambda options: options.max_messages),
    ("bytes", lambda options: options.max_bytes),
)


class PublisherCollector(Collector):
    """Reads accounts when it is scraped.

    A registry takes one: a second one, which would show the same metrics again, raises ValueError
    when it is registered, and so does one beside a :class:`PrometheusHook`.

    Args:
        of: the publisher, or a collection of them, which is gone through at each scrape and shown
            in sum; default: the process-wide one, whichever that is at the time.
    """

    def __init__(self, of: Publisher | Collection[Publisher] | None = None) -> None:
        self._of = of

    def describe(self) -> Iterable[Metric]:
        """The metrics without values: by their names a registry refuses what has the same."""
        return _families([], [])

    def collect(self) -> Iterator[Metric]:
        """The metrics of every destination."""
        found = named(self._of)
        return _families([each.stats() for each in found], found)


def _families(looks: Collection[Stats], of: Iterable[Publisher]) -> Iterator[Metric]:
    ledgers = together(looks)
    for name, text, label, count in _COUNTERS:
        labels = (*_LABELS, label) if label else _LABELS
        family = CounterMetricFamily(f"publisher_{name}", text, labels=labels)
        for values, amount in _counts(ledgers, count):
            family.add_metric(values, amount)
        yield family
    for name, text, _, value in _GAUGES:
        gauge = GaugeMetricFamily(f"publisher_{name}", text, labels=_LABELS)
        for key, ledger in ledgers.items():
            gauge.add_metric(_split(key), value(ledger))
        yield gauge
    for kind, limit in _LIMITS:
        text = f"The bound max_{kind}."
        bound = sum(limit(each._options) for each in of)
        yield GaugeMetricFamily(f"publisher_buffer_limit_{kind}", text, value=bound)
    spool = on_disk(looks) or SpoolStats()
    for name, text, _, read in _SPOOL:
        yield GaugeMetricFamily(f"publisher_spool_{name}", text, value=read(spool))
    yield _histogram(ledgers)


def _histogram(ledgers: Mapping[str, Ledger]) -> Metric:
    family = HistogramMetricFamily("publisher_delivery_seconds", _LATENCY, labels=_LABELS)
    for key, ledger in ledgers.items():
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
    ledgers: Mapping[str, Ledger], count: Callable[[Ledger], Any]
) -> Iterator[tuple[tuple[str, ...], float]]:
    for key, ledger in ledgers.items():
        found = count(ledger)
        for value, amount in found.items() if hasattr(found, "items") else (("", found),):
            more = (value,) if hasattr(found, "items") else ()
            yield (*_split(key), *more), amount


class PrometheusHook(Hook):
    """Keeps the same metrics as counters, gauges and histograms of ``prometheus_client``.

    They are brought up to date when messages end or are to be sent again; a process that is idle,
    or waits for an answer, shows what was true before.

    Several hooks on one registry add to the same metrics, and several publishers may have one
    hook: counts and what waits are sums, the oldest age is the highest. A publisher needs one.

    Args:
        registry: where the metrics are registered; default: ``prometheus_client.REGISTRY``.

    Attributes:
        publisher: whose account; default: those of the publishers that it is a hook of, and where
            it is nobody's the process-wide one. Set it where the hook is told of events by an
            object of yours.
    """

    caller_context = False

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.publisher: Publisher | None = None
        # Frameworks make a hook each time they read settings, and a registry takes a name once.
        with _making:
            series = _series.get(registry)
            if series is None:
                series = _series[registry] = _Series(registry)
            else:
                series.register(registry)
        self._series = series
        self._batch: Any = None

    def on_sent(self, event: Event) -> None:
        """Note how long the request took."""
        self._series.requests.labels(*_split(event.destination)).observe(event.duration or 0.0)

    def on_delivered(self, event: Event) -> None:
        """Note how long the message took."""
        self._ended(event)

    def on_failed(self, event: Event) -> None:
        """Note how long the message took."""
        self._ended(event)

    def on_retry(self, event: Event) -> None:
        """Bring the counters up to date."""
        # The messages of one request share its attempt, and it is counted when the first is told.
        if event.attempts[-1] is not self._batch:
            self._batch = event.attempts[-1]
            self.update()

    def on_dropped(self, event: Event) -> None:
        """Note how long the message took."""
        self._ended(event)

    def on_spooled(self, event: Event) -> None:
        """Note how long this process had the message."""
        self._ended(event)

    def _ended(self, event: Event) -> None:
        self._series.latency.labels(*_split(event.destination)).observe(event.duration or 0.0)
        self._series.ended(self)

    def update(self) -> None:
        """Bring counters and gauges up to date with the account."""
        self._series.update(self)


class _Noted:
    """What one process has in the metrics already."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # guards what follows, and is held where metrics are set
        #: The counts of each account that was ever looked at. A core is an account's whole life: a
        #: fork, or configure() after close(), begins with another, and with nothing noted.
        self.counts: weakref.WeakKeyDictionary[Core, dict[tuple[int, tuple[str, ...]], float]]
        self.counts = weakref.WeakKeyDictionary()
        self.told = 0  # ends that the hooks were told of
        self.seen = 0  # ends that the accounts had at the last look
        self.looked = 0.0  # when that was


class _Series:
    """The metrics in one registry, and what of the accounts is in them."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
        self._spool = [
            (
                Gauge(
                    f"publisher_spool_{name}",
                    text,
                    registry=registry,
                    multiprocess_mode=mode,  # type: ignore[arg-type]
                ),
                read,
            )
            for name, text, mode, read in _SPOOL
        ]
        self.latency = Histogram(
            "publisher_delivery_seconds",
            _LATENCY,
            _LABELS,
            registry=registry,
            buckets=(*LATENCY_BOUNDS, float("inf")),
        )
        self.requests = Histogram(
            "publisher_request_seconds",
            "Seconds that a request took.",
            _LABELS,
            registry=registry,
        )
        self._noted: dict[int, _Noted] = {}  # by process: a fork may leave the parent's lock locked

    def register(self, registry: CollectorRegistry) -> None:
        """Register again what somebody took out of the registry, as tests do."""
        kept = (one for one, _ in (*self._counters, *self._gauges, *self._limits, *self._spool))
        for metric in (*kept, self.latency, self.requests):
            with contextlib.suppress(ValueError):  # it is there
                registry.register(metric)

    def _mine(self) -> _Noted:
        pid = os.getpid()
        return self._noted.get(pid) or self._noted.setdefault(pid, _Noted())

    def ended(self, hook: PrometheusHook) -> None:
        """A hook was told of a message's end.

        The messages of a request, or of a burst of drops, are in the account before the first of
        them is told. So one look does for all, and there is another as soon as more are told than
        the last look has seen: the last one told is never left out.
        """
        noted = self._mine()
        with noted.lock:
            noted.told += 1
            # Where an end could not be told, the count of those told stays behind; the clock helps.
            if noted.told > noted.seen or _clock.now() - noted.looked > _EVERY:
                self.update(hook)

    def update(self, hook: PrometheusHook) -> None:
        """Add what is new in the hook's accounts, and in all others that were looked at before."""
        noted = self._mine()
        with noted.lock:
            for core in watched(hook):
                noted.counts.setdefault(core, {})
            cores = list(noted.counts)
            if not cores:  # nothing was ever published
                return
            noted.looked = _clock.now()
            looks = [core.stats() for core in cores]
            for core, stats in zip(cores, looks, strict=True):
                self._add(stats.destinations, noted.counts[core])
            ledgers = together(looks)
            for gauge, value in self._gauges:
                for key, ledger in ledgers.items():
                    gauge.labels(*_split(key)).set(value(ledger))
            # A closed one takes in nothing any more, but its clients may keep it alive.
            bounds = [core.options for core in cores if not core.flow.closed]
            for gauge, limit in self._limits:
                gauge.set(sum(map(limit, bounds or [core.options for core in cores])))
            spool = on_disk(looks) or SpoolStats()
            for gauge, read in self._spool:
                gauge.set(read(spool))
            noted.seen = sum(map(_ends, ledgers.values()))
            noted.told = min(noted.told, noted.seen)  # what an account forgot cannot come again

    def _add(
        self, ledgers: Mapping[str, Ledger], before: dict[tuple[int, tuple[str, ...]], float]
    ) -> None:
        for index, (counter, count) in enumerate(self._counters):
            for values, amount in _counts(ledgers, count):
                more = amount - before.get((index, values), 0)
                if more > 0:
                    before[index, values] = amount
                    counter.labels(*values).inc(more)


def _ends(ledger: Ledger) -> int:
    # A failure's code is counted after the failure, and before it is told.
    failed = sum(ledger.failed_by_code.values())
    return ledger.delivered + ledger.dropped + ledger.spooled + failed


_series: weakref.WeakKeyDictionary[CollectorRegistry, _Series] = weakref.WeakKeyDictionary()
_making = threading.Lock()
