"""What a spool costs: the caller, the throughput, the start, the disk; and beside SQLite."""

# ruff: noqa: ARG001 - the harness hands every measurement the endpoint
from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, Goal, Rows, Variant
from benchmarks.load import REGION, STREAM, kinesis_data, messages, package, send_one_by_one
from benchmarks.rows.caller import latencies
from benchmarks.stub import control
from benchmarks.worker import Meter

ROOM = {"max_messages": 10**7, "max_bytes": 10**11}
KEY = bytes(range(32))


@contextmanager
def folder() -> Iterator[Path]:
    """A spool's directory on the disk of the temporary files."""
    with tempfile.TemporaryDirectory(prefix="publisher-bench-") as made:
        yield Path(made) / "spool"


def spool(path: Path, **options: Any) -> Any:
    """The option, with room for everything."""
    import publisher

    return publisher.Spool(path, **{"max_bytes": 1 << 34, **options})


def putter(ours: Any, endpoint: str) -> Callable[[tuple[str, bytes]], Any]:
    """`put_record` of a publisher's client."""
    client = ours.client("kinesis", endpoint_url=endpoint, region_name=REGION)
    return lambda each: client.put_record(StreamName=STREAM, Data=each[1], PartitionKey=each[0])


def caller(
    endpoint: str, bursts: int, burst: int, spinning: bool, pace: float, keep: bool = False
) -> dict[str, Any]:
    """Time calls in bursts each `pace` seconds, in memory and durable turn about.

    With `spinning`, beside a thread that never lets go of the GIL by itself; with `keep` the write
    does not either.
    """
    if keep:
        os.environ["BOTO3_PUBLISHER_SPOOL_GIL"] = "keep"
    work = messages("kinesis", 2_000)
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            sum(range(1_000))

    clock = time.perf_counter
    with folder() as path, package(**ROOM) as memory, package(**ROOM, spool=spool(path)) as durable:
        puts = {"memory": putter(memory, endpoint), "durable": putter(durable, endpoint)}
        durations: dict[str, list[float]] = {name: [] for name in puts}
        for put in puts.values():
            list(map(put, work[:500]))
        memory.flush(30)
        durable.flush(30)
        if spinning:
            threading.Thread(target=spin, daemon=True).start()
        for turn in range(bursts):
            for name, put in puts.items():
                time.sleep(pace)  # the pace of the load, not a synchronisation
                for at in range(burst):
                    each = work[(turn * burst + at) % len(work)]
                    before = clock()
                    put(each)
                    durations[name].append(clock() - before)
        ended.set()
    found = {f"{name} {key}": v for name in puts for key, v in latencies(durations[name]).items()}
    for share in ("p50", "p99", "p999"):
        found[f"ratio {share}"] = found[f"durable {share}"] / found[f"memory {share}"]
    return found


def goal_durable_caller(bench: Bench) -> Goal:
    """A durable `put_record` in a burst, in the caller, against memory's."""

    def run() -> Rows:
        arguments = {"bursts": bench.scale(100, 10), "burst": 100, "pace": 0.05, "spinning": False}
        return bench.interleave("durable caller", {"burst": Variant(caller, arguments)})

    rows = bench.once("durable caller", run)["burst"]
    goal = Goal("a durable `put_record` in a burst of 100, in the caller")
    goal.add("p50: of memory's", [row["ratio p50"] for row in rows], 5)
    goal.add("p99: of memory's", [row["ratio p99"] for row in rows], 10)
    goal.add("p50, us", [row["durable p50"] for row in rows])
    goal.add("p99, us", [row["durable p99"] for row in rows])
    return goal


def goal_durable_beside_cpu(bench: Bench) -> Goal:
    """A durable `put_record` beside a CPU-bound thread, in the caller."""

    def run() -> Rows:
        arguments = {"bursts": bench.scale(1_000, 100), "burst": 1, "pace": 0.005, "spinning": True}
        variants = {
            "os.write": Variant(caller, arguments),
            "keep": Variant(caller, {**arguments, "keep": True}),
        }
        return bench.interleave("durable beside cpu", variants)

    rows = bench.once("durable beside cpu", run)
    goal = Goal("a durable `put_record` beside a CPU-bound thread, in the caller")
    for name, said, limit in (
        ("os.write", "p99.9, ms", 40),
        ("keep", "p99.9 with the write that keeps the GIL, ms", 2),
    ):
        goal.add(said, [row["durable p999"] / 1e3 for row in rows.get(name, ())], limit)
    goal.add("p99.9 in memory, ms", [row["memory p999"] / 1e3 for row in rows.get("os.write", ())])
    return goal


