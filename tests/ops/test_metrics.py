"""Prometheus, OpenTelemetry and EMF show what the ledger holds."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
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
from tests.support import SOON, STREAM, TOPIC, Watch, client_of, publishing, until

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
    with publishing(hooks=[PrometheusHook(registry)]) as made:
        work(made, endpoint)
        text = generate_latest(registry).decode()
    check(parsed(text), made)
    assert "hidden" not in text


class Passing(publisher.Hook):
    """Tells another hook, as Django's app does where it wraps one."""

    def __init__(self, hook: publisher.Hook) -> None:
        self.hook = hook

    def on_delivered(self, event: publisher.Event) -> None:
        self.hook.on_delivered(event)


def read(registry: CollectorRegistry) -> Samples:
    return parsed(generate_latest(registry).decode())


def deliver(made: publisher.Publisher, endpoint: Endpoint, count: int) -> None:
    """Messages to one topic; at the end the hooks have been told of all of them."""
    sns = client_of(made, "sns", endpoint.url)
    for number in range(count):
        sns.publish(TopicArn=TOPIC, Message=str(number))
    assert made.flush(SOON) == 0
    told(made)


def told(made: publisher.Publisher) -> None:
    assert made._core is not None
    made._core.runtime.wait_for_calls(SOON)


def test_a_hook_watches_the_publishers_that_it_is_a_hook_of(endpoint: Endpoint) -> None:
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    with (
        publishing() as other,
        publishing(hooks=[hook]) as first,
        publishing(hooks=[Passing(hook)]) as second,
    ):
        deliver(other, endpoint, 1)
        deliver(first, endpoint, 2)
        deliver(second, endpoint, 3)
        assert total(read(registry), "publisher_delivered_total") == 5


def test_a_hook_watches_the_publisher_that_it_is_told(endpoint: Endpoint) -> None:
    registry, out = CollectorRegistry(), io.StringIO()
    hook, lines = PrometheusHook(registry), EmfHook(stream=out)
    with publishing() as own, publishing(hooks=[hook, lines]) as other:
        hook.publisher = lines.publisher = own
        deliver(own, endpoint, 3)
        deliver(other, endpoint, 1)
        lines.emit()
    assert total(read(registry), "publisher_delivered_total") == 3
    assert [json.loads(line)["Delivered"] for line in out.getvalue().splitlines()] == [3]


def test_two_hooks_on_one_registry_share_its_metrics(endpoint: Endpoint) -> None:
    registry = CollectorRegistry()
    hooks = [PrometheusHook(registry) for _ in range(3)]  # the last one, as if only to be checked
    with publishing(hooks=hooks[:1]) as first, publishing(hooks=hooks[1:2]) as second:
        for round_ in range(1, 4):
            deliver(first, endpoint, 2)
            deliver(second, endpoint, 5)
            samples = read(registry)
            assert total(samples, "publisher_delivered_total") == 7 * round_
            assert total(samples, "publisher_delivery_seconds_count") == 7 * round_
    assert total(read(CollectorRegistry()), "publisher_delivered_total") == 0


def test_a_registry_refuses_what_would_show_the_same_metrics_twice(endpoint: Endpoint) -> None:
    registry, other = CollectorRegistry(), CollectorRegistry()
    with publishing() as made:
        collector = PublisherCollector(made)
        registry.register(collector)
        for second in (collector, PublisherCollector(), PublisherCollector(made)):
            with pytest.raises(ValueError, match="publisher_accepted"):
                registry.register(second)
        with pytest.raises(ValueError, match="publisher_accepted"):
            PrometheusHook(registry)
        PrometheusHook(other)
        with pytest.raises(ValueError, match="publisher_accepted"):
            other.register(PublisherCollector(made))
        deliver(made, endpoint, 2)
        assert total(read(registry), "publisher_delivered_total") == 2
        registry.unregister(collector)
        registry.register(PublisherCollector(made))


def test_metrics_that_were_taken_out_of_the_registry_come_back_with_the_next_hook() -> None:
    registry = CollectorRegistry()
    PrometheusHook(registry)
    for collector in list(registry._collector_to_names):
        registry.unregister(collector)
    PrometheusHook(registry)
    names = {name for names in registry._collector_to_names.values() for name in names}
    assert {"publisher_accepted_total", "publisher_delivery_seconds_sum"} <= names


