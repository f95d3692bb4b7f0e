"""A small Spark and a small Ray on this machine, started once each."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Answer, Endpoint

# Before the engines start: what their processes inherit.
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

ROWS = 1_200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The engines warn of much that is not ours, on their threads too.
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two executors in processes of their own, a core each."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        from pyspark.sql import SparkSession

        from publisher.contrib.spark import PublisherDataSource

        folder = tmp_path_factory.mktemp("spark")
        os.environ["SPARK_WORKER_DIR"] = str(folder)
        session = (
            SparkSession.builder.master("local-cluster[2,1,512]")
            .config("spark.executor.memory", "512m")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.local.dir", str(folder))
            .config("spark.sql.warehouse.dir", str(folder))
            .getOrCreate()
        )
        session.dataSource.register(PublisherDataSource)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def ray_data() -> Iterator[Any]:
    """`ray.data`, with a Ray of two cores."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        import ray
        import ray.data

        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=200 * 1024 * 1024,
            _node_ip_address="127.0.0.1",
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray.data
    ray.shutdown()


@pytest.fixture
def server() -> Iterator[Endpoint]:
    """A server that takes everything and remembers it."""
    with Endpoint(shards=2) as running:
        yield running


def body(number: int) -> bytes:
    """The body of a row."""
    return b"%06d" % number + b"x" * 200


def copies(server: Endpoint) -> Counter[int]:
    """How often each row was stored, by its number."""
    return Counter(int(entry.data[:6]) for entry in server.stored())


def kill_one(mark: str) -> None:
    """Kill one process of ours that has `mark` on its command line, as a machine's end would."""
    found = [pid for pid, line in _processes() if mark in line]
    assert found, f"no process has {mark!r}"
    os.kill(found[0], signal.SIGKILL)


def _processes() -> Iterator[tuple[int, str]]:
    ours = {os.getpid()}
    parents: dict[int, int] = {}
    lines: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                lines[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            parents[int(folder.name)] = int(stat[1])
    for pid, line in lines.items():
        at = pid
        while at in parents and at not in ours:
            at = parents[at]
        if at in ours:
            yield pid, line


@contextlib.contextmanager
def killing(server: Endpoint, mark: str) -> Iterator[None]:
    """Kill one process, by its mark, once both halves of the rows have in part been stored.

    Until then no request is answered, so that neither half's task can end.
    """
    held = threading.Event()

    def kill() -> None:
        try:
            server.wait_for(
                lambda: len({number < ROWS // 2 for number in copies(server)}) == 2, 120
            )
            kill_one(mark)
        finally:
            server.script(None)
            held.set()

    server.script(Answer(hold=held))
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill)
        yield
    killed.result()
