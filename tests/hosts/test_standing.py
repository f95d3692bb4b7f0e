"""A process that was stopped for longer than ``delivery_timeout`` loses nothing over it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint

Start = Callable[..., Process]
PUBLISH = """
configure(delivery_timeout=2.5, linger=0.3, max_workers=2, max_messages=300)
publish("first", 1)[0].result(20)
for name in ("a", "b", "c", "d"):
    threading.Thread(target=publish, args=(name, 80), daemon=True).start()
say("published")
while any(thread.name.startswith("Thread") for thread in threading.enumerate()):
    wait_a_moment()
publisher.flush(30)
say(publisher.stats().total)
"""


@pytest.mark.heavy
def test_stopped_for_longer_than_delivery_timeout(endpoint: Endpoint, start: Start) -> None:
    endpoint.script(Answer(latency=0.05))
    prelude = "def wait_a_moment(): threading.Event().wait(0.05)\n"
    process = start(prelude + PUBLISH, endpoint.url)
    process.read_until("published")
    endpoint.wait_for(lambda: endpoint.request_count > 2)
    process.signal(signal.SIGSTOP)
    assert not threading.Event().wait(5)  # it is real time that must not count
    process.signal(signal.SIGCONT)
    assert process.end() == 0, process.log
    assert "lost" not in process.log
    assert_stored(endpoint, expected(first=1, a=80, b=80, c=80, d=80))
