"""Ways out of a process, or out of a log, at which nothing of Python's or ours runs: what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Endpoint

Start = Callable[..., Process]
#: As the recipe has it, with the descriptors closed as python-daemon does.
DAEMON = """
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.closerange(3, 256)
"""
LOSE_ONE = """
nowhere = client(endpoint_url="http://127.0.0.1:9").with_options(delivery_timeout=1, linger=0)
nowhere.publish(TopicArn=TOPIC, Message="x").exception(20)
"""


@pytest.mark.every_python(
    "what is left of daemon threads as a process turns into another differs by version"
)
def test_flushed_before_execv(endpoint: Endpoint, start: Start) -> None:
    script = "configure(linger=60); publish('a', 20); publisher.flush(20)\n"
    process = start(script + "os.execv(sys.executable, [sys.executable, '-c', ''])", endpoint.url)
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(a=20))


@pytest.mark.every_python(
    "what is left of daemon threads as a process turns into another differs by version"
)
def test_a_daemon_publishes(endpoint: Endpoint, start: Start) -> None:
    script = "configure(linger=60); publish('a', 20); publisher.flush(20)" + DAEMON
    process = start(script + "publish('b', 20)", endpoint.url)
    assert process.end() == 0, process.log
    endpoint.wait_for(lambda: endpoint.count("sns") == 40)
    assert_stored(endpoint, expected(a=20, b=20))


@pytest.mark.parametrize("keep", [True, False])
def test_logging_configured_after_the_import(endpoint: Endpoint, start: Start, keep: bool) -> None:
    settings = {
        "version": 1,
        "handlers": {"all": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["all"]},
        **({"disable_existing_loggers": False} if keep else {}),
    }
    script = f"import logging.config\nlogging.config.dictConfig({settings})\n{LOSE_ONE}"
    process = start(script, endpoint.url)
    assert process.end() == 0, process.log
    assert ("1 of 1 message was lost" in process.log) is keep, process.log
