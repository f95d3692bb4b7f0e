"""How much a CPU-bound view is slowed by publishing beside it, and how much of the load arrives."""

from __future__ import annotations

import json
import statistics
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from benchmarks.harness import Bench, Goal, Rows, Variant
from benchmarks.load import (
    REGION,
    WORKERS,
    boto3_client,
    call_single,
    entries,
    messages,
    package,
)
from benchmarks.rows.floor import open_floor
from benchmarks.stub import control
from benchmarks.worker import quantile

TICK = 0.005
QUICK = {("publisher", "kinesis"), ("publisher", "sns"), ("shared pool", "sns")}
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


def sender(kind: str, service: str, endpoint: str) -> tuple[Any, Any]:
    """Return the call that the ticker makes, and one that waits until all calls have ended.

    `floor` is the least that full batches cost: of 500 records, each a call of the floor's on a
    thread.
    """
    if kind == "control":
        return (lambda _: None), (lambda: None)
    if kind == "publisher":
        ours = package(max_messages=10**6)
        client = ours.client(service, endpoint_url=endpoint, region_name=REGION)
        return (lambda message: call_single(client, service, message)), ours.flush
    waiting: list[Future[Any]] = []

    def settle() -> None:
        wait(waiting)
        waiting.clear()

    if kind == "floor":
        batch, worker, held = open_floor(endpoint), ThreadPoolExecutor(1), list[Any]()

        def collect(message: Any) -> None:
            held.append(message)
            if len(held) == 500:
                waiting.append(worker.submit(batch, entries("kinesis", held)))
                held.clear()

        return collect, settle
    plain, pool = boto3_client(service, endpoint), ThreadPoolExecutor(WORKERS)

    def submit(message: Any) -> None:
        waiting.append(pool.submit(call_single, plain, service, message))

    return submit, settle


def segment(call: Any, rate: float, work: list[Any], seconds: float) -> list[float]:
    """Run the view for `seconds` beside the ticker; how long each took (ms)."""
    stop = threading.Event()
    thread = threading.Thread(target=ticker, args=(rate, call, work, stop))
    thread.start()
    clock = time.perf_counter
    taken: list[float] = []
    end = clock() + seconds
    while (now := clock()) < end:
        view()
        taken.append((clock() - now) * 1e3)
    stop.set()
    thread.join()
    return taken


def measure(
    kind: str, service: str, endpoint: str, rate: float, seconds: float
) -> dict[str, float]:
    """Run the view beside a ticker that publishes in the way that `kind` names."""
    call, settle = sender(kind, service, endpoint)
    return turn_about(call, settle, service, endpoint, rate, seconds)


def turn_about(
    call: Any, settle: Any, service: str, endpoint: str, rate: float, seconds: float
) -> dict[str, float]:
    """Run the view a second beside a ticker that calls nothing, a second beside one that publishes.

    Turn about for `seconds` of each, in one process: what else the machine does hits both alike.
    Mean and p99 are the loaded view's over the other's; `delivered` is the share of the load that
    the endpoint had at the end of the second.
    """
    work = messages(service, 2_000)
    for message in work[:50]:
        call(message)
    settle()
    for _ in range(50):
        view()
    quiet: list[float] = []
    loaded: list[float] = []
    arrived = 0
    for _ in range(int(seconds)):
        quiet += segment(lambda _: None, rate, work, 1.0)
        before = control(endpoint, "stats", {})["records"]
        loaded += segment(call, rate, work, 1.0)
        arrived += control(endpoint, "stats", {})["records"] - before
        settle()
    quiet.sort()
    loaded.sort()
    return {
        "mean": statistics.fmean(loaded) / statistics.fmean(quiet),
        "p99": quantile(loaded, 0.99) / quantile(quiet, 0.99),
        "quiet_ms": statistics.fmean(quiet),
        "views": len(loaded),
        "delivered": arrived / (rate * int(seconds)),
    }


def spread(rows: Rows, name: str, key: str) -> float:
    """Return the inter-quartile range of a ratio over the rounds."""
    values = [row[key] for row in rows.get(name, ())]
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return float(high - low)


def judge(goal: Goal, rows: Rows, service: str, allowed: float) -> None:
    """Judge the mean slow-down of this package against the control's spread plus `allowed`."""
    noise = spread(rows, f"control {service}", "mean")
    for kind in ("publisher", "shared pool"):
        found = rows.get(f"{kind} {service}", [])
        if not found and kind != "publisher":
            continue
        limit = noise + allowed if kind == "publisher" else None
        label = f"{service}, {kind}: mean slow-down"
        if limit is not None:
            label += f" (control's spread {noise:.1%} + {allowed:.0%})"
        goal.add(label, [row["mean"] - 1 for row in found], limit)
        goal.add(f"{service}, {kind}: load delivered", [row["delivered"] for row in found])


def goal_view_500(bench: Bench) -> Goal:
    """CPU-bound view beside 500 msg/s: mean slow-down."""
    variants = {}
    for service in ("kinesis", "sns"):
        for kind in ("control", "publisher", "shared pool"):
            if bench.quick and (kind, service) not in QUICK:
                continue
            load = {"kind": kind, "service": service, "rate": 500, "seconds": bench.scale(4, 1)}
            variants[f"{kind} {service}"] = Variant(measure, load)
    rounds = bench.rounds if bench.quick else max(10, bench.rounds)
    rows = bench.interleave("view beside 500", variants, rounds=rounds)
    goal = Goal("CPU-bound view beside 500 msg/s")
    judge(goal, rows, "kinesis", 0.05)
    judge(goal, rows, "sns", 0.10)
    return goal


def goal_view_5000(bench: Bench) -> Goal:
    """View beside 5,000 Kinesis records/s: mean and p99."""
    variants = {}
    for kind in ("control", "publisher", "floor"):
        load = {"kind": kind, "service": "kinesis", "rate": 5_000, "seconds": bench.scale(4, 1)}
        variants[f"{kind} kinesis"] = Variant(measure, load)
    rounds = bench.rounds if bench.quick else max(10, bench.rounds)
    rows = bench.interleave("view beside 5,000", variants, rounds=rounds)
    goal = Goal("CPU-bound view beside 5,000 Kinesis records/s")
    judge(goal, rows, "kinesis", 0.10)
    p99 = [row["p99"] for row in rows.get("publisher kinesis", ())]
    goal.add("p99: of the control's", p99, 1.5)
    # Ten requests of 500 a second hold the GIL for so long, with no future and no account.
    floor = rows.get("floor kinesis", [])
    goal.add("the floor's requests on a thread: mean slow-down", [row["mean"] - 1 for row in floor])
    goal.add("the floor's requests on a thread: p99", [row["p99"] for row in floor])
    return goal
