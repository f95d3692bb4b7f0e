"""Amazon's embedded metric format: metrics as log lines, for Lambda and the like.

::

    metrics = EmfHook()
    publisher.configure(hooks=[metrics])

    def handler(event, context):
        try:
            ...
        finally:
            publisher.flush(timeout=5)
            metrics.emit()

CloudWatch makes metrics of the lines: ``Accepted``, ``Delivered``, ``Failed``, ``Dropped``,
``Retries``, ``Requests``, ``SentBytes``, ``Outstanding``, ``OldestAge`` and ``RequestTime`` by
service and destination, and ``Errors`` by error code too. With a spool there are ``Spooled`` and
``Replayed`` beside them, and a line of what is on disk with the service ``spool``. Between two
calls of ``emit`` a line is also written when a request comes back more than ``interval`` after the
last.
Format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from .. import _clock
from .._account.events import Event
from .._account.ledger import Ledger, SpoolStats
from .._publisher import Publisher
from ..hooks import Hook
from ._watching import watched

if TYPE_CHECKING:
    from .._engine.core import Core

_COUNTS = {
    "Accepted": "accepted",
    "Delivered": "delivered",
    "Failed": "failed",
    "Dropped": "dropped",
    "Retries": "retries",
    "Requests": "requests",
}
#: Shown where there is something to count: each metric costs.
_OF_SPOOL = {"Spooled": "spooled", "Replayed": "replayed"}
_ON_DISK = {
    "SpoolWaiting": "waiting",
    "SpoolBytes": "bytes",
    "SpoolOldestAge": "oldest_age",
    "SpoolOrphans": "orphans",
    "SpoolSkipped": "skipped",
    "SpoolUnwritten": "unwritten",
}
_UNITS = {
    "SentBytes": "Bytes",
    "OldestAge": "Seconds",
    "RequestTime": "Seconds",
    "SpoolBytes": "Bytes",
    "SpoolOldestAge": "Seconds",
}
#: The format takes so many values of one metric in a line.
_MAX_VALUES = 100


class _Noted:
    """What one process has written already, and what it has to write."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # guards what follows, and keeps lines whole
        self.emitted = _clock.now()
        #: By account. A core is an account's whole life: a fork, or configure() after close(),
        #: begins with another.
        self.before: weakref.WeakKeyDictionary[Core, Mapping[str, Ledger]]
        self.before = weakref.WeakKeyDictionary()
        self.spools: weakref.WeakKeyDictionary[Core, SpoolStats] = weakref.WeakKeyDictionary()
        self.times: dict[str, list[float]] = {}


class EmfHook(Hook):
    """Writes what has changed in the account since the last line.

    Several publishers may have one such hook; each account has lines of its own.

    Args:
        namespace: of the metrics in CloudWatch.
        stream: a text file; default: standard output, which is what Lambda takes.
        interval: seconds between lines that nobody asked for by calling :meth:`emit`.

    Attributes:
        publisher: whose account; default: those of the publishers that it is a hook of, and where
            it is nobody's the process-wide one.
    """

    caller_context = False

    def __init__(
        self,
        namespace: str = "boto3-publisher",
        stream: TextIO | None = None,
        interval: float = 60.0,
    ) -> None:
        self.publisher: Publisher | None = None
        self._namespace = namespace
        self._stream = stream
        self._interval = interval
        self._noted: dict[int, _Noted] = {}  # by process: a fork may leave the parent's lock locked
        self._mine()

    def _mine(self) -> _Noted:
        pid = os.getpid()
        return self._noted.get(pid) or self._noted.setdefault(pid, _Noted())

    def on_sent(self, event: Event) -> None:
        """Keep how long the request took."""
        noted = self._mine()
        with noted.lock:
            times = noted.times.setdefault(event.destination, [])
            if len(times) < _MAX_VALUES:
                times.append(round(event.duration or 0.0, 6))
        if _clock.now() - noted.emitted >= self._interval:
            self.emit()

    def emit(self) -> None:
        """Write a line for each destination that has changed; call it after ``flush()``.

        And one for the spool, if there is one and it has changed.
        """
        noted = self._mine()
        with noted.lock:
            noted.emitted = _clock.now()
            times, noted.times = noted.times, {}
            stream = self._stream or sys.stdout
            for core in watched(self):
                before = noted.before.get(core, {})
                stats = core.stats()
                now = noted.before[core] = stats.destinations
                for name, ledger in now.items():
                    if ledger == before.get(name):
                        continue
                    took = times.pop(name, [])
                    for line in self._lines(name, before.get(name, Ledger()), ledger, took):
                        stream.write(json.dumps(line) + "\n")
                if stats.spool is not None and stats.spool != noted.spools.get(core):
                    noted.spools[core] = stats.spool
                    values = {name: getattr(stats.spool, each) for name, each in _ON_DISK.items()}
                    stream.write(json.dumps(self._line({"Service": "spool"}, values)) + "\n")
            stream.flush()

    def _lines(
        self, name: str, before: Ledger, ledger: Ledger, times: list[float]
    ) -> Iterator[dict[str, Any]]:
        service, _, rest = name.partition(":")
        region, _, label = rest.partition(":")
        dimensions = {"Service": service, "Region": region, "Destination": label or service}
        values: dict[str, Any] = {
            metric: getattr(ledger, field) - getattr(before, field)
            for metric, field in _COUNTS.items()
        }
        for metric, field in _OF_SPOOL.items():
            if getattr(ledger, field):
                values[metric] = getattr(ledger, field) - getattr(before, field)
        values["SentBytes"] = ledger.bytes_sent - before.bytes_sent
        values["Outstanding"] = ledger.outstanding
        values["OldestAge"] = round(ledger.oldest_age, 3)
        if times:
            values["RequestTime"] = times
        yield self._line(dimensions, values)
        for code, count in ledger.errors_by_code.items():
            if more := count - before.errors_by_code.get(code, 0):
                yield self._line({**dimensions, "ErrorCode": code}, {"Errors": more})

    def _line(self, dimensions: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
        metrics = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in values]
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [list(dimensions)],
            "Metrics": metrics,
        }
        about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        return {"_aws": about, **dimensions, **values}
