"""A script ends: its messages are delivered, or given up in time, and its exit code is its own."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.hosts.process import Process, assert_stored, bodies, expected
from tests.servers import Answer, Endpoint, Error

pytestmark = pytest.mark.every_python(
    "the order of callbacks at exit, and what still works in them, differs by version"
)

Start = Callable[..., Process]

END = "configure()\npublish('m', 120)\n"
# After a delivered message: while boto3 loads its models, code from strings is run, and Python then
# forgets that Ctrl-C was the reason, and ends with 1.
INTERRUPTED = "publish('n')[0].result(); publish('o', 99); os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ("", 0),
        ("sys.exit(7)", 7),
        ("raise ZeroDivisionError", 1),
        (INTERRUPTED, -signal.SIGINT),
    ],
    ids=["end", "sys.exit", "uncaught", "Ctrl-C"],
)
def test_everything_is_delivered(endpoint: Endpoint, start: Start, ends: str, code: int) -> None:
    prelude = "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = start(prelude + END + ends, endpoint.url)
    assert process.end() == code, process.log
    more = {"n": 1, "o": 99} if ends is INTERRUPTED else {}
    assert_stored(endpoint, expected(m=120, **more))
    assert "abandoned" not in process.log


@pytest.fixture
def refusing() -> Iterator[str]:
    """Where nobody listens: the port is taken all the same, or another server might get it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("network", ["never answers", "refuses", "no such host"])
def test_the_end_comes_in_time_and_says_what_was_abandoned(
    endpoint: Endpoint, start: Start, refusing: str, network: str
) -> None:
    endpoint.script(Answer(hold=threading.Event(), store=False))
    url = {
        "never answers": endpoint.url,
        "refuses": refusing,
        "no such host": "http://publisher.invalid",
    }[network]
    process = start(END + "ending()\nsys.exit(7)", url, CLOSE_TIMEOUT="1.5")
    process.read_ending()
    assert process.end() == 7, process.log
    assert process.took < 1.5 + 1, process.log
    (line,) = [line for line in process.log.splitlines() if line.startswith("ERROR publisher")]
    assert "120 messages were abandoned at exit, close_timeout=1.5 s was not enough" in line
    assert line.endswith(": 120 to sns:us-east-1:hosts")


def test_a_second_ctrl_c_ends_at_once(endpoint: Endpoint, start: Start) -> None:
    endpoint.script(Answer(hold=threading.Event(), store=False))
    # Nine messages linger until the drain: a request says that it has begun.
    code = """
configure(linger=60)
publish('m', 9)
signal.signal(signal.SIGINT, signal.default_int_handler)
ending()
"""
    process = start(code, endpoint.url, CLOSE_TIMEOUT="60")
    process.read_until("ending")
    endpoint.wait_for(lambda: endpoint.request_count)
    process.signal(signal.SIGINT)
    process.end(10)
    assert "9 messages were abandoned" in process.log


LATE = """
configure()
def first():  # registered before the first message: runs after the publisher's own handler
    say("first", [future.result(0)["MessageId"] != "" for future in publish("first", 2)])
def second():
    publish("second", 60)
atexit.register(first)
publish("early", 15)
def work():
    threading.main_thread().join()
    for future in publish("thread", 60):
        future.result(20)
    publish("last", 60)
threading.Thread(target=work).start()
atexit.register(second)
"""


def test_late_messages_are_delivered(endpoint: Endpoint, start: Start) -> None:
    process = start("import atexit, threading\n" + LATE, endpoint.url)
    assert process.read_until("first") == "first [True, True]"
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(early=15, thread=60, last=60, first=2, second=60))


@pytest.mark.parametrize("where", ["atexit", "thread", "atexit with nobody there"])
def test_the_first_message_may_be_a_late_one(
    endpoint: Endpoint, start: Start, refusing: str, where: str
) -> None:
    if where == "thread":
        code = "threading.Thread(target=work).start()"
    else:
        code = "atexit.register(lambda: publish('m', 25))"
    prelude = """
import atexit, threading
configure()
def work():
    threading.main_thread().join()
    publish('m', 25)
"""
    url = refusing if where == "atexit with nobody there" else endpoint.url
    timeout = "30" if url == endpoint.url else "1.5"
    process = start(prelude + code, url, CLOSE_TIMEOUT=timeout)
    assert process.end() == 0, process.log
    if url == endpoint.url:
        assert_stored(endpoint, expected(m=25))
    else:
        assert "abandoned at exit" in process.log


CHAIN = """
from concurrent.futures import Future
configure()
def again(left):
    def go_on(future):
        future.result(0)
        if left:
            publish(f'link{left}')[0].add_done_callback(again(left - 1))
    return go_on
publish('first')[0].add_done_callback(again(7))
"""


@pytest.mark.parametrize("latency", [0, 0.05])
def test_what_callbacks_publish_is_drained_to_the_end(
    endpoint: Endpoint, start: Start, latency: float
) -> None:
    endpoint.script(Answer(latency=latency))
    process = start(CHAIN, endpoint.url)
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(first=1, **{f"link{n}": 1 for n in range(1, 8)}))
    assert "publisher" not in process.log


