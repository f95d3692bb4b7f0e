"""Where no thread can be started: the callers do the work, until one can."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint, Error

pytestmark = pytest.mark.every_python(
    "what a thread that cannot be started raises and leaves behind differs by version"
)

Start = Callable[..., Process]


linux = pytest.mark.skipif(
    sys.platform != "linux", reason="limits address space the way Linux does"
)
NO_THREADS = """
import resource
free = resource.getrlimit(resource.RLIMIT_AS)
threading.stack_size(2 << 30)  # no room for such a stack
size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 30), free[1]))
try:
    threading.Thread(target=int).start()
except RuntimeError:
    pass
else:
    raise AssertionError('a thread started')
"""


@linux
def test_no_threads_left(endpoint: Endpoint, start: Start) -> None:
    process = start(
        NO_THREADS
        + """
configure()
called = []
futures = publish('none', 25)
futures[0].add_done_callback(called.append)
for future in futures:
    future.result(20)
assert called == futures[:1]
assert threading.active_count() == 1
assert publisher.flush(5) == 0

resource.setrlimit(resource.RLIMIT_AS, free)
threading.stack_size(0)
for future in publish('again', 25):
    future.result(20)
assert any(thread.name == 'publisher-dispatcher' for thread in threading.enumerate())
publish('last', 25)
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(none=25, again=25, last=25))


@linux
def test_without_threads_whoever_waits_tries_again(endpoint: Endpoint, start: Start) -> None:
    answers = iter([Answer(error=Error(500, "InternalError"))] * 2)
    endpoint.script(lambda _: next(answers, Answer()))
    process = start(
        NO_THREADS
        + """
configure(delivery_timeout=30)
first, = publish('first')
assert not first.done()
assert first.result(20) and len(first.attempts) == 3
nowhere = client(endpoint_url='http://127.0.0.1:1').with_options(delivery_timeout=0.5)
late = nowhere.publish(TopicArn=TOPIC, Message='late')
assert isinstance(late.exception(20), publisher.DeliveryTimeout)
batch = client().publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=[
    dict(Id='0', Message='batch-0')])
assert batch.result(20)['Successful']
assert threading.active_count() == 1
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(first=1, batch=1))


def test_a_host_without_threads_is_refused(endpoint: Endpoint, start: Start) -> None:
    """What an older uWSGI (2.0.21) is without --enable-threads, by what its own module says."""
    process = start(
        """
import types
sys.modules['uwsgi'] = types.SimpleNamespace(has_threads=0)
configure()
try:
    publish('m')
except RuntimeError as error:
    say('refused', '--enable-threads' in str(error))
""",
        endpoint.url,
    )
    assert process.read_until("refused") == "refused True"
    assert process.end() == 0, process.log


@linux
def test_without_threads_a_line_that_is_published_makes_no_others(
    endpoint: Endpoint, start: Start
) -> None:
    process = start(
        NO_THREADS
        + """
configure()

class Publishes(logging.Handler):
    def emit(self, record):
        publish(record.getMessage(), 1)

logging.getLogger().addHandler(Publishes())
logging.getLogger().setLevel(logging.DEBUG)
logging.getLogger('application').info('line')
assert publisher.flush(20) == 0
total = publisher.stats().total
assert total.delivered == 1, total
assert total.dropped == total.dropped_by_reason['log_line'] == total.accepted - 1 > 0, total
logging.getLogger().setLevel(logging.WARNING)
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(line=1))
