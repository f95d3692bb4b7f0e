"""Throughput and process CPU per message: this package beside every peer."""

# ruff: noqa: ARG001 - the harness hands every measurement the endpoint
from __future__ import annotations

from typing import Any

from benchmarks.harness import Bench, Goal, Variant
from benchmarks.load import LATENCY, WORKERS, messages
from benchmarks.peers import all_peers, peer
from benchmarks.peers.ours import BARE
from benchmarks.peers.sockets import SOCKETS
from benchmarks.worker import Meter

SLOW = ("boto3 loop", "pool per call", "asyncio.to_thread", "aiobotocore", "aws-sdk-sns")
"""Peers that no goal compares with and that do tens to hundreds a second."""
OF_WORKERS = "of max_workers x 10 / latency"
FULL = WORKERS * 10 / LATENCY
"""Messages a second of ten workers that do nothing but wait for answers to ten messages each."""


def measure(name: str, service: str, endpoint: str, count: int) -> dict[str, float]:
    """Send `count` messages with a peer, after a warm-up that opens its connections."""
    chosen = peer(name)
    with chosen.open(service, endpoint) as send:
        # Ten full batches where there are batches: every connection is open then.
        warm = 40 if count < 1_000 else 5_000 if service == "kinesis" else 200
        send(messages(service, min(warm, count)))
        work = messages(service, count, start=1_000_000)
        meter = Meter()
        send(work)
        wall, cpu = meter.read()
    return {"count": count, "rate": count / wall, "cpu_us": cpu / count * 1e6, "wall": wall}


def control(service: str, endpoint: str, count: int) -> dict[str, float]:
    """The control row: the same loop over the same work into nothing."""
    work = messages(service, count)
    meter = Meter()
    for message in work:
        _nothing(message)
    wall, cpu = meter.read()
    return {"count": count, "rate": count / wall, "cpu_us": cpu / count * 1e6, "wall": wall}


def _nothing(message: Any) -> None:
    pass


def table(
    bench: Bench, service: str, only: tuple[str, ...] = ()
) -> dict[str, list[dict[str, Any]]]:
    """Measure every peer of `service` (or `only` those), interleaved, once per bench."""

    def run() -> dict[str, list[dict[str, Any]]]:
        variants = {}
        for name, each in all_peers().items():
            if service not in each.messages or (only and name not in only):
                continue
            if bench.quick and not only and name in SLOW:
                bench.absent(f"{service}: {name}", "left out of a quick run")
                continue
            if why := each.missing():
                bench.absent(f"{service}: {name}", why)
                continue
            count = bench.scale(each.messages[service], 40)
            arguments = {"name": name, "service": service, "count": count}
            variants[name] = Variant(measure, arguments, expect=0 if each.aggregates else count)
        count = bench.scale(100_000, 1_000)
        variants["control (no-op)"] = Variant(control, {"service": service, "count": count})
        return bench.interleave(f"throughput {service}", variants)

    return bench.once(f"throughput {service}", run)


def bound(goal: Goal, rows: dict[str, list[dict[str, Any]]], key: str) -> None:
    """Report what boto3, and any client in Python, leaves to be had against the shared pool."""
    for name in (BARE, SOCKETS):
        goal.add(f"{name}: of the shared pool's", goal.ratio(rows, name, "shared pool", key))


