"""gunicorn: workers come and go, and each delivers what its requests published."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts.load import Load, assert_nothing_lost_or_doubled, get, listening
from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Endpoint

pytestmark = pytest.mark.heavy  # servers

Start = Callable[..., Process]
#: HOSTS_REQUESTS=5000 for the whole of it.
REQUESTS = int(os.environ.get("HOSTS_REQUESTS", "160"))


GEVENT = ["-k", "gevent"]


def command(fd: int, *options: str) -> list[str]:
    fixed = ["-w", "2", "-b", f"fd://{fd}", "--graceful-timeout", "20", "--no-control-socket"]
    return [sys.executable, "-m", "gunicorn", *fixed, *options, "tests.hosts.web:application"]


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_reloads_and_recycled_workers(
    endpoint: Endpoint,
    start: Start,
    need: Callable[..., str],
    kind: str,
    preload: list[str],
) -> None:
    need("gunicorn")
    options = ["-k", kind, "--max-requests", str(REQUESTS // 4), *preload]
    options += ["--threads", "4"] if kind == "gthread" else []
    with listening() as listener:
        process = start(command(listener.fileno(), *options), endpoint.url, fd=listener)
        port = listener.getsockname()[1]
        load = Load(port, REQUESTS, lambda: process.signal(signal.SIGHUP), parts=4)
        process.signal(signal.SIGTERM)
        assert process.end(90) == 0, process.log
    assert len(load.answered) >= REQUESTS * 0.95, (len(load.broken), process.log)
    assert_nothing_lost_or_doubled(endpoint, load, process.log)
    assert "abandoned" not in process.log


def test_preloaded_application_that_has_published_already(
    endpoint: Endpoint, start: Start, need: Callable[..., str]
) -> None:
    need("gunicorn")
    with listening() as listener:
        process = start(
            command(listener.fileno(), "--preload"),
            endpoint.url,
            fd=listener,
            PUBLISH_AT_IMPORT="1",
        )
        for i in range(8):
            assert get(listener.getsockname()[1], f"/r-{i}?wait") == 200, process.log
        process.signal(signal.SIGTERM)
        assert process.end(90) == 0, process.log
    assert_stored(endpoint, expected(r=8, **{f"import-{process.pid}": 1}))


PATCHED = Path(__file__).parent / "gunicorn_gevent.py"


@pytest.mark.parametrize(
    "options", [[], ["--preload", "-c", str(PATCHED)]], ids=["", "preload, patched in time"]
)
def test_gevent(
    endpoint: Endpoint, start: Start, need: Callable[..., str], options: list[str]
) -> None:
    need("gunicorn")
    need("gevent")
    with listening() as listener:
        process = start(command(listener.fileno(), *GEVENT, *options), endpoint.url, fd=listener)
        load = Load(listener.getsockname()[1], 60, lambda: None, parts=1)
        process.signal(signal.SIGTERM)
        assert process.end(15) == 0, process.log  # well before the graceful time-out is over
    assert not load.broken, process.log
    assert_nothing_lost_or_doubled(endpoint, load, process.log)


def test_gevent_that_patches_too_late_is_refused(
    endpoint: Endpoint, start: Start, need: Callable[..., str]
) -> None:
    need("gunicorn")
    need("gevent")
    with listening() as listener:
        # An application that answers 500 to one request stops as late without this package.
        options = [*GEVENT, "--preload", "--graceful-timeout", "2"]
        process = start(command(listener.fileno(), *options), endpoint.url, fd=listener)
        assert get(listener.getsockname()[1], "/r-0?wait") == 500, process.log
        process.signal(signal.SIGTERM)
        assert process.end(90) == 0, process.log
    assert "RuntimeError: gevent patched the standard library after publisher" in process.log
    assert not endpoint.request_count
