"""Forks of a process that has a spool: the files are the parent's, and the child begins its own."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import publisher
from publisher._store.directory import Directory, prepare
from publisher._store.source import adopt
from publisher.services._stored import load
from publisher.spool import keeper
from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint
from tests.support import SOON, STREAM, publishing, until

pytestmark = pytest.mark.every_python("what a fork copies, and who is asked first, differs")

Start = Callable[..., Process]


def put(client: Any, name: str) -> Any:
    return client.put_record(StreamName=STREAM, Data=name.encode(), PartitionKey="k")


def writing(folder: Path) -> tuple[publisher.Publisher, Any]:
    """One that leaves its messages to a relay, which needs no network; and its client."""
    made = publisher.Publisher(spool=publisher.Spool(folder, send="relay"))
    return made, made.client("kinesis", region_name="us-east-1")


def owner_of(made: publisher.Publisher) -> str:
    store: Any = made._current().store
    return str(store._log.owner)


def in_a_child(call: Callable[[], object]) -> int:
    """Fork; the child calls and ends at once. What goes wrong there is seen at its status."""
    child = os.fork()
    if not child:
        status = 1
        try:
            call()
            status = 0
        except BaseException:  # noqa: BLE001 - no test goes on in a child
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def reap(*children: int) -> None:
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)


def found(directory: Directory, owner: str) -> list[str]:
    """The messages of an owner that has died."""
    source = adopt(directory, owner)
    assert source is not None
    kepts = source.take(1_000_000)
    assert source.damaged == 0
    source.close()
    return [load(kept.entry)["Data"].decode() for kept in kepts]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_children_of_a_process_that_appends_begin_their_own_files(folder: Path) -> None:
    made, client = writing(folder)
    put(client, "first-0")
    owner, over = owner_of(made), threading.Event()
    counts = Counter({"first": 1})

    def append(name: str) -> None:
        while not over.is_set():
            put(client, f"{name}-{counts[name]}")
            counts[name] += 1

    def publish(child: int) -> None:
        for number in range(5):
            assert set(put(client, f"child{child}-{number}").result(0)) == {"SpoolId"}
        assert owner_of(made) != owner
        directory = prepare(folder)
        assert owner not in directory.dead_owners()  # its lock is the parent's still
        assert (folder / f"{owner}-1.log").stat().st_size > 0
        assert not (folder / f"{owner}-1.done").exists()

    threads = [threading.Thread(target=append, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    reap(*[in_a_child(lambda child=child: publish(child)) for child in range(6)])  # type: ignore[misc]
    over.set()
    for thread in threads:
        thread.join()
    put(client, f"first-{counts['first']}")
    counts["first"] += 1
    assert owner_of(made) == owner
    made.close(SOON)

    directory = prepare(folder)
    owners = directory.dead_owners()
    assert len(owners) == 7
    assert Counter(found(directory, owner)) == expected(**counts)
    owners.remove(owner)
    children = [text for each in owners for text in found(directory, each)]
    assert Counter(children) == expected(**{f"child{n}": 5 for n in range(6)})


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_publishers_on_one_directory_and_the_fork_of_their_process(folder: Path) -> None:
    (one, first), (two, second) = writing(folder), writing(folder)
    put(first, "one-0")
    put(second, "two-0")
    owners = {owner_of(one), owner_of(two)}
    assert len(owners) == 2
    directory = prepare(folder)

    def publish() -> None:
        assert not owners & set(directory.dead_owners())
        put(second, "child-0")
        put(first, "child-1")
        mine = {owner_of(one), owner_of(two)}
        assert len(mine | owners) == 4
        assert directory.dead_owners() == []
        one.close(SOON)  # lets go of its own lock, and of no other one
        assert set(directory.dead_owners()) == mine - {owner_of(two)}

    reap(in_a_child(publish))
    children = set(directory.dead_owners())
    assert len(children) == 2
    assert not children & owners
    put(first, "one-1")
    one.close(SOON)
    assert set(directory.dead_owners()) - children == owners - {owner_of(two)}
    put(second, "two-1")
    two.close(SOON)
    texts = [text for each in directory.dead_owners() for text in found(directory, each)]
    assert Counter(texts) == expected(one=2, two=2, child=2)


PRELUDE = """
kinesis = None
def put(name, count, **options):
    client = kinesis.with_options(**options)
    return [client.put_record(StreamName='clicks', Data=f'{name}-{i}'.encode(), PartitionKey='k')
            for i in range(count)]

def owner():
    return publisher._default._core.store._log.owner

