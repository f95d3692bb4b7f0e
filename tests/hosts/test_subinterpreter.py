"""Subinterpreters with the GIL of the process: Python aborts all of it where a thread is left."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint

pytestmark = pytest.mark.every_python("subinterpreters are made and ended in each Python's own way")

Start = Callable[..., Process]

#: As C programs do that embed Python: each text in an interpreter of its own, which then ends.
EMBEDDED = "import _testcapi\nfor text in TEXTS: assert _testcapi.run_in_subinterp(text) == 0\n"
#: As Python's own module does, which before 3.12 runs none that has threads.
MODULE = """
try:
    import _interpreters
    create = lambda: _interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as _interpreters
    create = lambda: _interpreters.create(isolated=False)
for text in TEXTS:
    here = create()
    assert _interpreters.run_string(here, text) is None
    _interpreters.destroy(here)
"""
WAYS = [EMBEDDED, *([MODULE] if sys.version_info >= (3, 12) else [])]
every_way = pytest.mark.parametrize("way", WAYS, ids=["embedded", "module"][: len(WAYS)])

PUBLISHED = """
from tests.hosts.app import *
configure()
publish({name!r}, 30)[0].add_done_callback(lambda _: publish({name!r} + "-next", 12))
"""


@every_way
def test_ends_once_all_is_delivered(endpoint: Endpoint, start: Start, way: str) -> None:
    endpoint.script(Answer(latency=0.05))
    texts = [PUBLISHED.format(name=name) for name in "abc"]
    process = start(f"TEXTS = {texts}\n{way}\nsay('ended'); publish('main', 15)", endpoint.url)
    process.read_until("ended")
    assert process.end() == 0, process.log
    counts = {"a": 30, "a-next": 12, "b": 30, "b-next": 12, "c": 30, "c-next": 12, "main": 15}
    assert_stored(endpoint, expected(**counts))
    assert "publisher" not in process.log


LATE = """
import atexit
from tests.hosts.app import *
configure()
def late():  # registered before the first message: runs after the publisher's own handler
    called = []
    first = publish("late", 25)[0]
    first.add_done_callback(called.append)
    say("late", first.result(0)["MessageId"] != "", called == [first], publisher.flush(0))
    say("threads", threading.active_count())
atexit.register(late)
publish("early", 15)
"""


@every_way
def test_what_is_published_later_is_sent_by_its_caller(
    endpoint: Endpoint, start: Start, way: str
) -> None:
    process = start(f"TEXTS = {[LATE]}\n{way}\nsay('ended')", endpoint.url)
    assert process.read_until("late") == "late True True 0"
    assert process.read_until("threads") == "threads 1"
    process.read_until("ended")
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(early=15, late=25))


@every_way
def test_a_worker_in_a_request_is_waited_for(endpoint: Endpoint, start: Start, way: str) -> None:
    endpoint.script(Answer(hold=threading.Event(), store=False))
    text = "from tests.hosts.app import *\nconfigure(read_timeout=1.5); publish('m', 30)"
    process = start(f"TEXTS = {[text]}\n{way}\nsay('ended')", endpoint.url, CLOSE_TIMEOUT="0.2")
    process.read_until("ended")
    assert process.end() == 0, process.log
    assert "30 messages were abandoned at exit, close_timeout=0.2 s" in process.log
