"""Every message ends once, in time, whatever else happens to it at that moment."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from publisher import BufferFull, DeliveryTimeout, PublisherClosed
from publisher._engine.contract import EntryError, Limits
from publisher._engine.flow import Ticket
from publisher._engine.lane import NEVER

from .hand import Bench, Wire, delivered

pytestmark = pytest.mark.every_python(
    "threads race here, and where the GIL changes hands is each Python's own"
)


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "PublishBatch")


def during(action: Any, result: Any) -> Any:
    """A reply during which something else happens, once."""

    def reply(wire: Wire, entries: Any) -> Any:
        wire.reply = delivered
        action()
        if isinstance(result, BaseException):
            raise result
        return [result] * len(entries) if result is not None else delivered(wire, entries)

    return reply


LATE_ANSWERS = [
    pytest.param(None, id="delivered"),
    pytest.param(EntryError("InternalFailure", "", False), id="entries failed"),
    pytest.param(EntryError("InvalidParameter", "", True), id="entries refused"),
    pytest.param(refused("Throttling"), id="throttled"),
    pytest.param(refused("InvalidParameter"), id="split"),
    pytest.param(ReadTimeoutError(endpoint_url="https://x"), id="time-out"),
]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("answer", LATE_ANSWERS)
def test_an_answer_after_the_deadline_and_its_grace_changes_nothing(
    answer: Any, ordered: bool
) -> None:
    bench = Bench(delivery_timeout=5, connect_timeout=1, read_timeout=1)
    wire = Wire()
    wire.reply = during(lambda: bench.hand.pass_time(100), answer)
    route = bench.route(wire, ordered=ordered)
    futures = [bench.publish(route, name, group=name) for name in "abc"]
    bench.hand.settle()
    for future in futures:
        error = future.exception(0)
        assert isinstance(error, DeliveryTimeout)
        assert error.outcome_unknown
        assert "never sent" not in str(error)
        assert future.attempts == ()
    assert len(wire.requests) == 1
    assert not wire.broken
    again = [bench.publish(route, name + "2", group=name) for name in "abc"]
    bench.hand.settle()
    assert [future.result(0)["MessageId"] for future in again] == ["a2", "b2", "c2"]
    bench.assert_at_rest()


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("answer", LATE_ANSWERS)
def test_an_answer_after_close_changes_nothing(answer: Any, ordered: bool) -> None:
    bench = Bench(delivery_timeout=50)
    wire = Wire()

    def close() -> None:
        assert bench.core.close(0) == 3

    wire.reply = during(close, answer)
    route = bench.route(wire, ordered=ordered)
    futures = [bench.publish(route, name, group=name) for name in "abc"]
    bench.hand.step()
    bench.hand.work()
    bench.hand.pass_time(1000)
    for future in futures:
        error = future.exception(0)
        assert isinstance(error, PublisherClosed)
        assert error.outcome_unknown
    assert len(wire.requests) == 1
    bench.assert_at_rest()


def test_a_close_without_time_sends_nothing_more() -> None:
    bench = Bench(delivery_timeout=50, linger=10)
    wire = Wire()
    future = bench.publish(bench.route(wire), "a")
    assert bench.core.close(0) == 1
    assert not bench.core.step()[0]
    error = future.exception(0)
    assert isinstance(error, PublisherClosed)
    assert not error.outcome_unknown
    assert not wire.requests
    bench.assert_at_rest()


@pytest.mark.parametrize("ordered", [False, True])
def test_what_waits_ends_at_its_deadline(ordered: bool) -> None:
    bench = Bench(delivery_timeout=5, max_workers=1)
    for _ in range(2):  # and the one in reserve
        bench.publish(bench.route(), "holds a worker")
    bench.hand.step()
    route = bench.route(ordered=ordered)
    futures = [bench.publish(route, name, group="g") for name in "ab"]
    bench.hand.pass_time(4.9)
    assert not any(future.done() for future in futures)
    bench.hand.pass_time(0.2)
    for future in futures:
        error = future.exception(0)
        assert isinstance(error, DeliveryTimeout)
        assert not error.outcome_unknown
        assert "never sent" in str(error)
    assert bench.core.stats().total.dropped_by_reason["expired"] == 2
    bench.hand.settle()
    bench.assert_at_rest()


@pytest.mark.parametrize("ordered", [False, True])
def test_who_was_held_at_the_bound_is_in_the_order_of_acceptance(ordered: bool) -> None:
    bench = Bench(delivery_timeout=10, max_messages=2, max_workers=1, max_block=8)
    wire = Wire(limits=Limits(1, 100))
    route = bench.route(wire, ordered=ordered)
    stuck = bench.publish(route, "stuck", group="stuck")
    bench.hand.step()
    taken = bench.hand.on_wire.pop()  # a worker that does not come back
    bench.clock.now += 1
    waiting = bench.publish(route, "waiting", group="a")
    began = bench.clock.now
    held = bench.publish(route, "held", group="b")  # until something ends
    assert not held.done() or isinstance(held.exception(0), BufferFull)
    assert bench.clock.now - began <= 8
    bench.hand.pass_time(30)
    assert all(future.done() for future in (stuck, waiting, held))
    bench.hand.on_wire.append(taken)
    bench.hand.settle()
    bench.assert_at_rest()


def test_a_message_that_was_held_has_its_time_from_acceptance_on() -> None:
    bench = Bench(delivery_timeout=10, max_messages=1, max_block=None, linger=0)
    route = bench.route()
    first = bench.publish(route, "first")
    bench.hand.step()
    bench.hand.on_wire.clear()  # never answered: it ends at its deadline and the grace
    bench.hand.pass_time(15)
    held = bench.publish(route, "held")
    assert first.done()
    assert held.accepted == bench.clock.now == 1000 + 10 + 13
    bench.hand.settle()
    assert held.result(0)["MessageId"] == "held"


class TestFlush:
    @pytest.mark.parametrize("ordered", [False, True])
    def test_returns_when_the_last_message_expires(self, ordered: bool) -> None:
        bench = Bench(delivery_timeout=5, max_workers=1)
        wire = Wire(limits=Limits(1, 100))
        route = bench.route(wire, ordered=ordered)
        futures = [bench.publish(route, name, group=name) for name in "ab"]
        bench.hand.step()
        stuck = bench.hand.on_wire.pop()
        assert bench.core.flush(None) == 0
        assert all(future.done() for future in futures)
        assert bench.clock.now == 1000 + 5 + 13
        bench.hand.on_wire.append(stuck)
        bench.hand.settle()
        bench.assert_at_rest()

    def test_returns_when_another_thread_closes(self) -> None:
        bench = Bench(delivery_timeout=50)
        route = bench.route()
        bench.publish(route, "a")
        bench.hand.step()
        bench.hand.on_wire.clear()
        waited = []

        def wait(gate: Any, timeout: float | None) -> None:
            bench.hand.wait = lambda *_: None  # type: ignore[method-assign]
            bench.core.close(0)
            waited.append(gate.acquire(blocking=False))

        bench.hand.wait = wait  # type: ignore[method-assign]
        assert bench.core.flush(None) == 0
        assert waited == [True]

    def test_of_a_client_without_destinations_waits_for_nothing(self) -> None:
        bench = Bench(delivery_timeout=50, linger=10)
        future = bench.publish(bench.route(), "a")
        assert bench.core.flush(None, []) == 0
        assert not future.done()
        bench.hand.settle()

    def test_counts_only_the_lanes_it_is_about(self) -> None:
        bench = Bench(delivery_timeout=50)
        one, other = bench.route(Wire("one")), bench.route(Wire("other"))
        bench.publish(one, "a")
        bench.publish(other, "b")
        bench.hand.step()
        bench.hand.on_wire.clear()
        assert bench.core.flush(1, [one.lane]) == 1
        assert bench.core.flush(0) == 2


def test_a_finaliser_that_interrupts_an_end_does_not_end_it_a_second_time() -> None:
    bench = Bench(linger=10)
    route = bench.route()
    futures = [bench.publish(route, name) for name in "ab"]
    measure = route.lane.measure
    nested: list[bool] = []

    def interrupted(entry: Any) -> int:
        if not nested:
            nested.append(False)
            nested[0] = futures[0].cancel()
        return measure(entry)

    route.lane.measure = interrupted
    assert futures[0].cancel()
    assert nested == [False]
    assert bench.core.stats().total.cancelled == 1
    assert bench.core.flow.messages == 1
    bench.hand.settle()
    bench.assert_at_rest()


def test_a_fault_in_ending_a_message_does_not_hold_up_the_requests_of_the_turn() -> None:
    bench = Bench(delivery_timeout=5, linger=10)
    healthy, faulty = bench.route(Wire("healthy")), bench.route(Wire("faulty"))
    bench.publish(faulty, "late")
    bench.clock.now += 5
    future = bench.publish(healthy, "good")

    def fault(entry: Any) -> int:
        raise ZeroDivisionError

    faulty.lane.measure = fault
    bench.core.scheduler.hurry(bench.clock.now)
    bench.hand.step()
    bench.hand.work()
    assert future.result(0)["MessageId"] == "good"


def test_the_rest_of_a_batch_is_not_said_to_have_found_the_buffer_full_after_close() -> None:
    bench = Bench(max_messages=1, delivery_timeout=50)
    route = bench.route()

    def wait_for_room(ticket: Ticket, left: Callable[[], float]) -> None:
        bench.core.flow.close()

    bench.hand.wait_for_room = wait_for_room  # type: ignore[method-assign]
    batch = bench.publish_many(route, ["a", "b"])
    assert isinstance(batch.entries[1].exception(0), PublisherClosed)
    assert bench.core.stats().total.dropped_by_reason["closed"] == 1
    bench.hand.settle()
    assert concurrent.futures.wait([batch], 0).done


def test_an_impatient_message_ends_in_time_while_its_lane_waits_for_a_worker() -> None:
    """Nobody wakes the dispatcher for it: it has to look by itself."""
    bench = Bench(max_workers=1, delivery_timeout=50)
    route = bench.route()
    impatient = route.lane.route(bench.core.delivery("sns", {"delivery_timeout": 2.0}))
    bench.publish(route, "on the wire")
    bench.hand.step()
    bench.publish(route, "waits")
    bench.hand.step()
    late = bench.publish(impatient, "late")
    bench.hand.pass_time(2.5)
    assert isinstance(late.exception(0), DeliveryTimeout)
    bench.hand.settle()
    bench.assert_at_rest()


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("closed_again", [True, False])
def test_a_close_that_ctrl_c_stops_loses_no_future(
    monkeypatch: pytest.MonkeyPatch, closed_again: bool
) -> None:
    bench = Bench(max_workers=1, delivery_timeout=10, linger=5)
    route = bench.route()
    sent = bench.publish(bench.route(Wire("other"), linger=0), "on the wire")
    bench.hand.step()
    waiting = [bench.publish(route, f"m{number}") for number in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(bench.core.settler, "settle_each", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.core.close(0)
    assert not any(future.done() for future in waiting)
    if closed_again:
        bench.core.close(0)
    else:
        bench.hand.step()  # the dispatcher ends what the caller was kept from ending
    assert all(isinstance(future.exception(0), PublisherClosed) for future in waiting)
    assert sent.done()
    assert bench.core.tracker.oldest() == NEVER
    bench.hand.settle()
    bench.assert_at_rest()


def test_an_eviction_that_ctrl_c_stops_loses_no_future(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(max_messages=1, on_full="drop_oldest", delivery_timeout=10, linger=100)
    route = bench.route()
    oldest = bench.publish(route, "oldest")
    with monkeypatch.context() as patch:
        patch.setattr(bench.core.settler, "settle", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.publish(route, "newest")
    assert not oldest.done()
    bench.hand.step()  # the dispatcher ends what the caller was kept from ending
    assert isinstance(oldest.exception(0), BufferFull)
    bench.hand.run_calls()
    bench.assert_at_rest()


def test_a_lane_is_looked_at_once_for_all_its_ways_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look is at all of them: views with ever other options would cost their square."""
    bench = Bench()
    lane = bench.route().lane
    scheduler = bench.core.scheduler
    looks = []
    look_at = scheduler._look_at
    monkeypatch.setattr(
        scheduler, "_look_at", lambda lane, now: (looks.append(lane), look_at(lane, now))
    )
    for number in range(300):
        changes = {"delivery_timeout": 60.0 + number}
        bench.publish(lane.route(bench.core.delivery("sns", changes)), f"{number}")
    assert len(bench.core.tracker.touched) == 300
    bench.hand.step()
    assert len(looks) < 30
    bench.hand.settle()
    bench.assert_at_rest()


def test_ever_other_options_leave_few_ways_in_behind() -> None:
    bench = Bench()
    first = bench.route()
    lane = first.lane
    for number in range(1, 2_500):
        changes = {"delivery_timeout": 60.0 + number}
        bench.publish(lane.route(bench.core.delivery("sns", changes)), f"{number}")
        bench.hand.settle()
    assert len(lane.routes) <= 101
    assert len(bench.core._deliveries) <= 1_000
    assert first not in lane.routes
    again = bench.publish(first, "who still has the first way in uses it")
    assert bench.core.tracker.oldest() == again.accepted
    bench.hand.settle()
    assert again.result(0)["MessageId"]
    bench.assert_at_rest()
