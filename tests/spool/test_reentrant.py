"""Publishing into a spool from where nobody expects it: handlers of signals, finalisers, logging.

All of it in one process for each way of the spool; in the end everything has arrived, once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import publisher
from publisher.spool.relay import Relay
from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Endpoint
from tests.support import SOON

pytestmark = pytest.mark.every_python(
    "where a signal handler or a finaliser comes in between differs by version"
)

SCRIPT = """
import gc
# Small, so that files are begun and unlinked all the time.
configure(
    spool=publisher.Spool(os.environ['FOLDER'], send=os.environ['SEND'], max_bytes=8 << 20),
    linger=0.001, max_messages=100_000)
kinesis = publisher.client(
    'kinesis', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
counts, futures = dict.fromkeys(['plain', 'signal', 'final', 'logged'], 0), []

def put(name):
    number = counts[name]
    counts[name] += 1  # before the call, in which a handler may come
    futures.append(kinesis.put_record(
        StreamName='clicks', Data=f'{name}-{number}'.encode(), PartitionKey='k'))

class Dying:
    def __init__(self):
        self.circle = self  # so that the collector ends it, wherever it strikes
    def __del__(self):
        put('final')

class Handler(logging.Handler):
    def emit(self, record):
        put('logged')  # also of lines of the package's own

def ring(signum, frame):
    put('signal')
    if counts['signal'] < 60:  # anew each time: one that repeats could leave no time at all
        signal.setitimer(signal.ITIMER_REAL, 0.0003)

logging.getLogger().addHandler(Handler())
signal.signal(signal.SIGALRM, ring)
gc.set_threshold(50, 2, 2)
signal.setitimer(signal.ITIMER_REAL, 0.0003)
made = 0
while counts['signal'] < 60 or made < 100:
    if made < 300:
        Dying()
        made += 1
    put('plain')
    logging.getLogger('application').warning('a line')
while counts['final'] < made:
    gc.collect()  # does nothing while another thread collects
publisher.flush(30)
logging.getLogger().handlers.clear()
assert counts['logged'] >= counts['plain']
"""
END = """
total = publisher.close(30)
assert total.accepted == len(futures) == sum(counts.values()), total
assert all(future.exception(0) is None for future in futures)
assert total.delivered + total.spooled == total.accepted, total
say('counts', *[f'{name}={count}' for name, count in counts.items()])
"""


@pytest.mark.parametrize("send", ["here", pytest.param("relay", marks=pytest.mark.heavy)])
def test_handlers_and_finalisers_publish(
    folder: Path, server: Endpoint, start: Callable[..., Process], send: str
) -> None:
    process = start(SCRIPT + END, server.url, FOLDER=str(folder), SEND=send)
    counts = dict(pair.split("=") for pair in process.read_until("counts").split()[1:])
    assert process.end() == 0, process.log
    wanted = expected(**{name: int(count) for name, count in counts.items()})
    if send == "relay":
        with Relay(publisher.Spool(folder), endpoints=[server.url], once=True) as relay:
            assert relay.wait(SOON)
    assert_stored(server, wanted)
    assert list(folder.iterdir()) == []
