"""Spark and Ray against `put_records` in a plain process: 1 KB rows to the stub, on two cores.

    make bench-engines

A run of its own, in the environment that has the engines. The rows are in memory before the clock
starts: a list of records, a cached DataFrame, blocks in Ray's store. The engines are started once
and written with before the first round; each round measures one after the other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import run_worker
from benchmarks.load import ENVIRONMENT, REGION, STREAM, kinesis_data
from benchmarks.rows.throughput import measure
from benchmarks.stub import Stub

CORES = 2
GOALS = {"Spark": 0.5, "Ray": 0.6}
TICKS = os.sysconf("SC_CLK_TCK")


def processes() -> Iterator[tuple[int, int, float, str]]:
    """Each process: its id, its parent's, its CPU with that of ended children (s), its command."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:  # it has ended
                continue
            yield int(folder.name), int(fields[1]), sum(map(int, fields[11:15])) / TICKS, command


def cpu_below(marks: tuple[str, ...]) -> float:
    """CPU (s) of this process, and of the trees under those of its children that `marks` name."""
    found = list(processes())
    mine = os.getpid()
    roots = {
        pid for pid, parent, _, line in found if parent == mine and any(m in line for m in marks)
    }
    parents = {pid: parent for pid, parent, _, _ in found}
    total = 0.0
    for pid, _, used, _ in found:
        at = pid
        while at in parents and at not in roots:
            at = parents[at]
        if at in roots:
            total += used
    return total + time.process_time()


class Spark:
    """Two cores of Spark, and a cached DataFrame."""

    marks = ("org.apache.spark",)

    def __init__(self, endpoint: str, count: int) -> None:
        from pyspark.sql import SparkSession
        from pyspark.sql import functions as F  # noqa: N812 - as everybody does

        from publisher.contrib.spark import PublisherDataSource

        self._session = (
            SparkSession.builder.master(f"local[{CORES}]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.memory", "2g")
            .getOrCreate()
        )
        self._session.sparkContext.setLogLevel("ERROR")
        self._session.dataSource.register(PublisherDataSource)
        self._endpoint = endpoint
        tail = kinesis_data(0)[len(b'{"id": 00000000') :].decode()
        self._rows = (
            self._session.range(0, count, 1, 2 * CORES)
            .select(
                F.format_string("user-%d", "id").alias("user_id"),
                F.concat(F.format_string('{"id": %08d', "id"), F.lit(tail))
                .cast("binary")
                .alias("data"),
            )
            .cache()
        )
        assert self._rows.count() == count

    def write(self) -> None:
        options = {
            "service": "kinesis",
            "stream": STREAM,
            "partition_key": "user_id",
            "endpoint_url": self._endpoint,
            "region_name": REGION,
        }
        self._rows.write.format("aws_publisher").options(**options).mode("append").save()

    def stop(self) -> None:
        self._session.stop()


class Ray:
    """Two cores of Ray, and blocks in its store."""

    marks = ("raylet", "gcs_server", "ray/")

    def __init__(self, endpoint: str, count: int) -> None:
        import pyarrow as pa
        import ray
        import ray.data

        self._ray = ray
        ray.init(
            num_cpus=CORES,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=1 << 30,
            _node_ip_address="127.0.0.1",
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        self._endpoint = endpoint
        size = count // (2 * CORES)
        tables = []
        for start in range(0, count, size):
            numbers = range(start, start + size)
            datas = [kinesis_data(number) for number in numbers]
            keys = [f"user-{number}" for number in numbers]
            tables.append(pa.table({"user_id": keys, "data": datas}))
        self._rows = ray.data.from_arrow(tables).materialize()

    def write(self) -> None:
        from publisher.contrib.ray import publisher_sink

        options = {"endpoint_url": self._endpoint, "region_name": REGION}
        sink = publisher_sink("kinesis", stream=STREAM, partition_key="user_id", **options)
        self._rows.write_datasink(sink)

    def stop(self) -> None:
        self._ray.shutdown()


def measured(stub: Stub, engine: Any, count: int) -> dict[str, float]:
    """One write of all rows: wall clock and CPU (s) of the engine, driver and workers."""
    stub.reset()
    cpu, wall = cpu_below(engine.marks), time.perf_counter()
    engine.write()
    wall, cpu = time.perf_counter() - wall, cpu_below(engine.marks) - cpu
    if (seen := stub.stats()["records"]) != count:
        raise RuntimeError(f"{seen} of {count} rows reached the endpoint")
    return {"wall": wall, "cpu": cpu}


def plain(stub: Stub, count: int) -> dict[str, float]:
    """`put_records` with all rows in one call, in a fresh process."""
    stub.reset()
    arguments = {"name": "publisher (batch)", "service": "kinesis", "count": count}
    found = run_worker(measure, {**arguments, "endpoint": stub.url})
    return {"wall": found["wall"], "cpu": found["cpu_us"] * count / 1e6}


def shown(values: list[float]) -> str:
    """The median of the rounds, and the spread."""
    return f"{statistics.median(values):.3g} | {min(values):.3g} .. {max(values):.3g}"


def report(rows: dict[str, list[dict[str, float]]], count: int) -> None:
    """Print the table."""
    base = rows.pop("plain")
    print("| what | measured | goal | median | lowest .. highest round | verdict |")
    print("| --- | --- | --- | --- | --- | --- |")
    rates = [count / row["wall"] for row in base]
    print(f"| `put_records`, a plain process | rows a second |  | {shown(rates)} |  |")
    print(f"|  | us of CPU a row |  | {shown([row['cpu'] / count * 1e6 for row in base])} |  |")
    for name, found in rows.items():
        pairs = list(zip(found, base, strict=True))
        per_cpu = [theirs["cpu"] / row["cpu"] for row, theirs in pairs]
        verdict = "met" if statistics.median(per_cpu) >= GOALS[name] else "NOT met"
        what = "rows a second of CPU, of the plain process's"
        print(f"| {name} | {what} | >= {GOALS[name]} | {shown(per_cpu)} | {verdict} |")
        wall = [theirs["wall"] / row["wall"] for row, theirs in pairs]
        print(
            f"|  | rows a second on {CORES} cores, of the plain process's |  | {shown(wall)} |  |"
        )
        print(
            f"|  | us of CPU a row |  | {shown([row['cpu'] / count * 1e6 for row in found])} |  |"
        )


def main() -> None:
    """Measure, and print the table on standard output."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=300_000)
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    os.environ.update(
        PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1", RAY_USAGE_STATS_ENABLED="0"
    )
    count = options.rows
    with Stub() as stub:
        made: dict[str, Any] = {"Spark": Spark(stub.url, count), "Ray": Ray(stub.url, count)}
        for engine in made.values():  # the workers' processes and imports
            engine.write()
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in ("plain", *made)}
        take: dict[str, Callable[[], dict[str, float]]] = {
            "plain": lambda: plain(stub, count),
            **{name: lambda e=engine: measured(stub, e, count) for name, engine in made.items()},
        }
        names = list(rows)
        for turn in range(options.rounds):
            for name in names[turn % 3 :] + names[: turn % 3]:
                rows[name].append(take[name]())
                print(f"{turn} {name}: {rows[name][-1]}", file=sys.stderr, flush=True)
        report(rows, count)
        for engine in made.values():
            engine.stop()


if __name__ == "__main__":
    main()
