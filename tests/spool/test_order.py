"""Order where messages of an ordered destination stay, in interleavings that are forced."""

from __future__ import annotations

from pathlib import Path

import pytest

import publisher
from publisher import _lanes
from tests.servers import Endpoint
from tests.spool.support import DOWN
from tests.support import FIFO_QUEUE, SOON, client_of, publishing

pytestmark = pytest.mark.every_python("threads race for the order")


def send(client: publisher.Client, body: str, queue: str = FIFO_QUEUE) -> publisher.PublishFuture:
    return client.send_message(
        QueueUrl=queue, MessageBody=body, MessageGroupId="g", MessageDeduplicationId=body
    )


def arrived(server: Endpoint) -> list[str]:
    return list(dict.fromkeys(entry.data.decode() for entry in server.stored("sqs")))


def test_what_nobody_has_looked_at_yet_stands_behind_what_stays(
    tmp_path: Path, server: Endpoint
) -> None:
    """A message comes, what stays is offered, and only then the dispatcher looks."""
    server.script(DOWN)
    with publishing(spool=publisher.Spool(tmp_path / "spool"), delivery_timeout=0.2) as made:
        sqs = client_of(made, "sqs", server.url)
        for number in range(5):
            assert isinstance(send(sqs, f"{number}").exception(SOON), publisher.StillSpooled)
        core = made._current()
        with core.tracker.lock:  # the dispatcher does not come to look
            server.script(None)
            (lane,) = sqs._binding.lanes.values()
            assert lane.staying.begin_offering(["g"], (), here=True)
            new = send(sqs, "new")
            assert not lane.staying.let_through(["g"], ())
        assert new.exception(SOON) is None or isinstance(new.exception(), publisher.StillSpooled)
        server.wait_for(lambda: len(arrived(server)) == 6, SOON)
    assert arrived(server) == ["0", "1", "2", "3", "4", "new"]


def test_a_destination_of_which_messages_stay_is_not_forgotten(
    tmp_path: Path, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lanes, "MAX_ROUTES", 3)
    server.script(lambda request: DOWN if "jobs" in str(request.entries) else None)
    with publishing(spool=publisher.Spool(tmp_path / "spool"), delivery_timeout=0.2) as made:
        sqs = client_of(made, "sqs", server.url)
        for number in range(3):
            assert isinstance(send(sqs, f"{number}").exception(SOON), publisher.StillSpooled)
        before = sqs._routes[FIFO_QUEUE].lane
        for number in range(8):
            send(sqs, f"other{number}", FIFO_QUEUE.replace("jobs", f"other{number}")).result(SOON)
        assert sqs._binding.batch_lane(FIFO_QUEUE) is before
        server.script(None)
        send(sqs, "new")
        wanted = ["0", "1", "2", "new"]
        server.wait_for(lambda: {*wanted} <= {*arrived(server)}, SOON)
    assert [body for body in arrived(server) if body in wanted] == wanted
