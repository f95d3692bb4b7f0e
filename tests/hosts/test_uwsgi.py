"""uWSGI, which forks without telling Python unless it is asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.hosts.load import Load, assert_nothing_lost_or_doubled, get, listening
from tests.hosts.process import Process
from tests.servers import Endpoint

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
    if not _has_threads() and not options:
        pytest.skip("covered by test_says_which_flag_is_missing")
    with listening() as listener:
        process = start(command(listener.fileno(), *options), endpoint.url, fd=listener)
        reload = lambda: process.signal(signal.SIGHUP)  # noqa: E731
        load = Load(listener.getsockname()[1], 120, reload, parts=2)
        process.signal(signal.SIGTERM)
        process.end()
    assert len(load.answered) >= 100, process.log
    assert_nothing_lost_or_doubled(endpoint, load)
    assert "abandoned" not in process.log
