"""Prometheus, OpenTelemetry and EMF show what the ledger holds."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import publisher
from publisher.contrib.emf import EmfHook
from publisher.contrib.opentelemetry import MetricsHook, observe
from publisher.contrib.prometheus import PrometheusHook, PublisherCollector
from tests.servers import Answer, Endpoint, Failure
from tests.support import SOON, STREAM, TOPIC, client_of, publishing

Samples = dict[str, list[tuple[dict[str, str], float]]]


def parsed(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(value for found, value in samples.get(name, []) if labels.items() <= found.items())


def work(made: publisher.Publisher, endpoint: Endpoint) -> None:
    """40 messages to a topic, 30 to a stream: 2 fail for good and 5 once."""
    once = {b"r%d" % n for n in range(5)}

    def script(request: Any) -> Answer:
        failures: dict[int, Any] = {}
        for index, entry in enumerate(request.entries):
            if entry.data.startswith(b"bad"):
                failures[index] = "InvalidParameter"
            elif entry.data in once:
                once.discard(entry.data)
                text = "Rate exceeded for shard shardId-000000000003 in stream clicks"
                failures[index] = Failure("ProvisionedThroughputExceededException", text)
        return Answer(failures=failures)

    endpoint.script(script)
    sns = client_of(made, "sns", endpoint.url)
    kinesis = client_of(made, "kinesis", endpoint.url)
    for number in range(38):
        sns.publish(TopicArn=TOPIC, Message=f"good {number}")
    for number in range(2):
        sns.publish(TopicArn=TOPIC, Message=f"bad {number}")
    for number in range(30):
        kinesis.put_record(StreamName=STREAM, Data=f"r{number}".encode(), PartitionKey="hidden")
    made.close(SOON)


def check(samples: Samples, made: publisher.Publisher) -> None:
    orders = {"service": "sns", "region": "us-east-1", "destination": "orders"}
    clicks = {"service": "kinesis", "region": "us-east-1", "destination": "clicks"}
    throttled = "ProvisionedThroughputExceededException"
    assert total(samples, "publisher_accepted_total", **orders) == 40
    assert total(samples, "publisher_delivered_total", **orders) == 38
    assert total(samples, "publisher_delivered_total", **clicks) == 30
    assert total(samples, "publisher_failed_total", code="InvalidParameter", **orders) == 2
    assert total(samples, "publisher_errors_total", code=throttled, **clicks) == 5
    assert total(samples, "publisher_shard_errors_total", shard="shardId-000000000003") == 5
    assert total(samples, "publisher_retries_total", **clicks) == 5
    assert total(samples, "publisher_outstanding_messages") == 0
    assert total(samples, "publisher_buffer_limit_messages") == 10_000
    ledger = made.stats().total
    assert total(samples, "publisher_requests_total") == ledger.requests
    assert total(samples, "publisher_sent_bytes_total") == ledger.bytes_sent
    assert total(samples, "publisher_delivery_seconds_count") == 70
    assert total(samples, "publisher_delivery_seconds_bucket", le="+Inf") == 70
    assert total(samples, "publisher_delivery_seconds_sum") == pytest.approx(
        ledger.latency_sum, rel=0.2
    )


def test_the_collector_shows_the_ledger(endpoint: Endpoint) -> None:
    registry = CollectorRegistry()
    with publishing() as made:
        registry.register(PublisherCollector(made))
        assert "publisher_delivered_total{" not in generate_latest(registry).decode()
        work(made, endpoint)
        text = generate_latest(registry).decode()
    check(parsed(text), made)
    assert "hidden" not in text


def test_the_hook_shows_the_same(endpoint: Endpoint) -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    with publishing(hooks=[hook]) as made:
        hook.publisher = made
        work(made, endpoint)
        text = generate_latest(registry).decode()
    check(parsed(text), made)
    assert "hidden" not in text


def test_names_and_units_are_as_prometheus_asks(endpoint: Endpoint) -> None:
    registry = CollectorRegistry()
    with publishing() as made:
        registry.register(PublisherCollector(made))
        work(made, endpoint)
        text = generate_latest(registry)
    for line in text.decode().splitlines():
        if line.startswith("# TYPE") and line.endswith(" counter"):
            assert line.split()[2].endswith("_total")
    names = {name for name in parsed(text.decode()) if not name.endswith(("_created", "_info"))}
    assert all(name.startswith("publisher_") for name in names)
    for name in names:
        assert "milliseconds" not in name
        assert "kilobytes" not in name


WORKER = """
import os, sys
import publisher
from publisher.contrib.prometheus import PrometheusHook
publisher.configure(hooks=[PrometheusHook()])
client = publisher.client("sns", endpoint_url=sys.argv[1])
for child in range(2):
    if os.fork() == 0:
        for n in range(20):
            client.publish(TopicArn=sys.argv[2], Message=str(n))
        publisher.close(20)
        os._exit(0)