def test_a_publisher_of_two_hooks_is_counted_once(endpoint: Endpoint) -> None:
    registry = CollectorRegistry()
    with publishing(hooks=[PrometheusHook(registry), PrometheusHook(registry)]) as made:
        deliver(made, endpoint, 20)
        assert total(read(registry), "publisher_delivered_total") == 20


def test_what_waits_is_the_sum_over_the_publishers() -> None:
    registry = CollectorRegistry()
    hooks = [PrometheusHook(registry), PrometheusHook(registry)]
    slow: dict[str, Any] = {"linger": 60, "delivery_timeout": 120, "max_messages": 100}
    with (
        publishing(**slow, hooks=hooks[:1]) as first,
        publishing(**slow, hooks=hooks[1:]) as second,
    ):
        for made, count in ((first, 3), (second, 4)):
            sns = client_of(made, "sns", "http://127.0.0.1:1")
            for number in range(count):
                sns.publish(TopicArn=TOPIC, Message=str(number))
        for hook in hooks:
            hook.update()
        samples = read(registry)
        assert total(samples, "publisher_outstanding_messages") == 7
        assert total(samples, "publisher_buffer_limit_messages") == 200
        oldest = max(made.stats().total.oldest_age for made in (first, second))
        assert 0 < total(samples, "publisher_oldest_age_seconds") <= oldest
        first.close(0)
        first._core.runtime.wait_for_end(SOON)  # type: ignore[union-attr]  # the hook was told
        samples = read(registry)
        assert total(samples, "publisher_outstanding_messages") == 4
        assert total(samples, "publisher_dropped_total", reason="closed") == 3
        assert total(samples, "publisher_buffer_limit_messages") == 100
        second.close(0)
    assert total(read(registry), "publisher_outstanding_messages") == 0