def test_a_fallback_of_on_failed_to_another_publisher_is_drained(
    endpoint: Endpoint, start: Start
) -> None:
    endpoint.script(
        lambda request: (
            Answer(error=Error(404, "NotFound"))
            if any(entry.data.startswith(b"lost") for entry in request.entries)
            else None
        )
    )
    process = start(
        """
other = publisher.Publisher()
class Fallback(publisher.Hook):
    def on_failed(self, event):
        other.client('sns', endpoint_url=os.environ['ENDPOINT']).publish(
            TopicArn=TOPIC, Message=event.params['Message'].replace('lost', 'kept'))
configure(hooks=[Fallback()])
publish('lost', 15)
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(kept=15))


def test_a_chain_without_end_ends_with_close_timeout_and_is_told(
    endpoint: Endpoint, start: Start
) -> None:
    process = start(
        """
configure()
def again(future):
    publish('m')[0].add_done_callback(again)
publish('m')[0].add_done_callback(again)
ending()
""",
        endpoint.url,
        CLOSE_TIMEOUT="0.5",
    )
    process.read_ending()
    assert process.end() == 0, process.log
    assert process.took < 0.5 + 2, process.log
    # The end meets the one that is on its way, or the call for the next one.
    assert "1 message was abandoned" in process.log or "PublisherClosed" in process.log


def test_what_a_callback_publishes_as_the_time_runs_out_is_told(
    endpoint: Endpoint, start: Start
) -> None:
    process = start(
        """
import atexit
configure()
started, over = threading.Event(), threading.Event()
def another(future):
    started.set()
    over.wait(30)
    publish('late')
publish('m')[0].add_done_callback(another)
started.wait(30)  # its thread: 3.12 starts none any more at the end
atexit.register(over.set)  # runs when the time for draining is over
""",
        endpoint.url,
        CLOSE_TIMEOUT="0.5",
    )
    assert process.end() == 0, process.log
    told = "1 message was abandoned" in process.log or "PublisherClosed" in process.log
    assert told or bodies(endpoint)["late-0"] == 1, process.log  # a quick one made it


def test_callbacks_that_hang_cost_the_exit_the_same_however_many_publishers_there_are(
    endpoint: Endpoint, start: Start
) -> None:
    process = start(
        """
made = [publisher.Publisher(close_timeout=0.2) for _ in range(8)]
for each in made:
    sns = each.client('sns', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
    future = sns.publish(TopicArn=TOPIC, Message='m')
    future.add_done_callback(lambda _: threading.Event().wait(60))
    future.result()
ending()
""",
        endpoint.url,
    )
    process.read_ending()
    assert process.end() == 0, process.log
    assert process.took < 0.2 + 2 * 0.3 + 1.5, process.log  # 8 x 2 x 0.3 s one after the other


FINALISERS = {
    "a global": "keep = Last()",
    "a cycle": "keep = Last(); keep.me = keep",
    "another module's": "keep = Last(); import json; json.keep = keep; del keep",
    "of a class": "class Holder: keep = Last()",
}


@pytest.mark.parametrize("before", ["publish('warm')[0].result()", "publish('warm', 3)"])
@pytest.mark.parametrize("keep", FINALISERS.values(), ids=list(FINALISERS))
def test_a_finaliser_that_publishes_at_teardown_is_never_held(
    endpoint: Endpoint, start: Start, keep: str, before: str
) -> None:
    process = start(
        f"""
class Last:
    def __init__(self):
        self.sns, self.write, self.topic = client(), os.write, TOPIC
        self.flush = publisher.flush
    def __del__(self):
        self.write(1, b'del\\n')
        for _ in range(3):
            self.sns.publish(TopicArn=self.topic, Message='late')
configure()
{keep}
{before}
ending()
""",
        endpoint.url,
    )
    process.read_ending()
    assert process.end() == 0, process.log
    assert process.took < 10, process.log  # who is held is so for close_timeout, 30 s
    assert "NoneType" not in process.log
    assert "late" not in process.log
    assert not [entry for entry in endpoint.stored("sns") if entry.data == b"late"]


def test_what_is_dropped_at_teardown_is_counted_and_told_once(
    endpoint: Endpoint, start: Start
) -> None:
    process = start(
        """
import builtins
class Last:
    def __init__(self):
        self.sns, self.stats, self.write, self.topic = client(), publisher.stats, os.write, TOPIC
    def __del__(self):
        futures = [self.sns.publish(TopicArn=self.topic, Message='late') for _ in range(3)]
        total = self.stats().total
        done = sum(future.done() for future in futures)
        self.write(1, f'told {total.dropped} {total.outstanding} {done}\\n'.encode())
configure()
builtins.keep = Last()
publish('warm')[0].result()
""",
        endpoint.url,
    )
    assert process.read_until("told") == "told 3 0 3"
    assert process.end(20) == 0, process.log
    assert process.log.count("was dropped: it was published while the interpreter ends") == 1
