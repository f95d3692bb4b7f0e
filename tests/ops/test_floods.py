"""A service that makes up an error code for each message floods no log, and no label."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

import publisher
from publisher._account.causes import KNOWN
from publisher._account.ledger import MAX_CODES, OTHER
from publisher._account.losses import INTERVAL, Limiter
from publisher.contrib.emf import EmfHook
from publisher.contrib.opentelemetry import MetricsHook, TracingHook, observe
from publisher.contrib.prometheus import PrometheusHook, PublisherCollector
from tests.servers import Answer, Endpoint, Error, Failure, Request
from tests.support import STREAM, Watch, client_of, publishing, tries

MESSAGES = 5_000


def code_of(data: bytes) -> str:
    """Of each message its own; of every second one as odd, and as telling, as may be."""
    number = int(data.split()[1])
    return f"Code{number}" if number % 2 else f"2026 CRITICAL\n\x1b[31m{data.decode()}" + "x" * 400


def flood(request: Request) -> Answer:
    if len(request.entries) == 1:
        return Answer(error=Error(500, code_of(request.entries[0].data)))
    return Answer(
        failures={
            index: Failure(code_of(entry.data), entry.data.decode())
            for index, entry in enumerate(request.entries)
        }
    )


def publish_all(made: publisher.Publisher, endpoint: Endpoint, count: int = MESSAGES) -> None:
    kinesis = client_of(made, "kinesis", endpoint.url)
    for number in range(count):
        data = f"secret-body {number}".encode()
        kinesis.put_record(StreamName=STREAM, Data=data, PartitionKey="hidden")


def few(names: set[str]) -> None:
    """Of thousands these are those of the account."""
    assert OTHER in names
    assert 2 < len(names) <= MAX_CODES + 1
    assert all(name == OTHER or name.startswith("Code") for name in names)


def test_thousands_of_codes_are_a_handful_of_lines(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "publisher")
    endpoint.script(flood)
    watch = Watch()
    with publishing(hooks=[publisher.LoggingHook()], retry=tries(2)) as made:
        publish_all(made, endpoint)
    stats = made.stats()
    assert stats.total.failed == MESSAGES
    few({*stats.total.failed_by_code, *stats.total.errors_by_code})
    lines: list[Any] = [one for one in caplog.records if hasattr(one, "error_code")]
    assert {one.event for one in lines} == {"publisher.failed", "publisher.retry"}
    intervals = 1 + int(watch.seconds / INTERVAL)  # a busy machine takes longer
    assert len(lines) <= 3 * (MAX_CODES + 1) * intervals
    few({one.error_code for one in lines})
    for text in (caplog.text, str(stats), stats._repr_html_()):
        assert "secret" not in text
        assert "\x1b" not in text
        assert "CRITICAL" not in text


def labels(collector: Collector) -> set[str]:
    return {
        sample.labels["code"]
        for family in collector.collect()
        for sample in family.samples
        if "code" in sample.labels
    }


def test_spans_metrics_and_labels_bear_the_accounts_names(endpoint: Endpoint) -> None:
    endpoint.script(flood)
    exporter, reader, registry = (
        InMemorySpanExporter(),
        InMemoryMetricReader(),
        CollectorRegistry(),
    )
    tracers, meters = TracerProvider(), MeterProvider(metric_readers=[reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    out = io.StringIO()
    told: list[publisher.Event] = []

    class Keeping(publisher.Hook):
        def on_failed(self, event: publisher.Event) -> None:
            told.append(event)

        on_sent = on_retry = on_failed

    hooks = [TracingHook(tracers), MetricsHook(meters), PrometheusHook(registry), Keeping()]
    emf = EmfHook(stream=out)
    with publishing(hooks=[*hooks, emf], retry=tries(2)) as made:
        observe(made, meters)
        publish_all(made, endpoint, 1_000)
        made.close(20)
        emf.emit()
        points = json.loads(reader.get_metrics_data().to_json())  # type: ignore[union-attr]
        collector = PublisherCollector(made)
        few(labels(collector))
    few(labels(registry))  # type: ignore[arg-type]  # it collects as a collector does
    few({event.error_code for event in told if event.error_code})
    few({code for event in told for code in event.errors})
    assert {event.attempts[-1].error_code for event in told if event.attempts} > {"Code1", "Code99"}
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    few({line["ErrorCode"] for line in lines if "ErrorCode" in line})
    metrics = points["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    found = [point["attributes"] for each in metrics for point in each["data"]["data_points"]]
    few({one["error.type"] for one in found if "error.type" in one})
    spans = exporter.get_finished_spans()
    few({str(one.attributes["error.type"]) for one in spans if "error.type" in one.attributes})  # type: ignore[operator,index]
    few({str(one.status.description) for one in spans if one.status.description})
    events = [one.attributes or {} for span in spans for one in span.events]
    few({str(one["error.type"]) for one in events})
    for text in (out.getvalue(), json.dumps(points), *(span.to_json() for span in spans)):
        assert "secret" not in text
        assert "CRITICAL" not in text


def test_a_flood_hides_no_code_that_means_something(endpoint: Endpoint) -> None:
    endpoint.script(flood)
    with publishing(retry=tries(1)) as made:
        publish_all(made, endpoint, 1_000)
        made.flush(20)
        for code in ("AccessDeniedException", "ProvisionedThroughputExceededException"):
            assert code in KNOWN
            endpoint.script(Answer(failures={0: code}))
            publish_all(made, endpoint, 1)
            made.flush(20)
            assert made.stats().total.failed_by_code[code] == 1


@pytest.mark.parametrize("keys", [10, 999, 1_000, 1_001, 50_000])
def test_the_lines_of_an_interval_are_bounded_whatever_the_keys(keys: int) -> None:
    now = [0]
    limiter = Limiter(lambda: now[0], interval=keys)
    written: list[Any] = []
    counted = 0
    for turn in range(4):
        written.append(0)
        for number in range(keys):
            now[0] = turn * keys + number
            if (left_out := limiter.suppressed((turn // 2, number), 1)) is not None:
                counted += 1 + left_out
                written[-1] += 1
    assert max(written) <= min(keys, 2 * 1_000 + 1)
    assert min(written) >= min(keys, 1_000) - 1
    for number in range(keys):  # what is still to be told
        counted += limiter._suppressed.pop((1, number), 0)
    assert counted + sum(limiter._suppressed.values()) == 4 * keys
