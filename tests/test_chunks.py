"""Entries of one call that fill a request: one message until something sets them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from publisher import DeliveryTimeout, Event, PublisherClosed
from publisher._engine.contract import EntryError, Limits
from publisher._engine.message import BatchFuture, Chunk
from publisher._lanes import losses

from .hand import Bench, Entry, Wire, delivered

pytestmark = pytest.mark.every_python(
    "the engine must decide alike on every Python, and this costs next to nothing"
)

FOUR = ["a", "b", "c", "d"]


def wire(reply: Callable[[Wire, Sequence[Entry]], list[Any]] = delivered) -> Wire:
    made = Wire(limits=Limits(4, 100))
    made.reply = reply
    return made


def ends(batch: BatchFuture) -> list[str]:
    found = []
    for entry in batch.entries:
        assert entry.done()
        error = None if type(entry) is Chunk else entry.exception(0)
        found += ["delivered" if error is None else type(error).__name__] * entry.count
    return found


def test_a_chunk_that_is_delivered_needs_no_message_for_each_entry() -> None:
    bench = Bench()
    one = wire()
    batch = bench.publish_many(bench.route(one), [*FOUR, "e"])
    assert [type(entry) is Chunk for entry in batch.entries] == [True, False]
    bench.hand.settle()
    assert one.sent == [FOUR, ["e"]]
    assert ends(batch) == ["delivered"] * 5
    assert len(batch.attempts) == 2
    assert bench.core.stats().total.delivered == 5
    bench.assert_at_rest()


def test_it_goes_at_once_and_alone() -> None:
    bench = Bench(linger=1)
    one = wire()
    route = bench.route(one)
    bench.publish(route, "lingers")
    bench.publish_many(route, FOUR)
    bench.hand.step()
    bench.hand.work()
    assert one.sent == [FOUR]
    bench.hand.settle()
    assert one.sent == [FOUR, ["lingers"]]


def test_what_is_due_and_older_goes_first() -> None:
    bench = Bench(max_workers=1)
    one = wire()
    route = bench.route(one)
    bench.publish_many(route, FOUR)
    bench.hand.step()
    bench.publish(route, "older")
    bench.clock.now += 0.1
    bench.publish_many(route, ["e", "f", "g", "h"])
    bench.hand.settle()
    assert one.sent == [FOUR, ["older"], ["e", "f", "g", "h"]]


def test_only_what_failed_goes_again() -> None:
    bench = Bench()

    def reply(one: Wire, entries: Sequence[Entry]) -> list[Any]:
        if len(one.requests) > 1:
            return delivered(one, entries)
        return [
            EntryError("InternalFailure", "no", False) if entry.name in "bd" else {"MessageId": "1"}
            for entry in entries
        ]

    one = wire(reply)
    batch = bench.publish_many(bench.route(one), FOUR)
    bench.hand.settle()
    assert one.sent == [FOUR, ["b", "d"]]
    assert [len(entry.attempts) for entry in batch.entries] == [1, 2, 1, 2]
    assert bench.core.stats().total.retries == 2
    bench.assert_at_rest()


def test_one_poison_entry_fails_alone() -> None:
    def reply(one: Wire, entries: Sequence[Entry]) -> list[Any]:
        if any(entry.name == "c" for entry in entries):
            raise ClientError({"Error": {"Code": "InvalidParameter"}}, "PublishBatch")
        return delivered(one, entries)

    bench = Bench()
    batch = bench.publish_many(bench.route(wire(reply)), FOUR)
    bench.hand.settle()
    assert [error != "delivered" for error in ends(batch)] == [False, False, True, False]
    bench.assert_at_rest()


def test_cancelling_the_batch_cancels_a_chunk_that_waits_only() -> None:
    bench = Bench(max_workers=1)
    route = bench.route(wire())
    sent, waiting = bench.publish_many(route, FOUR), bench.publish_many(route, FOUR)
    bench.hand.step()
    assert not sent.cancel()
    assert waiting.cancel()
    assert waiting.cancelled()
    bench.hand.settle()
    assert ends(sent) == ["delivered"] * 4
    assert bench.core.stats().total.cancelled == 4
    bench.assert_at_rest()


def test_a_chunk_that_waits_too_long_is_dropped() -> None:
    bench = Bench(max_workers=1, delivery_timeout=5)
    for _ in range(2):  # the worker, and the one in reserve
        bench.publish_many(bench.route(wire()), FOUR)
    bench.hand.step()
    batch = bench.publish_many(bench.route(wire()), FOUR)
    bench.hand.pass_time(6)
    assert ends(batch) == ["DeliveryTimeout"] * 4
    assert bench.core.stats().total.dropped_by_reason["expired"] == 4


@pytest.mark.parametrize("answer", ["delivered", "InternalFailure"])
def test_an_answer_that_comes_too_late_ends_nothing_twice(answer: str) -> None:
    def reply(one: Wire, entries: Sequence[Entry]) -> list[Any]:
        bench.hand.pass_time(20)
        assert ends(batch) == ["DeliveryTimeout"] * 4
        if answer == "delivered":
            return delivered(one, entries)
        return [EntryError(answer, "no", False)] * 4

    bench = Bench(delivery_timeout=5, connect_timeout=1, read_timeout=2)
    batch = bench.publish_many(bench.route(wire(reply)), FOUR)
    bench.hand.settle()
    error = batch.entries[0].exception(0)
    assert isinstance(error, DeliveryTimeout)
    assert error.outcome_unknown
    bench.assert_at_rest()


@pytest.mark.parametrize("answer", ["delivered", "InternalFailure"])
def test_closing_abandons_a_chunk_on_the_wire(answer: str) -> None:
    def reply(one: Wire, entries: Sequence[Entry]) -> list[Any]:
        bench.core.close(0)
        assert ends(batch) == ["PublisherClosed"] * 4
        if answer == "delivered":
            return delivered(one, entries)
        return [EntryError(answer, "no", False)] * 4

    bench = Bench()
    batch = bench.publish_many(bench.route(wire(reply)), FOUR)
    bench.hand.step()
    bench.hand.work()
    assert all(isinstance(entry.exception(0), PublisherClosed) for entry in batch.entries)
    bench.assert_at_rest()


class Broken(Wire):
    @property
    def response(self) -> Any:  # type: ignore[override]
        raise RuntimeError("a fault of ours")


def test_a_worker_that_meets_a_fault_of_ours_ends_the_entries() -> None:
    bench = Bench()
    batch = bench.publish_many(bench.route(Broken(limits=Limits(4, 100))), FOUR)
    bench.hand.settle()
    assert ends(batch) == ["PublisherClosed"] * 4
    bench.assert_at_rest()


def test_the_oldest_of_its_entries_makes_room_and_no_other() -> None:
    bench = Bench(max_messages=5, max_workers=1, on_full="drop_oldest")
    bench.publish(bench.route(wire()), "on the wire")
    bench.hand.step()
    route = bench.route(wire())
    batch = bench.publish_many(route, FOUR)
    newest = bench.publish(route, "newest")
    assert bench.core.stats().total.dropped == 1
    bench.hand.settle()
    assert ends(batch) == ["BufferFull", "delivered", "delivered", "delivered"]
    assert newest.exception(0) is None
    bench.assert_at_rest()


def test_hooks_are_told_of_each_entry() -> None:
    class Hook:
        told: list[str] = []

        def on_delivered(self, event: Event) -> None:
            self.told.append(event.params["Message"])

    bench = Bench(hooks=[Hook()])
    batch = bench.publish_many(bench.route(wire()), FOUR)
    bench.hand.settle()
    assert Hook.told == FOUR
    assert len(batch.entries) == 4


def test_flush_waits_for_its_entries_and_counts_them() -> None:
    bench = Bench(max_workers=1)
    route = bench.route(wire())
    bench.publish_many(route, FOUR * 2)
    bench.hand.own = True  # as on a thread of ours: it counts and does not wait
    assert bench.core.flush(0) == 8
    bench.hand.own = False
    assert bench.core.flush(None) == 0
    bench.assert_at_rest()


def test_a_full_buffer_holds_a_chunk_as_a_whole() -> None:
    bench = Bench(max_messages=8, max_workers=1)
    one = wire()
    batch = bench.publish_many(bench.route(one), FOUR * 5)
    bench.hand.settle()
    assert [type(entry) is Chunk for entry in batch.entries] == [True] * 5
    assert one.sent == [FOUR] * 5
    bench.assert_at_rest()


def test_room_too_small_for_a_chunk_is_used_all_the_same() -> None:
    bench = Bench(max_messages=8, max_workers=3, delivery_timeout=1)
    stuck = bench.route(Wire("stuck"))
    for name in ("1", "2", "3", "4", "5", "6"):
        bench.publish(stuck, name)
    bench.hand.step()
    bench.hand.on_wire.clear()
    batch = bench.publish_many(bench.route(wire()), FOUR)
    bench.hand.settle()
    assert ends(batch) == ["delivered"] * 4
    assert len(batch.entries) == 4


def test_a_chunk_may_end_before_the_call_returns() -> None:
    bench = Bench()
    bench.hand.wake = bench.hand.settle  # type: ignore[method-assign]  # as at the end of a process
    batch = bench.publish_many(bench.route(wire()), FOUR)
    assert batch.done()
    assert ends(batch) == ["delivered"] * 4
    assert not batch.cancelled()


def test_what_was_cancelled_before_it_does_not_hold_it_up() -> None:
    bench = Bench()
    one = wire()
    route = bench.route(one)
    assert bench.publish(route, "cancelled").cancel()
    bench.clock.now += 1
    batch = bench.publish_many(route, FOUR)
    bench.hand.pass_time(0.5)
    assert bench.hand.on_wire
    bench.hand.settle()
    assert ends(batch) == ["delivered"] * 4


def test_many_cancelled_messages_hold_nobody_up() -> None:
    bench = Bench(linger=0.1)
    route = bench.route(wire())
    for index in range(40):
        assert bench.publish(route, str(index)).cancel()
    live = bench.publish(route, "live")
    bench.hand.pass_time(0.5)
    assert bench.hand.on_wire
    bench.hand.settle()
    assert live.exception(0) is None


def test_younger_messages_do_not_overtake_it() -> None:
    def reply(one: Wire, entries: Sequence[Entry]) -> list[Any]:
        return [
            EntryError("InternalFailure", "no", False) if entry.name == "again" else {}
            for entry in entries
        ]

    bench = Bench(max_workers=1)
    one = wire(reply)
    route = bench.route(one)
    bench.publish(route, "again")
    bench.hand.step()
    bench.hand.work()  # it backs off
    bench.clock.now += 0.001
    batch = bench.publish_many(route, FOUR)
    for index in range(4):
        bench.clock.now += 0.001
        bench.publish(route, str(index))
    bench.hand.step()
    bench.hand.work()
    assert one.sent[1] == FOUR
    assert batch.done()


def test_the_caller_is_not_held_beyond_the_delivery_timeout() -> None:
    bench = Bench(max_messages=8, max_workers=1, delivery_timeout=1)
    for _ in range(2):  # the worker, and the one in reserve
        bench.publish(bench.route(Wire("stuck")), "stuck")
    bench.hand.step()
    bench.hand.on_wire.clear()
    began = bench.clock.now
    batch = bench.publish_many(bench.route(wire()), FOUR * 50)
    assert bench.clock.now - began <= 1
    bench.hand.pass_time(30)
    assert set(ends(batch)) <= {"BufferFull", "DeliveryTimeout"}


def test_cancelling_reaches_entries_that_were_parted_meanwhile() -> None:
    bench = Bench(max_workers=1)
    bench.publish(bench.route(wire()), "on the wire")
    bench.hand.step()
    batch = bench.publish_many(bench.route(wire()), FOUR)
    (chunk,) = batch.entries
    dropped = bench.core.tracker.evict_oldest()  # as drop_oldest does, on another thread
    assert dropped is not None
    chunk.cancel()
    bench.core.settler.settle([dropped], [None], "dropped", "buffer_full")
    assert batch.done()
    bench.hand.settle()
    bench.assert_at_rest()


def test_losses_say_which_entries_were_cancelled() -> None:
    bench = Bench()
    batch = bench.publish_many(bench.route(wire()), ["a", "b", "c"])
    assert batch.entries[1].cancel()
    bench.hand.settle()
    assert losses(batch) == {1: "Cancelled"}