codes = [os.wait()[1] for _ in range(2)]
assert codes == [0, 0], codes
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
sys.stdout.write(generate_latest(registry).decode())
"""


def test_two_forked_workers_add_up_in_multiprocess_mode(endpoint: Endpoint, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, endpoint.url, TOPIC],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    samples = parsed(done.stdout)
    assert total(samples, "publisher_accepted_total") == 40
    assert total(samples, "publisher_delivered_total", destination="orders") == 40
    assert total(samples, "publisher_delivery_seconds_count") == 40


def test_opentelemetry_metrics_follow_the_conventions(endpoint: Endpoint) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    with publishing(hooks=[MetricsHook(provider)]) as made:
        observe(made, provider)
        work(made, endpoint)
        data = json.loads(reader.get_metrics_data().to_json())
    points: dict[str, list[Any]] = {}
    units: dict[str, str] = {}
    for scope in data["resource_metrics"][0]["scope_metrics"]:
        for metric in scope["metrics"]:
            points[metric["name"]] = metric["data"]["data_points"]
            units[metric["name"]] = metric["unit"]
    sent = points["messaging.client.sent.messages"]
    topic = [each for each in sent if each["attributes"]["messaging.system"] == "aws.sns"]
    good = sum(each["value"] for each in topic if "error.type" not in each["attributes"])
    bad = {
        each["attributes"]["error.type"]: each["value"]
        for each in topic
        if "error.type" in each["attributes"]
    }
    assert good == 38
    assert bad == {"InvalidParameter": 2}
    assert {each["attributes"]["messaging.destination.name"] for each in topic} == {"orders"}
    assert units["messaging.client.operation.duration"] == "s"
    durations = points["messaging.client.operation.duration"]
    assert sum(each["count"] for each in durations) == made.stats().total.requests
    delivered = {
        each["attributes"]["messaging.destination.name"]: each["value"]
        for each in points["publisher.delivered"]
    }
    assert delivered == {"orders": 38, "clicks": 30}
    assert "hidden" not in json.dumps(data)


def test_emf_lines_hold_what_has_changed(endpoint: Endpoint) -> None:
    out = io.StringIO()
    hook = EmfHook(namespace="shop", stream=out)
    with publishing(hooks=[hook]) as made:
        hook.publisher = made
        work(made, endpoint)
        hook.emit()
        lines = [json.loads(line) for line in out.getvalue().splitlines()]
        hook.emit()  # nothing has changed since
        assert len(out.getvalue().splitlines()) == len(lines)
    counts = {line["Destination"]: line for line in lines if "ErrorCode" not in line}
    assert counts["orders"]["Delivered"] == 38
    assert counts["orders"]["Failed"] == 2
    assert counts["clicks"]["Delivered"] == 30
    errors = {line["ErrorCode"]: line["Errors"] for line in lines if "ErrorCode" in line}
    assert errors == {"InvalidParameter": 2, "ProvisionedThroughputExceededException": 5}
    for line in lines:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "shop"
        assert len(directive["Dimensions"][0]) <= 30
        for name in directive["Dimensions"][0]:
            assert isinstance(line[name], str)
        for metric in directive["Metrics"]:
            value = line[metric["Name"]]
            values = value if isinstance(value, list) else [value]
            assert 0 < len(values) <= 100
            assert all(isinstance(each, (int, float)) for each in values)
    assert "hidden" not in out.getvalue()


def test_codes_are_bounded() -> None:
    from publisher._stats import MAX_CODES, MAX_SHARDS, Counters

    counters = Counters(lambda: "k")
    for number in range(1_000):
        counters.note_errors({f"Code{number}": 1}, {f"shardId-{number}": 1})
        counters.note_failed({f"bad code\n{number}": 1})
    ledger = counters.ledger(0.0)
    assert len(ledger.errors_by_code) <= MAX_CODES + 1
    assert sum(ledger.errors_by_code.values()) == 1_000
    assert len(ledger.errors_by_shard) <= MAX_SHARDS + 1
    assert ledger.failed_by_code == {"other": 1_000}


def test_stats_print_as_a_table_and_render_in_a_notebook(endpoint: Endpoint) -> None:
    with publishing() as made:
        work(made, endpoint)
        stats = made.stats()
    lines = str(stats).splitlines()
    assert lines[0].split()[:4] == ["destination", "accepted", "delivered", "failed"]
    assert lines[3].split()[:4] == ["total", "70", "68", "2"]
    assert "failed: InvalidParameter 2" in str(stats)
    html = stats._repr_html_()
    assert "<td" in html
    assert "<b>2</b>" in html
    odd = publisher.Stats(stats.total, {"<script>": stats.total})
    assert "<script>" not in odd._repr_html_()