def test_an_account_that_begins_anew_is_added(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_default", publisher.Publisher())
    registry, out = CollectorRegistry(), io.StringIO()
    hooks = PrometheusHook(registry), EmfHook(stream=out)
    for count in (10, 4, 6):
        publisher.configure(hooks=hooks)
        deliver(publisher._default, endpoint, count)
        hooks[1].emit()
        publisher.close(SOON)
    assert total(read(registry), "publisher_delivered_total") == 20
    assert total(read(registry), "publisher_buffer_limit_messages") == 10_000
    assert [json.loads(line)["Delivered"] for line in out.getvalue().splitlines()] == [10, 4, 6]


def shown(registry: CollectorRegistry) -> float:
    return total(read(registry), "publisher_dropped_total", reason="buffer_full")


def test_the_last_of_many_drops_is_shown() -> None:
    registry = CollectorRegistry()
    options: dict[str, Any] = {"max_messages": 1, "on_full": "drop", "linger": 60}
    with publishing(**options, delivery_timeout=120, hooks=[PrometheusHook(registry)]) as made:
        sns = client_of(made, "sns", "http://127.0.0.1:1")
        sns.publish(TopicArn=TOPIC, Message="waits")
        dropped = 0
        for burst in (1, 1, 1, 1_000, 1):  # nothing happens between them, nor after the last
            for number in range(burst):
                sns.publish(TopicArn=TOPIC, Message=str(number))
            dropped += burst
            until(lambda due=dropped: shown(registry) == due)  # type: ignore[misc]
            samples = read(registry)
            assert total(samples, "publisher_accepted_total") == dropped + 1
            assert total(samples, "publisher_outstanding_messages") == 1
        made.close(0)


def test_a_burst_costs_few_looks_at_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    registry, go = CollectorRegistry(), threading.Event()

    class Holding(publisher.Hook):
        def on_dropped(self, event: publisher.Event) -> None:
            assert go.wait(SOON)

    options: dict[str, Any] = {"max_messages": 1, "on_full": "drop", "linger": 60}
    hooks = [PrometheusHook(registry), Holding()]
    with publishing(**options, delivery_timeout=120, hooks=hooks) as made:
        sns = client_of(made, "sns", "http://127.0.0.1:1")
        for number in range(2):
            sns.publish(TopicArn=TOPIC, Message=str(number))
        until(lambda: total(read(registry), "publisher_dropped_total") == 1)
        for number in range(500):
            sns.publish(TopicArn=TOPIC, Message=str(number))
        core, looks = made._current(), []
        stats = core.stats
        monkeypatch.setattr(core, "stats", lambda: looks.append(1) or stats())
        watch = Watch()
        go.set()
        told(made)
        assert len(looks) <= 1 + watch.seconds / 0.1
        assert total(read(registry), "publisher_dropped_total") == 501
        monkeypatch.undo()
        made.close(0)


def test_the_collector_shows_several_in_sum(endpoint: Endpoint) -> None:
    registry = CollectorRegistry()
    aliases: dict[str, publisher.Publisher] = {}
    registry.register(PublisherCollector(of=aliases.values()))
    assert total(read(registry), "publisher_buffer_limit_messages") == 0
    with publishing() as first, publishing(max_messages=50) as second:
        aliases |= {"default": first, "audit": second}
        deliver(first, endpoint, 2)
        deliver(second, endpoint, 3)
        samples = read(registry)
    assert [value for _, value in samples["publisher_delivered_total"]] == [5]
    assert total(samples, "publisher_delivery_seconds_count") == 5
    assert total(samples, "publisher_buffer_limit_messages") == 10_050


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
for n in range(5):
    client.publish(TopicArn=sys.argv[2], Message=str(n))
assert publisher.flush(20) == 0
publisher._default._core.runtime.wait_for_calls(20)
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


def test_a_parent_and_two_forked_workers_add_up_in_multiprocess_mode(
    endpoint: Endpoint, tmp_path: Path
) -> None:
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
    assert total(samples, "publisher_accepted_total") == 45
    assert total(samples, "publisher_delivered_total", destination="orders") == 45
    assert total(samples, "publisher_delivery_seconds_count") == 45


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


def test_opentelemetry_shows_several_in_sum(endpoint: Endpoint) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    with publishing() as first, publishing() as second:
        observe([first, second], provider)
        deliver(first, endpoint, 2)
        deliver(second, endpoint, 3)
        data = json.loads(reader.get_metrics_data().to_json())
    (scope,) = data["resource_metrics"][0]["scope_metrics"]
    (delivered,) = (each for each in scope["metrics"] if each["name"] == "publisher.delivered")
    assert [each["value"] for each in delivered["data"]["data_points"]] == [5]


def test_emf_has_lines_for_each_of_its_publishers(endpoint: Endpoint) -> None:
    out = io.StringIO()
    hook = EmfHook(stream=out)
    with publishing(hooks=[hook]) as first, publishing(hooks=[Passing(hook)]) as second:
        deliver(first, endpoint, 2)
        deliver(second, endpoint, 3)
        hook.emit()
        deliver(second, endpoint, 4)
        hook.emit()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert sorted(line["Delivered"] for line in lines[:2]) == [2, 3]
    assert [line["Delivered"] for line in lines[2:]] == [4]
    assert all(line["Destination"] == "orders" for line in lines)


def test_emf_lines_hold_what_has_changed(endpoint: Endpoint) -> None:
    out = io.StringIO()
    hook = EmfHook(namespace="shop", stream=out)
    with publishing(hooks=[hook]) as made:
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


ON_DISK = publisher.SpoolStats(
    waiting=3, bytes=2048, oldest_age=12.5, orphans=2, skipped=1, unwritten=4
)
SPOOL_METRICS = {
    "waiting_messages": 3,
    "bytes": 2048,
    "oldest_age_seconds": 12.5,
    "orphans": 2,
    "skipped_records": 1,
    "unwritten_messages": 4,
}


def spool(made: publisher.Publisher, held: publisher.SpoolStats = ON_DISK) -> None:
    """From here on the account has a spool that holds this, and 2 messages that ended there."""
    assert made._core is not None
    account = made._core.account
    account.on_disk = lambda: held
    (counters,) = account._counters.values()
    with account.lock:
        counters.accepted += 3
        counters.spooled += 2
        counters.delivered += 1
        counters.replayed += 1
        counters.latency[0] += 3


def check_spool(samples: Samples) -> None:
    assert total(samples, "publisher_accepted_total", destination="orders") == 4
    assert total(samples, "publisher_spooled_total", destination="orders") == 2
    assert total(samples, "publisher_replayed_total", destination="orders") == 1
    for name, value in SPOOL_METRICS.items():
        assert samples[f"publisher_spool_{name}"] == [({}, value)]


def test_prometheus_shows_the_spool(endpoint: Endpoint) -> None:
    collected, told_of = CollectorRegistry(), CollectorRegistry()
    hook = PrometheusHook(told_of)
    with publishing(hooks=[hook]) as made:
        collected.register(PublisherCollector(made))
        deliver(made, endpoint, 1)
        for registry in (collected, told_of):
            for name in SPOOL_METRICS:  # a query has an answer without a spool too
                assert read(registry)[f"publisher_spool_{name}"] == [({}, 0)]
        spool(made)
        hook.on_spooled(
            publisher.Event(service="sns", operation="publish", destination="sns:us-east-1:orders")
        )
        check_spool(read(collected))
        check_spool(read(told_of))
        assert total(read(told_of), "publisher_delivery_seconds_count") == 2


def test_the_spools_of_several_publishers_are_shown_in_sum(endpoint: Endpoint) -> None:
    registry, reader = CollectorRegistry(), InMemoryMetricReader()
    with publishing() as one, publishing() as two, publishing() as without:
        for made in (one, two, without):
            deliver(made, endpoint, 1)
        spool(one)
        spool(two, publisher.SpoolStats(waiting=4, bytes=1, oldest_age=20, orphans=2))
        registry.register(PublisherCollector([one, two, without]))
        observe([one, two, without], MeterProvider(metric_readers=[reader]))
        samples = read(registry)
        points = points_of(reader)
    assert samples["publisher_spool_waiting_messages"] == [({}, 7)]
    assert samples["publisher_spool_bytes"] == [({}, 2049)]
    assert samples["publisher_spool_oldest_age_seconds"] == [({}, 20)]
    assert samples["publisher_spool_orphans"] == [({}, 2)]  # of the one directory
    assert points["publisher.spool.waiting"] == [({}, 7)]


def points_of(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, str], float]]]:
    """By a metric's name the attributes and the value of each of its points."""
    data = json.loads(reader.get_metrics_data().to_json())
    (scope,) = data["resource_metrics"][0]["scope_metrics"]
    return {
        metric["name"]: [
            (each["attributes"], each["value"]) for each in metric["data"]["data_points"]
        ]
        for metric in scope["metrics"]
    }


