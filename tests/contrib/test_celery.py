"""Celery: real workers, ended in every way, lose nothing."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contrib.processes import EXAMPLES, Running, run
from tests.servers import Endpoint, Moto

pytestmark = pytest.mark.heavy  # workers of Celery

APP = "tests.contrib.celery_worker"


@pytest.fixture
def celery(need: Callable[[str], Path]) -> Path:
    return need("celery") / "celery"


@pytest.fixture
def worker(
    celery: Path, start: Callable[..., Running], endpoint: Endpoint, tmp_path: Path
) -> Callable[..., Running]:
    """Sends tasks of 4 messages, then starts a worker with these arguments."""

    def worker(*arguments: str, tasks: int = 1, hold: bool = False, **environment: str) -> Running:
        environment = {"ENDPOINT": endpoint.url, "BROKER_DIR": str(tmp_path), **environment}
        for i in range(tasks):
            send(tmp_path, f"{APP}.publish", f"task{i}", 4, hold)
        return start([celery, "-A", APP, "worker", *arguments], **environment)

    return worker


def send(folder: Path, task: str, *arguments: Any) -> None:
    """Puts a task into the queue."""
    from celery import Celery

    names = ("data_folder_in", "data_folder_out", "control_folder")
    with Celery(broker="filesystem://", set_as_current=False) as app:
        app.conf.broker_transport_options = dict.fromkeys(names, str(folder))
        app.send_task(task, args=arguments)


def expected(tasks: int) -> Counter[str]:
    return Counter(f"task{task}-{i}" for task in range(tasks) for i in range(4))


def stored(endpoint: Endpoint) -> Counter[str]:
    return Counter(entry.data.decode() for entry in endpoint.stored())


def processes(text: str) -> set[str]:
    return set(re.findall(r"published \S+ in (\d+)", text))


def test_recycled_children_lose_nothing(worker: Callable[..., Running], endpoint: Endpoint) -> None:
    process = worker("-c", "1", tasks=6, MAX_TASKS="2")
    process.until("published task5")
    endpoint.wait_for(lambda: endpoint.count("sns") >= 24, 60)  # all three have been recycled
    # The worker's own end is not waited for, as below. Without this package too 1 of 81 workers
    # whose children took 0.15 s to end waited for ever.
    assert stored(endpoint) == expected(6), process.text
    assert len(processes(process.text)) == 3


def test_a_warm_shutdown_loses_nothing(worker: Callable[..., Running], endpoint: Endpoint) -> None:
    process = worker("-c", "1")
    process.until("published task0")
    assert endpoint.count("sns") == 0  # all four linger
    process.end(signal.SIGTERM)
    assert stored(endpoint) == expected(1), process.text


def test_a_cold_shutdown_loses_nothing(worker: Callable[..., Running], endpoint: Endpoint) -> None:
    """Ended in the middle of its task, the child still delivers what the task has published."""
    process = worker("-c", "1", hold=True)
    process.until("published task0")
    process.popen.send_signal(signal.SIGQUIT)
    # The worker's own end is not waited for: a child that is ended while it holds the lock of
    # billiard's queue leaves its parent waiting for that lock.
    endpoint.wait_for(lambda: endpoint.count("sns") >= 4, 60)
    assert stored(endpoint) == expected(1), process.text


@pytest.mark.parametrize(
    ("pool", "number"), [("solo", signal.SIGQUIT), ("threads", signal.SIGTERM)]
)
def test_workers_that_run_tasks_in_their_main_process(
    pool: str, number: signal.Signals, worker: Callable[..., Running], endpoint: Endpoint
) -> None:
    process = worker("-P", pool, "-c", "2")
    process.until("published task0")
    process.end(number, 15)
    assert stored(endpoint) == expected(1), process.text


@pytest.mark.parametrize("timeout", ["1", True])
def test_a_timeout_that_is_no_number_raises(timeout: Any, celery: Path) -> None:
    from publisher.contrib.celery import install

    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        install(timeout=timeout)


def test_a_negative_timeout_raises(celery: Path) -> None:
    from publisher.contrib.celery import install

    with pytest.raises(ValueError, match="0 or more, not -1"):
        install(timeout=-1)


def test_the_example(
    celery: Path, start: Callable[..., Running], moto_server: Moto, tmp_path: Path
) -> None:
    topic = moto_server.topic()
    environment = {
        "AWS_ENDPOINT_URL": moto_server.url,
        "TOPIC_ARN": topic.arn,
        "BROKER_DIR": str(tmp_path),
    }
    folder = EXAMPLES / "celery_app"
    call = [celery, "-A", "tasks", "call", "tasks.ship", "--args", "[42]"]
    code, text = run(call, cwd=folder, **environment)
    assert code == 0, text
    process = start([celery, "-A", "tasks", "worker", "-c", "1"], cwd=folder, **environment)
    assert [one.body for one in topic.drain(1)] == ["order 42 shipped"]
    assert process.end(signal.SIGTERM) == 0, process.text
