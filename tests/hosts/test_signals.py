"""SIGTERM, with and without `publisher.install_signal_handlers()`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint

pytestmark = pytest.mark.every_python(
    "when a signal handler runs, and what its SystemExit meets, differs by version"
)

Start = Callable[..., Process]


def test_sigterm_ends_as_a_normal_exit_does(endpoint: Endpoint, start: Start) -> None:
    process = start(
        """
configure(linger=60)
assert publisher.install_signal_handlers() and publisher.install_signal_handlers()
publish('m', 15)
say('ready')
wait_for_signals()
""",
        endpoint.url,
    )
    process.read_until("ready")
    process.signal(signal.SIGTERM)
    assert process.end() == 143, process.log
    assert_stored(endpoint, expected(m=15))


def test_sigterm_during_the_drain_does_not_cut_it_short(endpoint: Endpoint, start: Start) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    process = start(
        """
configure(linger=60)  # only the drain sends nine messages
publisher.install_signal_handlers()
handler = signal.getsignal(signal.SIGTERM)
def told(*arguments):
    handler(*arguments)
    say('told')
signal.signal(signal.SIGTERM, told)
publish('m', 9)
ending()
""",
        endpoint.url,
        CLOSE_TIMEOUT="30",
    )
    process.read_until("ending")
    endpoint.wait_for(lambda: endpoint.request_count)
    process.signal(signal.SIGTERM)
    process.read_until("told")
    hold.set()
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(m=9))


def test_a_handler_that_is_there_stays_and_is_called(endpoint: Endpoint, start: Start) -> None:
    process = start(
        """
configure()
def mine(number, frame):
    publish('handler', 3)  # may have interrupted a publish
    assert not publisher.install_signal_handlers()
    sys.exit(9)
signal.signal(signal.SIGTERM, mine)
assert not publisher.install_signal_handlers()
assert signal.getsignal(signal.SIGTERM) is mine
publish('m', 15)
say('ready')
while True:
    publish('n')[0].result()
    publish('o', 100)
""",
        endpoint.url,
    )
    process.read_until("ready")
    endpoint.wait_for(lambda: endpoint.count("sns") > 500)
    process.signal(signal.SIGTERM)
    assert process.end() == 9, process.log
    stored = [entry.data.decode() for entry in endpoint.stored()]
    assert sorted(one for one in stored if one.startswith("handler")) == [
        "handler-0",
        "handler-1",
        "handler-2",
    ]
    assert sum(one.startswith("m") for one in stored) == 15


def test_installed_from_another_handler(endpoint: Endpoint, start: Start) -> None:
    process = start(
        """
configure()
def install(number, frame):
    say('installed', publisher.install_signal_handlers())
signal.signal(signal.SIGUSR1, install)
publish('m', 15)
say('ready')
wait_for_signals()
""",
        endpoint.url,
    )
    process.read_until("ready")
    process.signal(signal.SIGUSR1)
    assert process.read_until("installed") == "installed True"
    process.signal(signal.SIGTERM)
    assert process.end() == 143, process.log
    assert_stored(endpoint, expected(m=15))


def test_nothing_is_installed_unasked(endpoint: Endpoint, start: Start) -> None:
    process = start(
        """
configure()
publish('m', 15)[-1].result()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
say('ready')
wait_for_signals()
""",
        endpoint.url,
    )
    process.read_until("ready")
    process.signal(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