def bound_of_workers(goal: Goal, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Report how much of what ten workers could do is left to be had."""
    for name in (BARE, SOCKETS):
        goal.add(f"{name}: {OF_WORKERS}", [row["rate"] / FULL for row in rows.get(name, ())])


def goal_sns_throughput(bench: Bench) -> Goal:
    """SNS throughput against one shared pool of `publish`."""
    rows = table(bench, "sns")
    goal = Goal("SNS throughput against one shared pool of `publish`")
    goal.at_least("times the shared pool", rows, "publisher", "shared pool", "rate", 11)
    goal.value(OF_WORKERS, rows, "publisher", "rate", 0.75, scale=FULL)
    pool = [FULL / row["rate"] for row in rows.get("shared pool", ())]
    goal.add("max_workers x 10 / latency: times the shared pool", pool)
    bound(goal, rows, "rate")
    bound_of_workers(goal, rows)
    return goal


def goal_sqs_throughput(bench: Bench) -> Goal:
    """SQS throughput against one shared pool of `send_message`."""
    return _in_tens(bench, "sqs", "SQS throughput against one shared pool of `send_message`")


def goal_firehose_throughput(bench: Bench) -> Goal:
    """Firehose throughput against one shared pool of `put_record`."""
    rows = table(bench, "firehose")
    goal = Goal("Firehose throughput against one shared pool of `put_record`")
    goal.at_least("times the shared pool", rows, "publisher", "shared pool", "rate", 100)
    bound(goal, rows, "rate")
    return goal


def goal_firehose_cpu(bench: Bench) -> Goal:
    """Process CPU per message, Firehose, against the shared pool."""
    rows = table(bench, "firehose")
    goal = Goal("process CPU per message, Firehose, against the shared pool")
    goal.at_most("of the shared pool's", rows, "publisher", "shared pool", "cpu_us", 0.01)
    bound(goal, rows, "cpu_us")
    return goal


def goal_events_throughput(bench: Bench) -> Goal:
    """EventBridge throughput against one shared pool of `put_events` with an entry each."""
    title = "EventBridge throughput against one shared pool of `put_events`"
    return _in_tens(bench, "events", title)


def _in_tens(bench: Bench, service: str, title: str) -> Goal:
    """The goal of a service whose requests carry ten messages."""
    rows, goal = table(bench, service), Goal(title)
    goal.at_least("times the shared pool", rows, "publisher", "shared pool", "rate", 10)
    goal.value(OF_WORKERS, rows, "publisher", "rate", 0.75, scale=FULL)
    bound(goal, rows, "rate")
    return goal


def goal_events_cpu(bench: Bench) -> Goal:
    """Process CPU per event, EventBridge, against the shared pool."""
    rows = table(bench, "events")
    goal = Goal("process CPU per event, EventBridge, against the shared pool")
    goal.at_most("of the shared pool's", rows, "publisher", "shared pool", "cpu_us", 1 / 15)
    bound(goal, rows, "cpu_us")
    return goal


def goal_sqs_cpu(bench: Bench) -> Goal:
    """Process CPU per message, SQS, against the shared pool."""
    rows = table(bench, "sqs")
    goal = Goal("process CPU per message, SQS, against the shared pool")
    goal.at_most("of the shared pool's", rows, "publisher", "shared pool", "cpu_us", 1 / 15)
    bound(goal, rows, "cpu_us")
    return goal


def goal_kinesis_throughput(bench: Bench) -> Goal:
    """Kinesis throughput against one shared pool of `put_record`."""
    rows = table(bench, "kinesis")
    goal = Goal("Kinesis throughput against one shared pool of `put_record`")
    goal.at_least("times the shared pool", rows, "publisher", "shared pool", "rate", 180)
    best = goal.best(rows, ("async-kinesis", "aiokpl"), "rate")
    goal.at_least(
        f"times the best of async-kinesis and aiokpl ({best})", rows, "publisher", best, "rate", 5
    )
    bound(goal, rows, "rate")
    return goal


def goal_sns_async_sdk(bench: Bench) -> Goal:
    """SNS against AWS's async SDK with hand-made batches: same Python, same requests in flight."""
    rows = table(bench, "sns")
    goal = Goal("SNS against AWS's async SDK with hand-made batches")
    other = "aws-sdk-sns (hand-made batches)"
    goal.at_least("times its throughput", rows, "publisher", other, "rate", 1.4)
    goal.at_most("of its CPU", rows, "publisher", other, "cpu_us", 0.4)
    return goal


def goal_sns_cpu(bench: Bench) -> Goal:
    """Process CPU per message, SNS, against the shared pool."""
    rows = table(bench, "sns")
    goal = Goal("process CPU per message, SNS, against the shared pool")
    goal.at_most("of the shared pool's", rows, "publisher", "shared pool", "cpu_us", 1 / 17)
    bound(goal, rows, "cpu_us")
    return goal


def goal_kinesis_cpu(bench: Bench) -> Goal:
    """Process CPU per message, Kinesis: `put_record` and `put_records`."""
    rows = table(bench, "kinesis")
    goal = Goal("process CPU per message, Kinesis")
    goal.at_most(
        "`put_record`: of the shared pool's", rows, "publisher", "shared pool", "cpu_us", 1 / 150
    )
    goal.at_most(
        "`put_records`: of a boto3 loop of 500",
        rows,
        "publisher (batch)",
        "batch loop",
        "cpu_us",
        0.45,
    )
    batch = goal.ratio(rows, "publisher (batch)", "shared pool", "cpu_us")
    goal.add("`put_records`: of the shared pool's", batch)
    bound(goal, rows, "cpu_us")
    return goal


def goal_stub_cost(bench: Bench) -> Goal:
    """CPU of a boto3 client over that of the stub: the stub must not be what is measured."""
    goal = Goal("the stub endpoint: CPU of a boto3 client over its own, per request")
    for service, actions in (("sns", "Publish PublishBatch"), ("kinesis", "PutRecord PutRecords")):
        rows = table(bench, service)
        full = 10 if service == "sns" else 500
        peers = (("shared pool", 1), ("batches in a shared pool", full))
        for action, (name, size) in zip(actions.split(), peers, strict=True):
            values = [
                row["cpu_us"] * size * row["stub"]["requests"] / (row["stub"]["cpu"] * 1e6)
                for row in rows.get(name, ())
            ]
            goal.add(f"{action}: times dearer", values, 5, at_least=True)
    return goal
