"""The relay: its drain beside the engine, eight web processes, and a view that leaves all to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, Goal, Rows, Variant, run_worker
from benchmarks.load import LATENCY, REGION, call_single, messages, package, send_one_by_one
from benchmarks.rows import throughput
from benchmarks.rows.durable import ROOM, folder, spool
from benchmarks.rows.view import measure, spread, turn_about
from benchmarks.stub import control
from benchmarks.worker import Meter

LINGER = "0.05"
RATE = 50
"""SNS messages a second of one web process."""


def command(path: Path, endpoint: str, *options: str) -> list[str]:
    """The command line of a relay."""
    relay = ["-m", "publisher", "relay", str(path), "--endpoint-url", endpoint]
    return [sys.executable, *relay, *options]


@contextmanager
def relaying(path: Path, endpoint: str) -> Iterator[int]:
    """A relay with a linger of 50 ms, which has looked at the directory once; its process id."""
    line = command(path, endpoint, "--linger", LINGER)
    relay = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert relay.stdout is not None
    try:
        if not relay.stdout.readline():
            raise RuntimeError("the relay did not start")
        yield relay.pid
    finally:
        relay.terminate()
        relay.communicate(timeout=30)


def cpu_of(process: int) -> float:
    """User and system time of another process so far, in seconds (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def arrived(endpoint: str, count: int, seconds: float = 60.0) -> dict[str, Any]:
    """The endpoint's counts once it has seen so many records."""
    until = time.monotonic() + seconds
    while int((seen := control(endpoint, "stats", {}))["records"]) < count:
        if time.monotonic() > until:
            raise RuntimeError(f"{seen['records']} of {count} arrived")
        time.sleep(0.01)  # between two looks at the endpoint
    return seen


def client_of(ours: Any, service: str, endpoint: str) -> Any:
    """A client of a publisher's for the endpoint."""
    return ours.client(service, endpoint_url=endpoint, region_name=REGION)


def drained(endpoint: str, service: str, count: int) -> dict[str, float]:
    """A relay, in a process of its own, sends what one that still lives has left to it.

    Messages a second from its first request to its last one, at the endpoint: what it takes to
    start, and to make a client, comes before.
    """
    with folder() as path, package(**ROOM, spool=spool(path, send="relay")) as ours:
        send_one_by_one(client_of(ours, service, endpoint), service, messages(service, count))
        subprocess.run(
            command(path, endpoint, "--once"), check=True, stdout=subprocess.DEVNULL, timeout=300
        )
        return {"rate": count / arrived(endpoint, count)["span"]}


def in_process(endpoint: str, service: str, count: int) -> dict[str, float]:
    """The engine in the process that publishes, after a warm-up; measured at the same place."""
    work, warm = messages(service, count), 5_000 if service == "kinesis" else 200
    with package() as ours:
        client = client_of(ours, service, endpoint)
        send_one_by_one(client, service, messages(service, warm))
        ours.flush(60)
        control(endpoint, "reset", {"latency": LATENCY})
        send_one_by_one(client, service, work)
        if left := ours.flush(120):
            raise RuntimeError(f"{left} unresolved")
    return {"rate": count / arrived(endpoint, count)["span"]}


def goal_relay_drain(bench: Bench) -> Goal:
    """A relay that drains what was left to it, against the engine in the process."""

    def run() -> Rows:
        variants = {}
        # Ten thousand are in memory when its first request goes out: there must be many more.
        for service, count in (("kinesis", 200_000), ("sns", 20_000)):
            many = {"service": service, "count": bench.scale(count, count // 4)}
            for name, function in (("relay", drained), ("engine", in_process)):
                variants[f"{service} {name}"] = Variant(function, many, expect=many["count"])
        return bench.interleave("relay drain", variants)

    rows = bench.once("relay drain", run)
    goal = Goal("a relay's drain against the engine in the process that publishes")
    for service, limit in (("kinesis", 0.5), ("sns", 0.9)):
        goal.at_least(
            f"{service}: messages a second from its first request on, of the engine's",
            rows,
            f"{service} relay",
            f"{service} engine",
            "rate",
            limit,
        )
        found = [row["rate"] for row in rows.get(f"{service} relay", ())]
        goal.add(f"{service}: messages a second", found)
    return goal


def web(endpoint: str, directory: str, seconds: float) -> dict[str, float]:
    """One web process: 50 SNS messages a second, left to the relay."""
    ours = package(spool=spool(Path(directory), send="relay"))
    publish = partial(call_single, client_of(ours, "sns", endpoint), "sns")
    clock, began = time.perf_counter, time.perf_counter()
    work, meter = messages("sns", int(RATE * seconds)), Meter()
    for number, message in enumerate(work):
        if number == RATE:  # a second in which everything was met once
            meter = Meter()
        if (wait := began + number / RATE - clock()) > 0:
            time.sleep(wait)  # the pace of the offered load
        publish(message)
    _, cpu = meter.read()
    ours.close(5)
    return {"count": len(work), "cpu_us": cpu / (len(work) - RATE) * 1e6}


def webs(endpoint: str, processes: int, seconds: float) -> dict[str, float]:
    """Web processes, each 50 SNS messages a second, and one relay with a linger of 50 ms."""
    with folder() as path, relaying(path, endpoint) as relay:
        arguments = {"endpoint": endpoint, "directory": str(path), "seconds": seconds}
        before = cpu_of(relay)
        with ThreadPoolExecutor(processes) as pool:
            found = list(pool.map(run_worker, [web] * processes, [arguments] * processes))
        count = sum(each["count"] for each in found)
        seen = arrived(endpoint, count)
        used = cpu_of(relay) - before
    web_cpu = sum(each["cpu_us"] for each in found) / processes
    return {
        "filled": seen["records"] / seen["requests"],
        "connections": seen["connections"],
        "cpu_us": web_cpu,
        "together_us": web_cpu + used / count * 1e6,
    }


def goal_relay_web(bench: Bench) -> Goal:
    """Eight web processes at 50 SNS messages a second each, through one relay."""

    def run() -> Rows:
        load = {"processes": 8, "seconds": bench.scale(20, 5)}
        pool = {"name": "shared pool", "service": "sns", "count": bench.scale(800, 200)}
        variants = {
            "webs": Variant(webs, load),
            "shared pool": Variant(throughput.measure, pool, expect=pool["count"]),
        }
        return bench.interleave("relay web", variants)

    rows = bench.once("relay web", run)
    goal = Goal("8 web processes, 50 SNS messages a second each, one relay with 50 ms of linger")
    found = rows.get("webs", [])
    goal.add("messages a request", [row["filled"] for row in found], 9, at_least=True)
    said = "CPU per message in a web process: of the shared pool's"
    goal.at_most(said, rows, "webs", "shared pool", "cpu_us", 1 / 15)
    together = [
        ours["together_us"] / pool["cpu_us"]
        for ours, pool in zip(found, rows.get("shared pool", ()), strict=False)
    ]
    goal.add("the same with the relay's", together)
    goal.add("us of CPU per message in a web process", [row["cpu_us"] for row in found])
    goal.add("connections", [row["connections"] for row in found])
    return goal


def view(endpoint: str, rate: float, seconds: float) -> dict[str, float]:
    """A view beside `rate` SNS messages a second that are left to a relay."""
    with (
        folder() as path,
        relaying(path, endpoint),
        package(spool=spool(path, send="relay")) as ours,
    ):
        call = partial(call_single, client_of(ours, "sns", endpoint), "sns")

        def settle() -> None:
            arrived(endpoint, ours.stats().total.accepted)

        return turn_about(call, settle, "sns", endpoint, rate, seconds)


def goal_relay_view(bench: Bench) -> Goal:
    """CPU-bound view beside 500 SNS messages a second that are left to a relay."""
    load = {"rate": 500, "seconds": bench.scale(4, 1)}
    variants = {
        "control": Variant(measure, {"kind": "control", "service": "sns", **load}),
        "relay": Variant(view, load),
        "publisher": Variant(measure, {"kind": "publisher", "service": "sns", **load}),
    }
    rounds = bench.rounds if bench.quick else max(10, bench.rounds)
    rows = bench.interleave("relay view", variants, rounds=rounds)
    noise = spread(rows, "control", "mean")
    goal = Goal("CPU-bound view beside 500 SNS messages a second that are left to a relay")
    found = rows.get("relay", [])
    said = f"mean slow-down (control's spread {noise:.1%} + 3%)"
    goal.add(said, [row["mean"] - 1 for row in found], noise + 0.03)
    goal.add("load delivered", [row["delivered"] for row in found])
    alone = [row["mean"] - 1 for row in rows.get("publisher", [])]
    goal.add("sent by the process itself: mean slow-down", alone)
    return goal
