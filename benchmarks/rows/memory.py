"""Memory of messages that wait, and the cost of a message as the backlog grows."""

from __future__ import annotations

import gc
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from benchmarks.harness import Bench, Goal, Rows, Variant
from benchmarks.load import (
    REGION,
    SIZE,
    STREAM,
    TOPIC,
    WORKERS,
    boto3_client,
    kinesis_data,
    package,
    sns_message,
)
from benchmarks.worker import Meter

ROOM = {"max_messages": 10**7, "max_bytes": 10**11}
STALL = {"latency": 600.0}


def waiting(kind: str, service: str, endpoint: str, count: int) -> dict[str, float]:
    """Hand over `count` messages to a stalled endpoint; bytes of each above its 1 KB of payload.

    Everything but those 1,024 bytes counts: the headers of the payload's and the key's objects, the
    key, the future.
    """
    if kind == "publisher":
        client: Any = package(**ROOM).client(service, endpoint_url=endpoint, region_name=REGION)
        call = client.publish if service == "sns" else client.put_record
    else:
        plain, pool = boto3_client(service, endpoint), ThreadPoolExecutor(WORKERS)
        single = plain.publish if service == "sns" else plain.put_record
        call = partial(pool.submit, single)

    def hand_over(start: int, stop: int) -> None:
        # The caller keeps neither the message nor the future.
        if service == "sns":
            for number in range(start, stop):
                call(TopicArn=TOPIC, Message=sns_message(number))
        else:
            for number in range(start, stop):
                call(StreamName=STREAM, Data=kinesis_data(number), PartitionKey=f"user-{number}")

    hand_over(0, 6_000)
    time.sleep(1.0)  # the workers have their requests and stall; from here on messages only wait
    gc.collect()
    tracemalloc.start()
    hand_over(6_000, 6_000 + count)
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    return {"above": used / count - SIZE, "count": count}


def backlog(service: str, endpoint: str, count: int, total: int) -> dict[str, float]:
    """Accept `count` messages at once and deliver them, `total` in all; CPU of each (µs)."""
    ours = package(**ROOM)
    client = ours.client(service, endpoint_url=endpoint, region_name=REGION)

    def cycle(start: int) -> None:
        if service == "sns":
            for number in range(start, start + count):
                client.publish(TopicArn=TOPIC, Message=sns_message(number))
        else:
            for number in range(start, start + count):
                client.put_record(
                    StreamName=STREAM, Data=kinesis_data(number), PartitionKey=f"user-{number}"
                )
        if ours.flush(timeout=110):
            raise RuntimeError("the backlog was not delivered in time")

    cycle(0) if count <= 10_000 else None
    before = ours.stats().total.delivered
    meter = Meter()
    for start in range(0, max(total, count), count):
        cycle(start)
    wall, cpu = meter.read()
    done = ours.stats().total.delivered - before
    return {"cpu_us": cpu / done * 1e6, "rate": done / wall, "done": done}


def goal_memory(bench: Bench) -> Goal:
    """Memory per waiting 1 KB message above its payload."""
    count = bench.scale(40_000, 5_000)
    variants = {}
    for service in ("kinesis", "sns"):
        for kind in ("publisher", "submit"):
            work = {"kind": kind, "service": service, "count": count}
            variants[f"{kind} {service}"] = Variant(waiting, work, STALL)
    rows = bench.interleave("memory", variants)
    goal = Goal("memory per waiting 1 KB message above its payload")
    for service in ("kinesis", "sns"):
        own = f"publisher {service}"
        limit = 300 if service == "kinesis" else None
        goal.add(f"{service}: bytes", [row["above"] for row in rows.get(own, ())], limit)
        goal.at_most(
            f"{service}: of a pool's work item", rows, own, f"submit {service}", "above", 1 / 7
        )
    if not bench.quick:
        by_size = {
            f"{kind} {size}": Variant(
                waiting, {"kind": kind, "service": "kinesis", "count": size}, STALL
            )
            for size in (1_000, 10_000, 100_000, 1_000_000)
            for kind in ("publisher", "submit")
        }
        bench.interleave("memory by backlog", by_size, rounds=1)
    return goal


def goal_backlog_cost(bench: Bench) -> Goal:
    """Total CPU per message as the backlog grows from 1,000 to 1,000,000."""
    sizes = {"kinesis": [1_000, 10_000, 100_000, 1_000_000], "sns": [1_000, 10_000, 100_000]}
    if bench.quick:
        sizes = {"kinesis": [1_000, 10_000]}
    variants = {}
    for service, counts in sizes.items():
        total = 100_000 if service == "kinesis" else 20_000
        for count in counts:
            work = {"service": service, "count": count, "total": bench.scale(total)}
            variants[f"{service} {count}"] = Variant(backlog, work)
    rows = bench.interleave("cost by backlog", variants, rounds=min(bench.rounds, 5))
    goal = Goal("total CPU per message as the backlog grows to 1,000,000 (SNS: 100,000)")
    for service, counts in sizes.items():
        names = [f"{service} {count}" for count in counts if rows.get(f"{service} {count}")]
        goal.add(f"{service}: dearest size over cheapest", extremes(rows, names), 1.15)
        if names:
            goal.add(
                f"{service}: largest over smallest",
                goal.ratio(rows, names[-1], names[0], "cpu_us"),
                1.15,
            )
    return goal


def extremes(rows: Rows, names: list[str]) -> list[float]:
    """Return, round by round, the largest CPU per message over the smallest."""
    if not names:
        return []
    rounds = zip(*(rows[name] for name in names), strict=False)
    return [max(r["cpu_us"] for r in each) / min(r["cpu_us"] for r in each) for each in rounds]
