"""gevent and eventlet, patched in time: our threads are green, the process keeps its signals."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint

pytestmark = pytest.mark.every_python(
    "gevent and eventlet replace other parts of threading from one Python to the next"
)

Start = Callable[..., Process]

PATCHED = {
    "gevent": "from gevent import monkey; monkey.patch_all()\n",
    "eventlet": "import eventlet; eventlet.monkey_patch()\n",
}
SIGNALS = """
import signal, subprocess
configure(linger=0)
publish('m')[0].result()
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
subprocess.run(['true'], timeout=5, check=True)
"""


@pytest.fixture(params=sorted(PATCHED))
def patched(request: pytest.FixtureRequest, need: Callable[..., str]) -> str:
    """The line that patches the standard library before all else."""
    need(request.param)
    return PATCHED[request.param]


def test_the_main_thread_blocks_no_signal(endpoint: Endpoint, start: Start, patched: str) -> None:
    process = start(SIGNALS, endpoint.url, first=patched)
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(m=1))


def test_a_signal_ends_it_as_if_nothing_had_been_sent(
    endpoint: Endpoint, start: Start, patched: str
) -> None:
    process = start(SIGNALS + "say('ready')\ntime.sleep(600)\n", endpoint.url, first=patched)
    process.read_until("ready")
    process.signal(signal.SIGTERM)
    assert process.end(10) == -signal.SIGTERM, process.log


def test_what_is_left_at_the_end_is_given_up_and_told(
    endpoint: Endpoint, start: Start, patched: str
) -> None:
    answers = iter([Answer()])
    endpoint.script(lambda _: next(answers, Answer(hold=threading.Event())))
    # One is answered first: a first message may meet the end of the process before it has all it
    # needs, and fail.
    script = "configure(linger=0, close_timeout=1)\npublish('first')[0].result()\npublish('m')\n"
    process = start(script, endpoint.url, first=patched)
    assert process.end(20) == 0, process.log
    assert "1 message was abandoned" in process.log


@pytest.mark.parametrize("when", ["before the client", "after it"])
def test_patched_too_late_is_refused(
    endpoint: Endpoint, start: Start, patched: str, when: str
) -> None:
    early, late = (patched, "") if when == "before the client" else ("", patched)
    process = start(
        f"""
configure(close_timeout=2)
{early}
sns = client()
{late}
try:
    sns.publish(TopicArn=TOPIC, Message='m')
except RuntimeError as error:
    say('refused', 'patched the standard library after publisher' in str(error))
""",
        endpoint.url,
    )
    assert process.read_until("refused") == "refused True"
    assert process.end() == 0, process.log
    assert not endpoint.request_count
