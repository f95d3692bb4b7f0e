"""Groups of an ordered destination do not wait for each other, also where messages stay."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

import publisher
from tests.hosts.process import Process
from tests.servers import Answer, Endpoint, Request
from tests.spool.support import DOWN
from tests.support import FIFO_QUEUE, SOON, assert_at_rest, client_of, publishing, until

pytestmark = pytest.mark.every_python("threads race for the order")


def send(client: publisher.Client, group: str, number: int) -> publisher.PublishFuture:
    body = f"{group}{number}"
    return client.send_message(
        QueueUrl=FIFO_QUEUE, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body
    )


def failing(*groups: str) -> object:
    """A script by which entries of some groups fail, and may be sent again."""

    def answer(request: Request) -> Answer | None:
        places = [
            place
            for place, entry in enumerate(request.entries)
            if entry.data.decode().startswith(groups)
        ]
        return Answer(failures=dict.fromkeys(places, "InternalError")) if places else None

    return answer


def arrived(server: Endpoint) -> dict[str, list[int]]:
    """The numbers of what was stored, by group, each once."""
    found: dict[str, dict[int, None]] = defaultdict(dict)
    for entry in server.stored("sqs"):
        text = entry.data.decode()
        found[text[0]][int(text[1:])] = None
    return {group: list(numbers) for group, numbers in found.items()}


def is_behind(made: publisher.Publisher, client: publisher.Client, group: str) -> bool:
    (lane,) = client._binding.lanes.values()
    return lane.staying is not None and lane.staying.is_behind(group)


def test_a_group_that_fails_keeps_no_other_one(folder: Path, server: Endpoint) -> None:
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.5) as made:
        sqs = client_of(made, "sqs", server.url)
        old = [send(sqs, group, number) for number in range(3) for group in "pab"]
        assert all(isinstance(each.exception(SOON), publisher.StillSpooled) for each in old)
        server.script(failing("p"))
        server.wait_for(lambda: arrived(server) == {"a": [0, 1, 2], "b": [0, 1, 2]}, SOON)
        until(lambda: not is_behind(made, sqs, "a") and not is_behind(made, sqs, "b"))
        # What is new of them goes its usual way, and of the one that fails it stays.
        assert isinstance(send(sqs, "p", 3).exception(SOON), publisher.StillSpooled)
        for number in range(3, 6):
            for group in "abc":
                assert send(sqs, group, number).result(SOON)["MessageId"]
        assert arrived(server) == {
            "a": [0, 1, 2, 3, 4, 5],
            "b": [0, 1, 2, 3, 4, 5],
            "c": [3, 4, 5],
        }
        # It is let through again, in its order, and then new messages go their usual way.
        server.script(None)
        server.wait_for(lambda: arrived(server).get("p") == [0, 1, 2, 3], SOON)
        until(lambda: not is_behind(made, sqs, "p"))
        assert send(sqs, "p", 4).result(SOON)["MessageId"]
        assert_at_rest(made)
    assert arrived(server)["p"] == [0, 1, 2, 3, 4]
    assert list(folder.iterdir()) == []


def test_a_group_that_overflows_keeps_its_order_and_no_other_one(
    folder: Path, server: Endpoint
) -> None:
    server.script(DOWN)
    spool = publisher.Spool(folder, when="overflow")
    with publishing(spool=spool, max_messages=12) as made:
        sqs = client_of(made, "sqs", server.url)
        names = ["p0", "p1", *(f"a{n}" for n in range(10)), "p2", "a10", "p3", "a11"]
        futures = [send(sqs, name[0], int(name[1:])) for name in names]
        # Twelve are in memory, and what found it full is on disk alone.
        told = [each.exception(SOON) for each in futures[12:]]
        assert all(isinstance(each, publisher.StillSpooled) for each in told)
        server.script(failing("p"))
        server.wait_for(lambda: arrived(server) == {"a": list(range(12))}, SOON)
        until(lambda: not is_behind(made, sqs, "a"))
        assert send(sqs, "b", 0).result(SOON)["MessageId"]
        futures += [send(sqs, "p", number) for number in range(4, 8)]
        server.script(None)
        server.wait_for(lambda: len(arrived(server).get("p", ())) == 8, SOON)
        until(lambda: made.stats().total.outstanding == 0)
        assert_at_rest(made)
    assert arrived(server) == {"a": list(range(12)), "b": [0], "p": list(range(8))}
    assert list(folder.iterdir()) == []


def behind_one_that_stays(
    made: publisher.Publisher, server: Endpoint
) -> tuple[publisher.Client, publisher.Client]:
    """A client of which p0 stays, as the server is down; and the same one in memory alone."""
    sqs = client_of(made, "sqs", server.url)
    assert isinstance(send(sqs, "p", 0).exception(SOON), publisher.StillSpooled)
    return sqs, sqs.with_options(spool=False, delivery_timeout=SOON)


def test_what_no_store_keeps_is_not_overtaken_by_what_came_after_it_and_stays(
    folder: Path, server: Endpoint
) -> None:
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.5) as made:
        sqs, memory = behind_one_that_stays(made, server)
        between = send(memory, "p", 1)
        assert isinstance(send(sqs, "p", 2).exception(SOON), publisher.StillSpooled)
        server.script(None)
        server.wait_for(lambda: len(server.stored("sqs")) == 3, SOON)
        assert between.result(SOON)["MessageId"]
    assert arrived(server) == {"p": [0, 1, 2]}


def test_at_the_end_what_waits_in_memory_goes_behind_what_stays(
    folder: Path, server: Endpoint
) -> None:
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.5) as made:
        _, memory = behind_one_that_stays(made, server)
        last = send(memory, "p", 1)
        server.script(None)
        made.close()
        assert last.exception(0) is None
    assert arrived(server) == {"p": [0, 1]}
    assert list(folder.iterdir()) == []


def test_what_waits_behind_what_stays_keeps_it_from_no_room(folder: Path, server: Endpoint) -> None:
    server.script(DOWN)
    spool = publisher.Spool(folder)
    with publishing(spool=spool, max_messages=6, delivery_timeout=8) as made:
        sqs = client_of(made, "sqs", server.url)
        brief = sqs.with_options(delivery_timeout=0.3)
        assert isinstance(send(brief, "a", 0).exception(SOON), publisher.StillSpooled)
        until(lambda: is_behind(made, sqs, "a"))
        view = sqs.with_options(spool=False)
        later = [send(view, "a", number) for number in range(1, 6)]  # all of the memory but one
        server.script(None)
        assert all(future.result(SOON)["MessageId"] for future in later)
    assert arrived(server) == {"a": [0, 1, 2, 3, 4, 5]}


def test_what_stays_is_offered_when_what_waited_for_it_has_ended(
    folder: Path, server: Endpoint
) -> None:
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder), max_messages=6, delivery_timeout=0.5) as made:
        sqs = client_of(made, "sqs", server.url)
        for numbers in (range(4), range(4, 8)):
            some = [send(sqs, "a", number) for number in numbers]
            assert all(isinstance(one.exception(SOON), publisher.StillSpooled) for one in some)
        view = sqs.with_options(spool=False)
        held = [send(view, "a", number) for number in range(8, 13)]
        assert all(isinstance(one.exception(SOON), publisher.DeliveryTimeout) for one in held)
        server.script(None)
        server.wait_for(lambda: arrived(server) == {"a": list(range(8))}, SOON)


AT_EXIT = """
import threading
publisher.configure(
    spool=publisher.Spool(os.environ['FOLDER']), linger=0.02, delivery_timeout=0.5,
    close_timeout=20)
sqs = publisher.client('sqs', 'us-east-1', endpoint_url=os.environ['ENDPOINT'])

def send(client, number):
    return client.send_message(
        QueueUrl='https://sqs.us-east-1.amazonaws.com/000000000000/jobs.fifo',
        MessageBody=f'p{number}',
        MessageGroupId='p', MessageDeduplicationId=str(number))

assert isinstance(send(sqs, 0).exception(20), publisher.StillSpooled)
send(sqs.with_options(spool=False, delivery_timeout=30), 1)
while publisher.stats().total.spooled < 2:  # offered again, it has failed again
    threading.Event().wait(0.01)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
say('waits')
wait_for_signals()
"""


def test_what_waits_behind_what_stays_is_delivered_at_exit(
    folder: Path, server: Endpoint, start: Callable[..., Process]
) -> None:
    server.script(DOWN)
    process = start(AT_EXIT, server.url, FOLDER=str(folder))
    process.read_until("waits")
    server.script(None)
    process.signal(signal.SIGTERM)
    assert process.end() == 0, process.log
    assert arrived(server) == {"p": [0, 1]}
