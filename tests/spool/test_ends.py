"""A script ends while its server hangs: in time, and the next one delivers what it could not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import publisher
from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint, Request
from tests.support import SOON, STREAM, publishing

pytestmark = pytest.mark.every_python("the order of callbacks at exit differs by version")

Start = Callable[..., Process]
COUNT = 30
CLOSE_TIMEOUT = 0.3

SCRIPT = """
import atexit
configure(spool=publisher.Spool(os.environ['FOLDER']), linger=float(os.environ['LINGER']))
signal.signal(signal.SIGINT, signal.default_int_handler)
kinesis = publisher.client(
    'kinesis', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
def put(name):
    return kinesis.put_record(StreamName='clicks', Data=name.encode(), PartitionKey='k')
futures = []

@atexit.register  # before the first message, so it runs after all that the publisher does at exit
def tell():
    say('futures', *sorted({type(future.exception(0)).__name__ for future in futures}))

# Before Ctrl-C there is a delivered one: while boto3 loads its models, Python forgets the reason.
put('warm-0').result()  # who waits ends the linger
futures += [put(f'm-{number}') for number in range(int(os.environ['COUNT']))]
"""
#: What a script does at its end, and its exit code.
ENDS = {
    "end": ("", 0),
    "sys.exit": ("sys.exit(7)", 7),
    "uncaught": ("raise ZeroDivisionError", 1),
    "Ctrl-C": ("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
    "second Ctrl-C": ("", None),
}


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=[pytest.mark.heavy] if how != "end" else []) for how in ENDS]
)
def test_what_a_script_leaves_the_next_one_delivers(
    folder: Path, server: Endpoint, start: Start, how: str
) -> None:
    ends, code = ENDS[how]
    hangs = Answer(hold=threading.Event(), store=False)

    def script(request: Request) -> Answer | None:
        return hangs if any(entry.data != b"warm-0" for entry in request.entries) else None

    server.script(script)
    impatient = how == "second Ctrl-C"
    process = start(
        f"{SCRIPT}ending()\n{ends}\n",
        server.url,
        FOLDER=str(folder),
        COUNT=str(COUNT),
        CLOSE_TIMEOUT=str(60 if impatient else CLOSE_TIMEOUT),
        LINGER=str(60 if impatient else 0),  # then a request says that it ends
    )
    process.read_ending()
    if impatient:
        server.wait_for(lambda: server.request_count > 1)
        process.signal(signal.SIGINT)
    assert process.end() == code or impatient, process.log
    assert process.took < CLOSE_TIMEOUT + 2, process.log
    assert process.read_until("futures") == "futures StillSpooled"
    assert "abandoned" not in process.log  # they are no loss
    assert any(path.stat().st_size for path in folder.glob("*.log"))

    server.script(None)
    with publishing(spool=publisher.Spool(folder)) as made:
        kinesis = made.client("kinesis", endpoint_url=server.url, region_name="us-east-1")
        kinesis.put_record(StreamName=STREAM, Data=b"new-0", PartitionKey="k")
        server.wait_for(lambda: server.count("kinesis") == COUNT + 2, SOON)
    assert made.stats().total.replayed == COUNT
    assert_stored(server, expected(warm=1, m=COUNT, new=1))
    assert list(folder.iterdir()) == []
