"""uWSGI, which forks without telling Python unless it is asked to."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

from tests.hosts.load import Load, assert_nothing_lost_or_doubled, get, listening
from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint
from tests.support import until

pytestmark = pytest.mark.every_python("uWSGI embeds each Python, and ends it in its own way")

Start = Callable[..., Process]
UWSGI = "import pyuwsgi; pyuwsgi.run()"


def command(fd: int, *options: str) -> list[str]:
    fixed = ["--http-socket", f"fd://{fd}", "--master", "--need-app", "--die-on-term"]
    fixed += ["--processes", "2", "--module", "tests.hosts.web:application"]
    return [sys.executable, "-c", UWSGI, *fixed, *options]


@pytest.fixture(autouse=True)
def _uwsgi(need: Callable[..., str]) -> None:
    need("pyuwsgi")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--enable-threads", "--lazy-apps"],
        ["--enable-threads", "--py-call-uwsgi-fork-hooks"],
        ["--threads", "4"],
    ],
    ids=["default", "lazy-apps", "fork hooks", "threads"],
)
def test_works(endpoint: Endpoint, start: Start, options: list[str]) -> None:
    with listening() as listener:
        process = start(command(listener.fileno(), *options), endpoint.url, fd=listener)
        port = listener.getsockname()[1]
        load = Load(port, 80, lambda: None, parts=1)
        # uWSGI does not run Python's exit in a worker that is still busy with a request's end.
        endpoint.wait_for(lambda: endpoint.count("sns") >= len(load.answered))
        # Each lazy worker loads the application by itself, and a signal in the middle ends that.
        loaded = 2 if "--lazy-apps" in options else 1
        until(lambda: process.log.count("WSGI app 0 (") >= loaded)
        stopped = time.monotonic()
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.log
    assert time.monotonic() - stopped < 20, process.log
    assert not load.broken, process.log
    assert_nothing_lost_or_doubled(endpoint, load, process.log)
    assert "abandoned" not in process.log


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_second_signal_does_not_cut_the_drain(
    endpoint: Endpoint, start: Start, number: signal.Signals
) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    with listening() as listener:
        options = ["--enable-threads", "--lazy-apps", "--processes", "1"]
        process = start(command(listener.fileno(), *options), endpoint.url, fd=listener)
        port = listener.getsockname()[1]
        for n in range(25):
            assert get(port, f"/r-{n}?linger") == 200, process.log
        (worker,) = re.findall(r"spawned uWSGI worker 1 \(pid: (\d+)", process.log)
        os.kill(int(worker), signal.SIGHUP)  # as the master does for a reload
        endpoint.wait_for(lambda: endpoint.request_count)  # it drains
        os.kill(int(worker), number)
        hold.set()
        endpoint.wait_for(lambda: endpoint.count("sns") == 25)
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.log
    assert_stored(endpoint, expected(r=25))
