"""Celery: what tasks published is delivered when a process is recycled or a worker shut down."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Endpoint

Start = Callable[..., Process]
TASKS = 6


RECYCLED = ["prefork", "-c", "2", "--max-tasks-per-child", "1"]


@pytest.mark.heavy
@pytest.mark.parametrize(
    "options",
    [["prefork", "-c", "2"], RECYCLED, ["solo"], ["threads", "-c", "4"]],
    ids=["prefork", "prefork, recycled", "solo", "threads"],
)
def test_tasks_publish(
    endpoint: Endpoint, start: Start, need: Callable[..., str], tmp_path: Path, options: list[str]
) -> None:
    need("celery")
    environment = {"BROKER": str(tmp_path / "broker"), "WIRING": "1"}
    send = "from tests.hosts.celery_app import publish_one\n"
    send += f"for i in range({TASKS}): publish_one.delay(i)"
    sender = start(send, endpoint.url, **environment)
    assert sender.end() == 0, sender.log  # the folder that is the broker knows no locks
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = [sys.executable, "-m", "celery", "-A", "tests.hosts.celery_app", "worker", *quiet]
    worker = start([*command, "-P", *options], endpoint.url, **environment)
    for _ in range(TASKS):
        worker.read_until("done", 60)
    if options is RECYCLED:
        # With a broker that is polled a thread of Celery's forks these, and Linux kills them (as
        # Celery asks it to) when that thread ends, before they are told: not to be relied on. One
        # that is killed while it holds the lock of billiard's queue has the worker wait for ever,
        # so its end is not waited for.
        endpoint.wait_for(lambda: endpoint.count("sns") == TASKS, 60)
    else:
        worker.signal(signal.SIGTERM)
        assert worker.end(60) == 0, worker.log
    assert_stored(endpoint, expected(task=TASKS))
