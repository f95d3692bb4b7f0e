"""The message is its own future, and light; a batch's future is as much as its entries."""

from __future__ import annotations

import concurrent.futures
import gc
import tracemalloc
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from publisher import Attempt, Event
from publisher._engine.message import Message
from publisher.services import load

from .hand import Bench, Wire

pytestmark = pytest.mark.every_python("what an object weighs differs by version")


def memory_per_waiting_record() -> float:
    """Bytes above the payload, with a partition key of its own."""
    count = 2_000
    bench = Bench(max_messages=count + 1, linger=60)
    route = bench.route(Wire())
    kinesis = load("kinesis")
    route.lane.measure = kinesis.measure
    data = b"x" * 1000
    core = bench.core

    def publish(index: int) -> Message:
        accepted = kinesis.accept(
            {"StreamName": "clicks", "Data": data, "PartitionKey": f"user-{index:07}"}
        )
        assert accepted is not None
        _, entry, size = accepted
        return core.accept(route, entry, size)

    kept: list[Any] = [None] * count
    publish(-1)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for index in range(count):
        kept[index] = publish(index)
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    return each


def test_a_waiting_kinesis_record_costs_less_than_300_bytes_above_its_payload() -> None:
    # The least of three: what a thread of another test allocates meanwhile counts too.
    assert 50 < min(memory_per_waiting_record() for _ in range(3)) < 300


def test_what_has_ended_keeps_no_payload() -> None:
    bench = Bench()
    future = bench.publish(bench.route(), "m", 5)
    assert future.size == 5
    bench.hand.settle()
    assert future.entry is None
    assert future.size == 0
    assert future.deadline == 1120


def test_an_event_hides_the_message_and_cannot_be_changed() -> None:
    event = Event(
        service="sns",
        operation="publish",
        destination="sns::topic",
        params={"Message": "secret"},
        response={"MessageId": "secret"},
    )
    assert "secret" not in repr(event)
    with pytest.raises(FrozenInstanceError):
        event.size = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        Event("sns", "publish", "sns::topic")  # type: ignore[misc]


def test_attempts_tell_how_it_went() -> None:
    bench = Bench()
    wire = Wire()
    answers = iter([ConnectionResetError("gone"), None])

    def reply(wire: Wire, entries: Any) -> Any:
        bench.clock.now += 0.25
        if error := next(answers):
            raise error
        return [{"MessageId": entry.name} for entry in entries]

    wire.reply = reply
    future = bench.publish(bench.route(wire), "m")
    assert future.attempts == ()
    bench.hand.settle()
    first, second = future.attempts
    assert (first.started, first.delay, first.duration) == (1000, 0.0, 0.25)
    assert (first.error_code, first.error_message) == ("ConnectionResetError", "gone")
    assert first.outcome_unknown
    assert not first.split
    assert second.started == pytest.approx(1000.25 + second.delay)
    assert second.delay >= 0.1
    assert (second.error_code, second.request_id) == (None, "request-2")
    assert "failure" not in repr(first)
    assert isinstance(first, Attempt)


class TestABatch:
    def test_it_ends_with_its_last_entry(self) -> None:
        bench = Bench(linger=1)
        route = bench.route()
        batch = bench.publish_many(route, ["a", "b", "c"])
        called: list[Any] = []
        batch.add_done_callback(called.append)
        assert batch.entries[1].cancel()
        assert not batch.done()
        bench.hand.settle()
        assert batch.result(0) == {"batch": 3}
        assert called == [batch]
        assert len(batch.attempts) == 1
        assert bench.core.stats().total.accepted == 3
        bench.assert_at_rest()

    def test_cancelling_it_cancels_what_was_not_sent(self) -> None:
        bench = Bench()
        route = bench.route()
        sent = bench.publish_many(route, [f"m{i}" for i in range(10)])
        bench.hand.step()
        waiting = bench.publish_many(route, ["a", "b"])
        assert not sent.cancel()
        assert waiting.cancel()
        assert waiting.cancelled()
        assert concurrent.futures.wait([waiting], 0).done == {waiting}
        bench.hand.settle()
        assert sent.exception(0) is None
        bench.assert_at_rest()

    def test_entries_for_which_there_is_no_room_fail_alone(self) -> None:
        bench = Bench(max_messages=2, on_full="drop", delivery_timeout=0.5, linger=0.1)
        stuck = bench.route(Wire("stuck"))
        other = bench.publish(stuck, "x")
        bench.hand.step()
        bench.hand.on_wire.clear()
        batch = bench.publish_many(bench.route(Wire("free")), ["a", "b", "c", "d"])
        assert len(batch.entries) == 4
        bench.hand.settle()
        assert batch.done()
        assert other.done()
        bench.assert_at_rest()
