"""Waiting for each outcome, as code does that needs the answer; and who waits beside an outage."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from benchmarks.harness import Bench, Goal, Variant
from benchmarks.load import (
    REGION,
    STREAM,
    TOPIC,
    WORKERS,
    boto3_client,
    call_single,
    messages,
    package,
)

SERVICES = ("sns", "kinesis")
PATIENCE = 60.0


WARM = 3  # messages that open the connections


async def _awaited(client: Any, service: str, work: list[Any]) -> None:
    for message in work:
        await call_single(client, service, message)


def _publish(kind: str, client: Any, service: str, work: list[Any]) -> None:
    """Publish one after the other, each when the one before it has its outcome."""
    if kind == "await":
        asyncio.run(_awaited(client, service, work))
        return
    for message in work:
        made = call_single(client, service, message)
        if kind == "result":
            made.result(timeout=PATIENCE)


def confirmed(kind: str, service: str, endpoint: str, threads: int, each: int) -> dict[str, float]:
    """Have `threads` threads publish `each` messages one by one, each waiting for its outcome."""
    work = messages(service, threads * each)
    if kind == "boto3":
        client = boto3_client(service, endpoint, max(threads, WORKERS))
    else:
        client = package().client(service, endpoint_url=endpoint, region_name=REGION)
    _publish(kind, client, service, messages(service, WARM))
    callers = [
        threading.Thread(target=_publish, args=(kind, client, service, work[number::threads]))
        for number in range(threads)
    ]
    before = time.perf_counter()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    taken = time.perf_counter() - before
    return {"seconds": taken, "each_ms": taken / each * 1e3, "messages": len(work) + WARM}


def goal_confirm(bench: Bench) -> Goal:
    """Waiting for each outcome, against boto3's blocking call."""
    variants = {}
    for service in SERVICES:
        for kind in ("boto3", "result", "await"):
            load = {"service": service, "threads": 1, "each": bench.scale(100, 20)}
            variants[f"{kind} {service} 1"] = Variant(confirmed, {"kind": kind, **load})
        for kind in ("boto3", "result"):
            load = {"service": service, "threads": 16, "each": bench.scale(50, 10)}
            variants[f"{kind} {service} 16"] = Variant(confirmed, {"kind": kind, **load})
    rows = bench.interleave("confirm", variants)
    goal = Goal("an outcome waited for, one message after the other")
    for service, call in (("sns", "publish"), ("kinesis", "put_record")):
        for kind, shown in (
            ("result", f"`{call}(...).result()`"),
            ("await", f"`await {call}(...)`"),
        ):
            label = f"{shown}: of boto3's time"
            goal.at_most(label, rows, f"{kind} {service} 1", f"boto3 {service} 1", "each_ms", 1.15)
    for service, call in (("sns", "publish"), ("kinesis", "put_record")):
        ours, theirs = f"result {service} 16", f"boto3 {service} 16"
        label = f"`{call}(...).result()` on 16 threads: of boto3's time"
        goal.at_most(label, rows, ours, theirs, "seconds", 1.0)
        sent = [row["stub"]["requests"] / row["messages"] for row in rows.get(ours, [])]
        goal.add(f"`{call}(...).result()` on 16 threads: requests a message", sent, 1.0)
    return goal


def outage(endpoint: str, seconds: float) -> dict[str, float]:
    """A topic never answers, 40 messages a second; a record each 0.25 s beside it: its times."""
    ours = package(max_messages=10**5)
    sns = ours.client("sns", endpoint_url=endpoint, region_name=REGION)
    kinesis = ours.client("kinesis", endpoint_url=endpoint, region_name=REGION)
    call_single(kinesis, "kinesis", messages("kinesis", 1)[0]).result(timeout=PATIENCE)
    sns.meta  # noqa: B018 - the boto3 client is made
    over = threading.Event()

    def publish() -> None:
        while not over.wait(1 / 40):
            sns.publish(TopicArn=TOPIC.replace("bench", "slow"), Message="m")

    publishing = threading.Thread(target=publish)
    publishing.start()
    taken: list[float] = []
    made: list[Any] = []

    def note(began: float) -> Any:
        return lambda _: taken.append(time.perf_counter() - began)

    try:
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            record = kinesis.put_record(StreamName=STREAM, Data=b"r", PartitionKey="k")
            record.add_done_callback(note(time.perf_counter()))
            made.append(record)
            over.wait(0.25)
        for record in made:
            record.result(timeout=PATIENCE)
    finally:
        over.set()
        publishing.join()
    worst = max(taken)
    ours.close(0)
    return {"worst": worst, "records": len(made)}


def goal_outage(bench: Bench) -> Goal:
    """The first outage of a topic, and a stream beside it."""
    hung = {"destinations": {"slow": {"latency": 60.0}}}
    variants = {
        how: Variant(outage, {"seconds": bench.scale(15, 5)}, stub)
        for how, stub in (("stalled", hung), ("nothing", {}))
    }
    rows = bench.interleave("outage", variants)
    goal = Goal("a topic's first outage, a record each 0.25 s to a stream beside it")
    for how in variants:
        values = [row["worst"] for row in rows.get(how, [])]
        limit = 1.0 if how == "stalled" else None
        goal.add(f"beside {how}: s until the slowest record was delivered", values, limit)
    return goal