def throughput(endpoint: str, service: str, count: int, durable: bool) -> dict[str, float]:
    """Send `count` messages one by one, after a warm-up, and wait for the last outcome."""
    work = messages(service, count, start=1_000_000)
    warm = messages(service, 5_000 if service == "kinesis" else 200)
    with folder() as path, package(**({"spool": spool(path)} if durable else {})) as ours:
        client = ours.client(service, endpoint_url=endpoint, region_name=REGION)
        send_one_by_one(client, service, warm)
        ours.flush(60)
        meter = Meter()
        send_one_by_one(client, service, work)
        left = ours.flush(120)
        wall, cpu = meter.read()
        total = ours.stats().total
        if left or total.delivered != len(warm) + count:
            raise RuntimeError(f"{left} unresolved, {total}")
    return {"rate": count / wall, "cpu_us": cpu / count * 1e6}


def goal_durable_throughput(bench: Bench) -> Goal:
    """Throughput of durable messages, `send="here"`, against memory's."""

    def run() -> Rows:
        variants = {}
        for service, count in (("kinesis", 80_000), ("sns", 10_000)):
            for durable in (False, True):
                count_now = bench.scale(count, 1_000)
                arguments = {"service": service, "count": count_now, "durable": durable}
                name = f"{service} {'durable' if durable else 'memory'}"
                variants[name] = Variant(throughput, arguments, expect=count_now)
        return bench.interleave("durable throughput", variants)

    rows = bench.once("durable throughput", run)
    goal = Goal('throughput of durable messages, `send="here"`')
    for service, limit in (("kinesis", 0.65), ("sns", None)):
        own, memory = f"{service} durable", f"{service} memory"
        rates = goal.ratio(rows, own, memory, "rate")
        goal.add(f"{service}: of memory's", rates, limit, at_least=True)
        costs = goal.ratio(rows, own, memory, "cpu_us")
        goal.add(f"{service}: CPU per message, of memory's", costs)
    return goal


LEAVE = """
import os, sys
from pathlib import Path
from benchmarks.load import messages, package
from benchmarks.rows.durable import ROOM, putter, spool
path, endpoint, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
put = putter(package(**ROOM, spool=spool(path)), endpoint)
for each in messages("kinesis", count):
    put(each)
os._exit(0)
"""


def start(endpoint: str, waiting: int) -> dict[str, float]:
    """The first message of a process whose spool has `waiting` messages of one that died."""
    with folder() as path:
        control(endpoint, "reset", {"latency": 600.0})
        if waiting:
            subprocess.run(
                [sys.executable, "-c", LEAVE, str(path), endpoint, str(waiting)], check=True
            )
        control(endpoint, "reset", {"latency": 0.02})
        clock = time.perf_counter
        ours = package(spool=spool(path), linger=0)
        put = putter(ours, endpoint)
        began = clock()
        future = put(("user", kinesis_data(0)))
        held = clock() - began
        future.result(60)
        delivered = clock() - began
        while ours.stats().total.replayed + ours.stats().total.delivered < (2 if waiting else 1):
            time.sleep(0.002)
        offered = clock() - began
        while ours.stats().total.delivered < waiting + 1:
            time.sleep(0.01)
        drained = clock() - began
        ours.close(30)
        left = len(list(path.iterdir()))
    return {
        "held_ms": held * 1e3,
        "delivered": delivered,
        "offered": offered,
        "rate": (waiting + 1) / drained,
        "left": left,
    }


def goal_durable_start(bench: Bench) -> Goal:
    """The first request of a process with 100,000 messages of a dead one on disk."""

    def run() -> Rows:
        count = bench.scale(100_000, 1_000)
        variants = {
            "waiting": Variant(start, {"waiting": count}),
            "none": Variant(start, {"waiting": 0}),
        }
        return bench.interleave("durable start", variants)

    rows = bench.once("durable start", run)
    goal = Goal("the start of a process with 100,000 messages of a dead one on disk")
    waiting = rows.get("waiting", [])
    alone = [row["delivered"] for row in rows.get("none", [])]
    more = [row["delivered"] - none for row, none in zip(waiting, alone, strict=False)]
    goal.add("first message: s until delivered, beyond that beside none", more, 0.2)
    goal.add("first message beside none: s until delivered", alone)
    goal.add("s until one of theirs was offered", [row["offered"] for row in waiting])
    goal.add("drained, messages a second", [row["rate"] for row in waiting])
    goal.add("files left when drained", [row["left"] for row in waiting], 0)
    return goal


