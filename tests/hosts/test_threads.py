"""Where no thread can be started: the callers do the work, until one can."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Endpoint

Start = Callable[..., Process]


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space the way Linux does")
def test_no_threads_left(endpoint: Endpoint, start: Start) -> None:
    process = start(
        """
import resource
configure()
called = []
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
