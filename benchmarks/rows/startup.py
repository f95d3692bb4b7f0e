"""The start of a process: the import, the first `publish()`; and one message in an idle process."""

# ruff: noqa: ARG001 - the harness hands every measurement the endpoint
from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.harness import Bench, Goal, Rows, Variant
from benchmarks.load import (
    LATENCY,
    REGION,
    STREAM,
    TOPIC,
    boto3_client,
    call_single,
    messages,
    package,
)

IMPORT = "import time; a = time.perf_counter(); import {0}; print(time.perf_counter() - a)"
FIRST = """
import json, time
import publisher
clock = time.perf_counter
a = clock()
client = publisher.client({service!r}, endpoint_url={endpoint!r}, region_name={region!r})
b = clock()
future = client.{call}
c = clock()
future.result(timeout=10)
names = ("client_ms", "publish_ms", "result_ms")
print(json.dumps(dict(zip(names, ((b - a) * 1e3, (c - b) * 1e3, (clock() - b) * 1e3)))))
"""
CALLS = {
    "sns": f"publish(TopicArn={TOPIC!r}, Message='x' * 1024)",
    "kinesis": f"put_record(StreamName={STREAM!r}, Data=b'x' * 1024, PartitionKey='user-1')",
}
LINGER = {"sns": 0.01, "kinesis": 0.05}


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-1500:])
    return done.stdout


def imports(endpoint: str, repeat: int) -> dict[str, float]:
    """Import boto3 and this package in fresh processes, turn about; the fastest of each (ms)."""
    times: dict[str, list[float]] = {"boto3": [], "publisher": []}
    for _ in range(repeat):
        for name, taken in times.items():
            taken.append(float(_python(IMPORT.format(name))) * 1e3)
    return {name: min(taken) for name, taken in times.items()}


def first(endpoint: str, service: str, repeat: int) -> dict[str, float]:
    """Publish once in fresh processes; medians (ms)."""
    code = FIRST.format(service=service, endpoint=endpoint, region=REGION, call=CALLS[service])
    runs = [json.loads(_python(code)) for _ in range(repeat)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def single(endpoint: str, service: str, kind: str, count: int) -> dict[str, float]:
    """Accept to outcome of one message at a time in an otherwise idle process; the median (ms)."""
    work = messages(service, count + 10)
    if kind == "boto3":
        client = boto3_client(service, endpoint)

        def send(message: Any) -> None:
            call_single(client, service, message)
    else:
        client = package().client(service, endpoint_url=endpoint, region_name=REGION)

        def send(message: Any) -> None:
            call_single(client, service, message).result(timeout=10)

    taken = []
    for message in work:
        time.sleep(0.03)  # idle between the messages: that is the case measured
        before = time.perf_counter()
        send(message)
        taken.append((time.perf_counter() - before) * 1e3)
    return {"ms": statistics.median(taken[10:]), "worst_ms": max(taken[10:])}


def goal_first_publish(bench: Bench) -> Goal:
    """The first `publish()` of a process, and the import."""
    repeat = bench.scale(10, 3)
    variants = {"imports": Variant(imports, {"repeat": repeat})}
    for service in CALLS:
        variants[service] = Variant(first, {"service": service, "repeat": repeat})
    rows = bench.interleave("first publish", variants)
    goal = Goal("the first `publish()` of a process; `import publisher`")
    limit = 3.0 if sys.version_info[:2] == (3, 12) else 1.0
    for service, name in (("sns", "publish"), ("kinesis", "put_record")):
        values = [row["publish_ms"] for row in rows.get(service, ())]
        goal.add(f"`{name}`, ms in the caller", values, limit)
    ratios = [row["publisher"] / row["boto3"] for row in rows.get("imports", ())]
    goal.add("`import publisher`: of `import boto3`", ratios, 1.1)
    return goal


def latency_rows(bench: Bench) -> Rows:
    """One message at a time: this package and the sync call."""
    variants = {}
    for service in ("sns", "kinesis"):
        for kind in ("publisher", "boto3"):
            work = {"service": service, "kind": kind, "count": bench.scale(60, 10)}
            variants[f"{kind} {service}"] = Variant(single, work)
    return bench.interleave("idle latency", variants)


def goal_idle_latency(bench: Bench) -> Goal:
    """Accept to outcome, idle process, one message."""
    rows = latency_rows(bench)
    goal = Goal("accept to outcome, idle process, one message")
    for service, linger in LINGER.items():
        pairs = zip(
            rows.get(f"publisher {service}", ()), rows.get(f"boto3 {service}", ()), strict=False
        )
        values = [own["ms"] - sync["ms"] - linger * 1e3 for own, sync in pairs]
        goal.add(
            f"{service}: ms above the sync call plus linger ({linger * 1e3:.0f} ms)", values, 3
        )
    return goal


def bursts(endpoint: str, service: str, sizes: list[int]) -> dict[str, float]:
    """Bursts of these sizes, each flushed: the stub counts the connections."""
    ours = package()
    client = ours.client(service, endpoint_url=endpoint, region_name=REGION)
    for size in sizes:
        for message in messages(service, size):
            call_single(client, service, message)
        if ours.flush(timeout=60):
            raise RuntimeError("a burst was not delivered within a minute")
        time.sleep(LATENCY)  # a pause between bursts, as a site has it
    return {"delivered": ours.stats().total.delivered}


def goal_connections(bench: Bench) -> Goal:
    """Connections opened by bursts of any size, per client."""
    sizes = [1, 10, 100, 1_000, 100, 1_000] if bench.quick else [1, 10, 100, 1_000, 10_000, 100]
    variants = {
        service: Variant(bursts, {"service": service, "sizes": sizes}, expect=sum(sizes))
        for service in CALLS
    }
    rows = bench.interleave("connections", variants)
    goal = Goal("connections opened by bursts of any size, per client of 10 workers")
    for service in CALLS:
        values = [row["stub"]["connections"] for row in rows.get(service, ())]
        goal.add(service, values, 10)
    return goal