def disk(endpoint: str, count: int, encrypted: bool) -> dict[str, float]:
    """Bytes on disk for each message that waits, above its data and key."""
    work = messages("kinesis", count)
    control(endpoint, "reset", {"latency": 600.0})
    with folder() as path:
        options = {"key": KEY} if encrypted else {}
        ours = package(**ROOM, spool=spool(path, **options), linger=60)
        put = putter(ours, endpoint)
        for each in work:
            put(each)
        used = sum(file.stat().st_size for file in path.iterdir())
        payload = sum(len(key) + len(data) for key, data in work)
    return {"over": (used - payload) / count}


def goal_durable_disk(bench: Bench) -> Goal:
    """Bytes on disk for each message that waits, above its payload."""

    def run() -> Rows:
        count = bench.scale(10_000, 1_000)
        variants = {
            name: Variant(disk, {"count": count, "encrypted": name == "with key="})
            for name in ("plain", "with key=")
        }
        return bench.interleave("durable disk", variants)

    rows = bench.once("durable disk", run)
    goal = Goal("bytes on disk for each message that waits, above its data and key")
    for name, limit in (("plain", 48), ("with key=", 76)):
        goal.add(name, [row["over"] for row in rows.get(name, [])], limit)
    return goal


def own_store(endpoint: str, count: int) -> dict[str, float]:
    """Append to a log of the store, then take and settle everything as the next process does."""
    from publisher._store.directory import prepare
    from publisher._store.log import Log
    from publisher._store.source import adopt

    class Holder:
        kept = None

    clock = time.perf_counter
    with folder() as path:
        log, holder, durations = Log(prepare(path)), Holder(), []
        log.tend(0)
        for number in range(count):
            entry = kinesis_data(number)
            before = clock()
            log.append(holder, b"{}", 0.0, entry, wait=False)
            durations.append(clock() - before)
        owner = str(log.owner)
        log.close()
        began, seen = clock(), 0
        source = adopt(prepare(path), owner)
        assert source is not None
        while taken := source.take(500):
            seen += len(taken)
            source.settle(taken)
        drained = clock() - began
        assert seen == count
        assert not list(path.iterdir())
    return {**latencies(durations), "drain": count / drained}


def sqlite(endpoint: str, count: int) -> dict[str, float]:
    """The same with SQLite: a row a message, WAL, no fsync of its own at a commit."""
    clock, durations = time.perf_counter, []
    with folder() as path:
        path.mkdir()
        base = sqlite3.connect(path / "spool.db", isolation_level=None)
        base.execute("pragma journal_mode = wal")
        base.execute("pragma synchronous = normal")
        base.execute(
            "create table kept (id integer primary key, place text, accepted real, entry blob)"
        )
        add = "insert into kept (place, accepted, entry) values (?, ?, ?)"
        for number in range(count):
            entry = kinesis_data(number)
            before = clock()
            base.execute(add, ("{}", 0.0, entry))
            durations.append(clock() - before)
        began, seen = clock(), 0
        while taken := base.execute("select * from kept order by id limit 500").fetchall():
            seen += len(taken)
            base.execute("delete from kept where id <= ?", (taken[-1][0],))
        drained = clock() - began
        assert seen == count
        base.close()
    return {**latencies(durations), "drain": count / drained}


def goal_durable_sqlite(bench: Bench) -> Goal:
    """The store's own segments beside SQLite: append and drain."""

    def run() -> Rows:
        count = bench.scale(50_000, 2_000)
        variants = {
            "own": Variant(own_store, {"count": count}),
            "sqlite": Variant(sqlite, {"count": count}),
        }
        return bench.interleave("durable sqlite", variants)

    rows = bench.once("durable sqlite", run)
    goal = Goal("SQLite (WAL, a row and a commit a message) against the spool's own segments")
    for key, said in (("p50", "append, p50"), ("p99", "append, p99"), ("p999", "append, p99.9")):
        goal.add(f"{said}: of the segments'", goal.ratio(rows, "sqlite", "own", key))
    goal.add("drain: of the segments' rate", goal.ratio(rows, "sqlite", "own", "drain"))
    goal.add("segments: append p50, us", [row["p50"] for row in rows.get("own", [])])
    goal.add("segments: drained a second", [row["drain"] for row in rows.get("own", [])])
    return goal