configure(spool=publisher.Spool(os.environ['FOLDER']), linger=0.01)
kinesis = publisher.client(
    'kinesis', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
"""

SENDING = """
over, counts = threading.Event(), [0, 0]
def append(index):
    while not over.is_set() and counts[index] < 500:
        put(f'thread{index}-{counts[index]}', 1, linger=60)  # stays in memory, and on disk
        counts[index] += 1

put('warm', 1)[0].result()
put('first', 1, linger=60)
mine = owner()
threads = [threading.Thread(target=append, args=(index,)) for index in (0, 1)]
for thread in threads: thread.start()
children = []
for number in range(2):
    child = os.fork()
    if not child:
        futures = put(f'child{number}', 20)
        assert owner() != mine
        log = os.path.join(os.environ['FOLDER'], mine + '-1.log')
        assert os.stat(log).st_size
        assert all(future.result(20) for future in futures)
        sys.exit(0)  # with what it inherited, which is the parent's
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
over.set()
for thread in threads: thread.join()
assert codes == [0, 0], codes
assert owner() == mine
say('appended', *counts)
"""


@pytest.mark.heavy
def test_children_of_a_process_that_sends_send_their_own(
    folder: Path, server: Endpoint, start: Start
) -> None:
    process = start(PRELUDE + SENDING, server.url, FOLDER=str(folder))
    _, *counts = process.read_until("appended").split()
    assert process.end() == 0, process.log
    wanted = expected(warm=1, first=1, **{f"child{n}": 20 for n in range(2)})
    wanted.update(f"thread{n}-{i}-0" for n, count in enumerate(counts) for i in range(int(count)))
    assert_stored(server, wanted)
    assert list(folder.iterdir()) == []


LEFT_BEHIND = """
from publisher.spool.keeper import Keeper
Keeper.adopts_every = 3600.0  # the child looks for dead owners once, while its parent lives
put('parent', 20, linger=60)
child = os.fork()
if not child:
    put('child', 5, linger=60)
    store = publisher._default._core.store
    while store._figures._dated[0] < 0:  # which is noted at the end of a turn
        threading.Event().wait(0.001)
    say('child', os.getpid())
signal.pause()
"""


def test_an_owner_is_dead_although_its_child_lives(
    folder: Path, server: Endpoint, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper.Keeper, "adopts_every", 0.05)
    process = start(PRELUDE + LEFT_BEHIND, server.url, FOLDER=str(folder))
    child = int(process.read_until("child").split()[1])
    process.signal(signal.SIGKILL)
    assert process.end() == -signal.SIGKILL
    wanted = expected(parent=20, new=1)
    with publishing(spool=publisher.Spool(folder)) as made:
        kinesis = made.client("kinesis", endpoint_url=server.url, region_name="us-east-1")
        put(kinesis, "new-0")
        server.wait_for(lambda: server.count("kinesis") == wanted.total(), SOON)
        until(lambda: len(prepare(folder).owners()) == 1)  # the child's: it lives
        assert_stored(server, wanted)
        os.kill(child, signal.SIGKILL)
        wanted += expected(child=5)
        server.wait_for(lambda: server.count("kinesis") == wanted.total(), SOON)
    assert_stored(server, wanted)
    assert list(folder.iterdir()) == []


TENANT = """
import boto3
publisher.configure(spool=publisher.Spool(os.environ['FOLDER']), linger=0.02, delivery_timeout=5)
session = boto3.Session(os.environ['TENANT'], 'secret')
kinesis = publisher.client(
    'kinesis', 'us-east-1', session=session, endpoint_url=os.environ['ENDPOINT'])

def put():
    data = os.environ['TENANT'].encode()
    return kinesis.put_record(StreamName='clicks', Data=data, PartitionKey='k')

future = put()
"""
LEAVES = TENANT + "os.kill(os.getpid(), signal.SIGKILL)\n"
TAKES_OVER = (
    TENANT
    + """
future.result(20)
while publisher.stats().spool.waiting != 1:  # it has been read, and stays
    put().result(20)
os._exit(0)
"""
)


def test_what_a_client_of_another_process_left_is_sent_by_no_other_ones(
    folder: Path, start: Start
) -> None:
    """The first client of each is of a session of its own, and nothing else tells them apart."""
    with Endpoint() as server:
        server.script(Answer(status=503, body=b"{}", store=False))
        first = start(LEAVES, server.url, FOLDER=str(folder), TENANT="tenant-x")
        assert first.end() == -signal.SIGKILL, first.log
        server.script(None)
        second = start(TAKES_OVER, server.url, FOLDER=str(folder), TENANT="tenant-y")
        assert second.end() == 0, second.log
        assert {entry.data for entry in server.stored()} == {b"tenant-y"}
