"""How much a CPU-bound view is slowed by publishing beside it, and how much of the load arrives."""

from __future__ import annotations

import json
import statistics
import threading
import time
from typing import Any

from benchmarks.harness import Bench, Goal, Rows, Variant, median
from benchmarks.load import REGION, WORKERS, boto3_client, call_single, messages, package
from benchmarks.worker import quantile

TICK = 0.005
ITEMS = [{"id": number, "name": f"item {number}", "price": number * 1.25} for number in range(120)]


def view() -> int:
    """Do what a view does, a few milliseconds of it: build, sort, format and dump."""
    size = 0
    for turn in range(8):
        rows = sorted(ITEMS, key=lambda item: str(item["name"])[::-1])
        page = "".join(f"<li id={row['id']}>{row['name']}: {row['price']:.2f}</li>" for row in rows)
        size += len(page) + len(json.dumps({"turn": turn, "rows": rows}))
    return size


def ticker(rate: float, call: Any, work: list[Any], stop: threading.Event) -> None:
    """Call for `rate` messages a second until `stop`: every 5 ms, all that are due."""
    started, sent = time.perf_counter(), 0
    while not stop.wait(TICK):
        due = int((time.perf_counter() - started) * rate)
        while sent < due:
            call(work[sent % len(work)])
            sent += 1


def sender(kind: str, service: str, endpoint: str) -> Any:
    """Return the call that the ticker makes."""
    if kind == "control":
        return lambda _: None
    if kind == "publisher":
        client = package(max_messages=10**6).client(
            service, endpoint_url=endpoint, region_name=REGION
        )
        return lambda message: call_single(client, service, message)
    from concurrent.futures import ThreadPoolExecutor

    plain, pool = boto3_client(service, endpoint), ThreadPoolExecutor(WORKERS)
    return lambda message: pool.submit(call_single, plain, service, message)


def measure(
    kind: str, service: str, endpoint: str, rate: float, seconds: float
) -> dict[str, float]:
    """Run the view for `seconds` beside `rate` messages a second; its mean, median and p99 (ms)."""
    from benchmarks.stub import control

    call = sender(kind, service, endpoint)
    work = messages(service, 2_000)
    if kind != "control":
        for message in work[:50]:
            call(message)
    for _ in range(50):
        view()
    stop = threading.Event()
    thread = threading.Thread(target=ticker, args=(rate, call, work, stop))
    before = control(endpoint, "stats", {})["records"]
    thread.start()
    taken: list[float] = []
    clock = time.perf_counter
    end = clock() + seconds
    while (now := clock()) < end:
        view()
        taken.append((clock() - now) * 1e3)
    delivered = control(endpoint, "stats", {})["records"] - before
    stop.set()
    thread.join()
    taken.sort()
    return {
        "mean": statistics.fmean(taken),
        "p50": quantile(taken, 0.5),
        "p99": quantile(taken, 0.99),
        "views": len(taken),
        "delivered": delivered / (rate * seconds),
    }


def spread(rows: Rows, name: str, key: str) -> float:
    """Return the inter-quartile range of a number over the rounds, as a share of its median."""
    values = [row[key] for row in rows[name]]
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return float((high - low) / statistics.median(values))


def judge(goal: Goal, rows: Rows, service: str, allowed: float) -> None:
    """Judge the mean slow-down of this package against the control's spread plus `allowed`."""
    own, control = f"publisher {service}", f"control {service}"
    if not rows.get(own) or not rows.get(control):
        goal.add(f"{service}: mean slow-down", [], allowed)
        return
    noise = spread(rows, control, "mean")
    base = median(rows[control], "mean")
    values = [row["mean"] / base - 1 for row in rows[own]]
    goal.add(
        f"{service}: mean slow-down (control's spread {noise:.1%} + {allowed:.0%})",
        values,
        noise + allowed,
    )
    goal.add(f"{service}: share of the load delivered", [row["delivered"] for row in rows[own]])
    pool = f"shared pool {service}"
    if rows.get(pool):
        goal.add(
            f"{service}: the shared pool's slow-down",
            [row["mean"] / base - 1 for row in rows[pool]],
        )
        goal.add(
            f"{service}: the shared pool's share delivered",
            [row["delivered"] for row in rows[pool]],
        )


def goal_view_500(bench: Bench) -> Goal:
    """CPU-bound view beside 500 msg/s: mean slow-down."""
    variants = {}
    for service in ("kinesis", "sns"):
        for kind in ("control", "publisher", "shared pool"):
            load = {"kind": kind, "service": service, "rate": 500, "seconds": bench.scale(5, 1)}
            variants[f"{kind} {service}"] = Variant(measure, load)
    rounds = 1 if bench.quick else max(10, bench.rounds)
    rows = bench.interleave("view beside 500", variants, rounds=rounds)
    goal = Goal("CPU-bound view beside 500 msg/s")
    judge(goal, rows, "kinesis", 0.05)
    judge(goal, rows, "sns", 0.20)
    return goal


def goal_view_5000(bench: Bench) -> Goal:
    """View beside 5,000 Kinesis records/s: mean and p99."""
    variants = {}
    for kind in ("control", "publisher"):
        load = {"kind": kind, "service": "kinesis", "rate": 5_000, "seconds": bench.scale(5, 1)}
        variants[f"{kind} kinesis"] = Variant(measure, load)
    rounds = 1 if bench.quick else max(10, bench.rounds)
    rows = bench.interleave("view beside 5,000", variants, rounds=rounds)
    goal = Goal("CPU-bound view beside 5,000 Kinesis records/s")
    judge(goal, rows, "kinesis", 0.05)
    goal.at_most("p99: of the control's", rows, "publisher kinesis", "control kinesis", "p99", 1.5)
    return goal
