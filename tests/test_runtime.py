"""Threads of ours that something ends: they go on, or what they had to do ends."""

from __future__ import annotations

import ctypes
import logging
import threading

import pytest

from tests.servers import Answer, Endpoint
from tests.support import SOON, TOPIC, client, until

pytestmark = pytest.mark.every_python(
    "how a thread ends by an error, and what is left of it, differs by version"
)


def _strike(thread: threading.Thread) -> None:
    """An exception out of nowhere, as watchdogs and time limits set it."""
    assert thread.ident is not None
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert set_exception(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)) == 1


@pytest.mark.parametrize("name", ["dispatcher", "worker", "callbacks"])
def test_a_thread_that_an_exception_strikes_goes_on(
    endpoint: Endpoint, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with client("sns", endpoint.url, linger=0) as sns:
        told = threading.Event()
        first = sns.publish(TopicArn=TOPIC, Message="first")
        first.add_done_callback(lambda _: told.set())
        assert first.result(SOON)
        assert told.wait(SOON)
        runtime = sns._publisher._core.runtime
        ours = {t for t in threading.enumerate() if t.name.startswith(f"publisher-{name}")}
        assert ours
        for thread in ours:
            _strike(thread)
        for n in range(30):  # each finds the threads as the one before left them
            again = threading.Event()
            future = sns.publish(TopicArn=TOPIC, Message=str(n))
            future.add_done_callback(lambda _, again=again: again.set())
            future.exception(SOON)
            assert again.wait(SOON)
        assert future.exception(SOON) is None
        assert all(thread.is_alive() for thread in ours), runtime
    assert until(lambda: "met an error" in caplog.text)


class _Broken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise SystemExit("a handler that ends")


def test_a_logging_handler_that_raises_ends_no_thread(endpoint: Endpoint) -> None:
    broken, logger = _Broken(), logging.getLogger("publisher")

    def bad(_: object) -> None:
        raise ValueError("of the user")

    with client("sns", endpoint.url, linger=0) as sns:
        logger.addHandler(broken)
        try:
            for n in range(3):
                told = threading.Event()
                future = sns.publish(TopicArn=TOPIC, Message=str(n))
                future.add_done_callback(bad)
                future.add_done_callback(lambda _, told=told: told.set())
                assert future.result(SOON)
                assert told.wait(SOON)
        finally:
            logger.removeHandler(broken)


def test_a_retired_runtime_has_no_threads_and_the_callers_send(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    with client("sns", endpoint.url, linger=0) as sns:
        sns.publish(TopicArn=TOPIC, Message="first").result(SOON)
        runtime = sns._publisher._core.runtime
        endpoint.script(Answer(hold=gate))
        held = sns.publish(TopicArn=TOPIC, Message="held")
        endpoint.wait_for(lambda: endpoint.request_count == 2)
        runtime.retire(0)
        assert "still in a call" in caplog.text
        gate.set()
        assert held.result(SOON)
        caplog.clear()
        runtime.retire(SOON)
        ours = [thread.name for thread in threading.enumerate() if "publisher-" in thread.name]
        assert not ours
        assert not caplog.text
        called: list[object] = []
        last = sns.publish(TopicArn=TOPIC, Message="last")
        last.add_done_callback(called.append)
        assert last.result(0)
        assert called == [last]