def test_opentelemetry_shows_the_spool(endpoint: Endpoint) -> None:
    reader = InMemoryMetricReader()
    with publishing() as made:
        observe(made, MeterProvider(metric_readers=[reader]))
        deliver(made, endpoint, 1)
        assert not [name for name in points_of(reader) if name.startswith("publisher.spool.")]
        spool(made)
        points = points_of(reader)
    assert [value for _, value in points["publisher.spooled"]] == [2]
    assert [value for _, value in points["publisher.replayed"]] == [1]
    assert {name: each for name, each in points.items() if name.startswith("publisher.spool.")} == {
        "publisher.spool.waiting": [({}, 3)],
        "publisher.spool.size": [({}, 2048)],
        "publisher.spool.oldest.age": [({}, 12.5)],
        "publisher.spool.orphans": [({}, 2)],
        "publisher.spool.skipped": [({}, 1)],
        "publisher.spool.unwritten": [({}, 4)],
    }


def test_emf_has_a_line_for_the_spool(endpoint: Endpoint) -> None:
    out = io.StringIO()
    hook = EmfHook(stream=out)
    with publishing(hooks=[hook]) as made:
        deliver(made, endpoint, 1)
        hook.emit()
        (before,) = map(json.loads, out.getvalue().splitlines())
        assert "Spooled" not in before  # each metric costs
        spool(made)
        hook.emit()
        hook.emit()  # nothing has changed since
    _, counts, on_disk = map(json.loads, out.getvalue().splitlines())
    assert (counts["Accepted"], counts["Spooled"], counts["Replayed"]) == (3, 2, 1)
    assert on_disk["Service"] == "spool"
    (directive,) = on_disk["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["Service"]]
    units = {each["Name"]: each["Unit"] for each in directive["Metrics"]}
    assert (units["SpoolBytes"], units["SpoolOldestAge"]) == ("Bytes", "Seconds")
    assert {name: on_disk[name] for name in units} == {
        "SpoolWaiting": 3,
        "SpoolBytes": 2048,
        "SpoolOldestAge": 12.5,
        "SpoolOrphans": 2,
        "SpoolSkipped": 1,
        "SpoolUnwritten": 4,
    }


def test_codes_are_bounded() -> None:
    from publisher._account.ledger import MAX_CODES, MAX_SHARDS, Counters

    counters = Counters(lambda: "k")
    for number in range(1_000):
        counters.note_errors({f"Code{number}": 1}, {f"shardId-{number}": 1})
        counters.note_failed({f"bad code\n{number}": 1})
    ledger = counters.ledger(0.0)
    assert len(ledger.errors_by_code) <= MAX_CODES + 1
    assert sum(ledger.errors_by_code.values()) == 1_000
    assert len(ledger.errors_by_shard) <= MAX_SHARDS + 1
    assert ledger.failed_by_code == {"other": 1_000}


def test_stats_print_as_a_table_and_render_in_a_notebook(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with publishing() as made:
        work(made, endpoint)
        stats = made.stats()
    lines = str(stats).splitlines()
    assert lines[0].split()[:4] == ["destination", "accepted", "delivered", "failed"]
    assert lines[3].split()[:4] == ["total", "70", "68", "2"]
    assert "failed: InvalidParameter 2" in str(stats)
    html = stats._repr_html_()
    assert "<td" in html
    assert ">2</b>" in html
    odd = publisher.Stats(stats.total, {"<script>": stats.total})
    assert "<script>" not in odd._repr_html_()


@pytest.fixture
def slow_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A region from a file, and credentials that come when this is called."""
    pipe, config = tmp_path / "pipe", tmp_path / "config"
    os.mkfifo(pipe)
    config.write_text(f"[default]\nregion = eu-west-1\ncredential_process = cat {pipe}\n")
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    def come() -> None:
        pipe.write_text('{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s"}')

    return come


class Names(publisher.Hook):
    """Keeps the names that events have for destinations."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def on_accepted(self, event: publisher.Event) -> None:
        self.seen.add(event.destination)

    on_sent = on_delivered = on_dropped = on_accepted


def accepted(registry: CollectorRegistry) -> float:
    return total(parsed(generate_latest(registry).decode()), "publisher_accepted_total")


def test_who_looks_before_the_client_is_made_sees_the_name_it_keeps(
    endpoint: Endpoint, slow_credentials: Callable[[], None]
) -> None:
    registry, scraped, out, events = (
        CollectorRegistry(),
        CollectorRegistry(),
        io.StringIO(),
        Names(),
    )
    lines, reader = EmfHook(stream=out, interval=0), InMemoryMetricReader()
    hooks = [PrometheusHook(registry), lines, events]
    with publishing(hooks=hooks, max_messages=50, on_full="drop", delivery_timeout=120) as made:
        observe(made, MeterProvider([reader]))
        scraped.register(PublisherCollector(made))
        kinesis = made.client("kinesis", endpoint_url=endpoint.url)
        for n in range(80):  # 30 are dropped, for the others wait for credentials
            kinesis.put_record(StreamName=STREAM, Data=b"m", PartitionKey=f"{n}")
        for target in (registry, scraped):
            until(lambda target=target: accepted(target) == 80)
        lines.emit()
        reader.get_metrics_data()
        slow_credentials()
        assert made.flush(SOON) == 0
        made.close(SOON)
        lines.emit()
        data = json.loads(reader.get_metrics_data().to_json())
        texts = [generate_latest(target).decode() for target in (registry, scraped)]
        assert set(made.stats().destinations) == events.seen == {f"kinesis:eu-west-1:{STREAM}"}
    clicks = {"service": "kinesis", "region": "eu-west-1", "destination": STREAM}
    ends = {"accepted": 80, "delivered": 50, "dropped": 30}
    for text in texts:
        found = parsed(text)
        assert total(found, "publisher_outstanding_messages") == 0
        for name, count in ends.items():
            metric = f"publisher_{name}_total"
            assert total(found, metric) == total(found, metric, **clicks) == count
        assert 'region=""' not in text
    points = {
        metric["name"]: metric["data"]["data_points"]
        for scope in data["resource_metrics"][0]["scope_metrics"]
        for metric in scope["metrics"]
    }
    written = [json.loads(line) for line in out.getvalue().splitlines()]
    for name, count in ends.items():
        observed = points[f"publisher.{name}"]
        assert sum(each["value"] for each in observed) == count
        assert {each["attributes"].get("cloud.region") for each in observed} == {"eu-west-1"}
        assert sum(line.get(name.title(), 0) for line in written) == count
    assert {line["Region"] for line in written} == {"eu-west-1"}
