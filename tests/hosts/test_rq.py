"""RQ: what jobs published is delivered before the process that ran them ends."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Endpoint

Start = Callable[..., Process]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("worker", "jobs"),
    [
        ("publisher.contrib.rq.PublisherWorker", 6),
        ("publisher.contrib.rq.PublisherSpawnWorker", 3),
        ("rq.SimpleWorker", 3),
    ],
)
def test_jobs_publish(
    endpoint: Endpoint, start: Start, need: Callable[..., str], worker: str, jobs: int
) -> None:
    for module in ("rq", "fakeredis"):
        need(module)
    server = start([sys.executable, "-m", "tests.hosts.redis_server"], endpoint.url)
    url = f"redis://127.0.0.1:{server.read_until('port').split()[1]}"
    send = "from redis import Redis\nfrom rq import Queue\n"
    send += f"queue = Queue(connection=Redis.from_url({url!r}))\n"
    send += f"for i in range({jobs}): queue.enqueue('tests.hosts.rq_jobs.publish_one', i)"
    sender = start(send, endpoint.url)
    assert sender.end() == 0, sender.log
    command = [sys.executable, "-m", "rq.cli", "worker", "--url", url, "--burst"]
    process = start([*command, "--worker-class", worker], endpoint.url)
    assert process.end(120) == 0, process.log
    assert_stored(endpoint, expected(job=jobs))
    assert "JobTimeoutException" in process.log
    assert "this job fails" in process.log
