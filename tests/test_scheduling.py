"""What is sent next, and when to look again."""

from __future__ import annotations

from typing import Any

import pytest
import tenacity
from botocore.exceptions import ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

import publisher
from publisher._engine.contract import EntryError, Limits, Target
from publisher._engine.lane import NEVER

from .hand import Bench, Wire

pytestmark = pytest.mark.every_python(
    "the engine must decide alike on every Python, and this costs next to nothing"
)


def test_the_wire_has_all_that_a_target_has() -> None:
    named = {name for name in vars(Target) if not name.startswith("_")}
    for name in {*named, *Target.__annotations__}:
        assert hasattr(Wire(), name)


def test_time_passes_however_short_a_wait_is() -> None:
    bench = Bench()
    before = bench.core.clock()
    assert not bench.hand.run(1e-20, lambda: False)
    assert bench.core.clock() > before


class TestTheAlarm:
    def test_with_nothing_to_do_it_never_rings(self) -> None:
        bench = Bench()
        bench.hand.step()
        assert bench.core.scheduler.alarm == NEVER

    def test_it_rings_when_the_linger_ends(self) -> None:
        bench = Bench(linger=0.5)
        bench.publish(bench.route(), "m")
        bench.hand.step()
        assert bench.core.scheduler.alarm == 1000.5
        bench.hand.pass_time(0.5)
        assert len(bench.hand.on_wire) == 1

    def test_it_rings_at_the_deadline_of_what_waits(self) -> None:
        bench = Bench(max_workers=1, delivery_timeout=7)
        bench.publish(bench.route(), "holds the worker")
        bench.hand.step()
        bench.publish(bench.route(), "m")
        bench.hand.step()
        assert bench.core.scheduler.alarm == 1007

    def test_it_rings_at_the_deadline_and_grace_of_what_is_on_the_wire(self) -> None:
        bench = Bench(delivery_timeout=7, connect_timeout=2, read_timeout=3)
        bench.publish(bench.route(), "m")
        bench.hand.pass_time(7)
        assert bench.core.scheduler.alarm == 1012

    def test_it_rings_when_a_backoff_ends(self) -> None:
        bench = Bench()
        wire = Wire()
        wire.reply = lambda wire, entries: [EntryError("Throttling", "", False)]
        future = bench.publish(bench.route(wire), "m")
        bench.hand.step()
        bench.hand.work()
        assert bench.core.scheduler.alarm == pytest.approx(1000 + future.attempts[-1].backoff)


class TestWakingTheDispatcher:
    def test_the_first_message_wakes_it_and_the_others_do_not(self) -> None:
        bench = Bench(linger=1)
        route = bench.route(Wire(limits=Limits(10, 100)))
        bench.publish(route, "first")
        assert bench.hand.rings == 1
        for index in range(5):
            bench.publish(route, f"m{index}")
        assert bench.hand.rings == 1

    def test_a_full_batch_wakes_it(self) -> None:
        bench = Bench(linger=1)
        route = bench.route(Wire(limits=Limits(10, 100)))
        for index in range(9):
            bench.publish(route, f"m{index}")
            bench.hand.step()
        assert bench.hand.rings == 1
        assert not bench.hand.on_wire
        bench.publish(route, "the tenth")
        assert bench.hand.rings == 2
        bench.hand.step()
        assert len(bench.hand.on_wire) == 1

    def test_while_all_workers_are_busy_nobody_wakes_it(self) -> None:
        bench = Bench(max_workers=1)
        route = bench.route(Wire(limits=Limits(2, 100)))
        bench.publish(route, "a")
        bench.hand.step()
        bench.publish(route, "b")
        bench.hand.step()
        rings = bench.hand.rings
        for index in range(50):
            bench.publish(route, f"m{index}")
        assert bench.hand.rings == rings
        bench.hand.settle()
        bench.assert_at_rest()


class TestWaiters:
    """Who waits for a message; see tests/test_waiting.py for whole processes.

    "Many" is half of the workers, and four at the least.
    """

    @staticmethod
    def wait_for_one(bench: Bench, route: Any, name: str, after: float = 0.002) -> bool:
        """Whether somebody who waits wakes the dispatcher, `after` seconds later."""
        bench.core.clock.now += after  # type: ignore[attr-defined]
        message = bench.publish(route, name)
        rings = bench.hand.rings
        bench.core.hurry_one(message)
        rung = bench.hand.rings > rings
        bench.hand.step()
        return rung

    def test_while_few_wait_each_goes_at_once(self) -> None:
        bench, wire = Bench(max_workers=10, linger=600), Wire()
        route = bench.route(wire)
        for index in range(5):
            assert self.wait_for_one(bench, route, f"{index}")
            assert len(bench.hand.on_wire) == index + 1

    def test_where_many_wait_those_of_a_moment_share_a_request(self) -> None:
        bench, wire, route = self.many()
        assert self.wait_for_one(bench, route, "4")
        assert bench.core.scheduler.alarm == pytest.approx(1000.011)
        assert not any(self.wait_for_one(bench, route, f"{index}", 0.0002) for index in range(5, 8))
        assert len(bench.hand.on_wire) == 4
        bench.hand.pass_time(0.001)
        bench.hand.settle()
        assert wire.sent[4:] == [["4", "5", "6", "7"]]
        bench.assert_at_rest()

    def test_who_joins_while_a_turn_is_under_way_is_not_left_out(self) -> None:
        bench, wire, route = self.many(Limits(2, 100))
        scheduler = bench.core.scheduler
        self.wait_for_one(bench, route, "4")
        bench.publish(route, "5")  # a full request
        read = bench.core.clock() + 0.001  # by the turn, before it has the lock
        bench.core.clock.now += 0.0015  # type: ignore[attr-defined]
        late = bench.publish(route, "late")
        assert late.accepted > read
        assert not scheduler.hurry_one(late, bench.core.clock())
        bench.hand.on_wire += scheduler.step(read).requests
        bench.hand.pass_time(0.001)
        bench.hand.settle()
        assert [name for names in wire.sent[4:] for name in names] == ["4", "5", "late"]
        assert bench.core.clock() < 1001
        bench.assert_at_rest()

    def test_with_few_workers_nobody_waits_for_company(self) -> None:
        bench, wire = Bench(max_workers=3, linger=600), Wire()
        route = bench.route(wire)
        for index in range(3):
            assert self.wait_for_one(bench, route, f"{index}")
            assert len(bench.hand.on_wire) == index + 1

    def test_who_waits_for_a_group_that_has_just_come_wakes_the_dispatcher(self) -> None:
        bench, wire = Bench(max_workers=10, linger=600), Wire()
        route = bench.route(wire, ordered=True)
        bench.core.hurry_one(bench.publish(route, "first", group="0"))
        bench.hand.step()
        bench.core.clock.now += 0.002  # type: ignore[attr-defined]
        for index in range(1, 12):  # more groups than the lane knows of: it may send two requests
            message = bench.publish(route, f"{index}", group=f"{index}")
        rings = bench.hand.rings
        bench.core.hurry_one(message)
        assert bench.hand.rings == rings + 1

    def many(self, limits: Limits | None = None) -> tuple[Bench, Wire, Any]:
        """Half of the workers are busy."""
        bench, wire = Bench(max_workers=8, linger=600), Wire(limits=limits)
        route = bench.route(wire)
        for index in range(4):
            assert self.wait_for_one(bench, route, f"{index}")
        return bench, wire, route

    def test_what_comes_after_that_moment_has_one_of_its_own(self) -> None:
        bench, wire, route = self.many()
        assert self.wait_for_one(bench, route, "4")
        bench.core.clock.now += 0.001  # type: ignore[attr-defined]
        bench.hand.step()
        assert len(bench.hand.on_wire) == 5
        assert self.wait_for_one(bench, route, "5")
        assert len(bench.hand.on_wire) == 5
        bench.hand.pass_time(0.001)
        bench.hand.settle()
        assert wire.sent[4:] == [["4"], ["5"]]

    def test_where_no_worker_is_free_nobody_is_woken_for_them(self) -> None:
        bench, wire = Bench(max_workers=1, linger=600), Wire()
        route = bench.route(wire)
        self.wait_for_one(bench, route, "0")
        assert not any(self.wait_for_one(bench, route, f"{index}") for index in range(1, 4))
        bench.hand.settle()
        assert wire.sent == [["0"], ["1", "2", "3"]]
        bench.assert_at_rest()


class TestSharing:
    def test_alone_a_lane_may_have_all_workers(self) -> None:
        bench = Bench(max_workers=4)
        route = bench.route(Wire(limits=Limits(1, 100)))
        for index in range(10):
            bench.publish(route, f"m{index}")
        bench.hand.step()
        assert len(bench.hand.on_wire) == 4

    def test_among_several_no_lane_has_more_than_half(self) -> None:
        bench = Bench(max_workers=4)
        stalled, other = (bench.route(Wire(name, Limits(1, 100))) for name in ("one", "two"))
        for index in range(10):
            bench.publish(stalled, f"m{index}")
            bench.publish(other, f"n{index}")
        bench.hand.step()
        carried = [request.lane for request in bench.hand.on_wire]
        assert carried.count(stalled.lane) == carried.count(other.lane) == 2
        bench.hand.settle()

    @given(st.integers(1, 5), st.integers(2, 5), st.integers(1, 12))
    def test_every_lane_has_its_turn(self, workers: int, lanes: int, each: int) -> None:
        bench = Bench(max_workers=workers)
        wires = [Wire(f"w{i}", Limits(1, 100)) for i in range(lanes)]
        order: list[str] = []
        for wire in wires:
            wire.reply = lambda wire, entries: (
                order.append(wire.key) or [{"MessageId": entry.name} for entry in entries]
            )
        routes = [bench.route(wire) for wire in wires]
        for index in range(each):
            for route in routes:
                bench.publish(route, f"{id(route)} {index}")
        bench.hand.settle()
        assert len(order) == lanes * each
        for key in set(order):  # nobody waits for more than a few turns of all
            places = [i for i, other in enumerate(order) if other == key]
            gaps = [b - a for a, b in zip([-1, *places], places, strict=False)]
            assert max(gaps) <= 2 * (lanes + workers)
        bench.assert_at_rest()

    def test_after_a_time_out_one_at_a_time_until_one_succeeds(self) -> None:
        bench = Bench(max_workers=4)
        wire = Wire(limits=Limits(1, 100))

        def lost(wire: Wire, entries: Any) -> Any:
            raise ReadTimeoutError(endpoint_url="https://test")

        wire.reply = lost
        route = bench.route(wire)
        for index in range(8):
            bench.publish(route, f"m{index}")
        bench.hand.step()
        assert len(bench.hand.on_wire) == 4
        for _ in range(4):
            bench.hand.work()
        assert len(bench.hand.on_wire) == 1
        wire.reply = Wire().reply
        bench.hand.work()
        assert len(bench.hand.on_wire) > 1
        bench.hand.settle()


def test_a_worker_that_returns_takes_the_next_request_with_it() -> None:
    bench = Bench(max_workers=1)
    route = bench.route(Wire(limits=Limits(1, 100)))
    for index in range(3):
        bench.publish(route, f"m{index}")
    bench.hand.step()
    following = bench.core.work(bench.hand.on_wire.pop())
    assert following is not None
    assert following.messages[0].entry.name == "m1"
    assert bench.core.scheduler.shares.busy == 1
    bench.hand.on_wire.append(following)
    bench.hand.settle()
    assert bench.core.scheduler.shares.busy == 0


def test_a_worker_that_died_does_not_shrink_the_pool() -> None:
    bench = Bench(max_workers=1)
    route = bench.route()
    take_back = route.lane.take_back

    def fault(groups: Any, answer: Any) -> None:
        route.lane.take_back = take_back  # type: ignore[method-assign]
        raise ZeroDivisionError

    route.lane.take_back = fault  # type: ignore[method-assign]
    first = bench.publish(route, "m")
    bench.hand.step()
    with pytest.raises(ZeroDivisionError):
        bench.hand.work()
    bench.core.scheduler.release_worker()
    second = bench.publish(route, "n")
    bench.hand.settle()
    assert first.result(0)["MessageId"] == "m"
    assert second.result(0)["MessageId"] == "n"
    assert bench.core.scheduler.shares.busy == 0


def test_the_oldest_is_evicted_whichever_lane_it_is_in() -> None:
    bench = Bench(linger=10)
    routes = [bench.route(Wire("plain")), bench.route(Wire("t.fifo"), ordered=True)]
    futures = []
    for index in range(6):
        bench.clock.now += 0.001
        futures.append(bench.publish(routes[index % 2], f"m{index}", group="g"))
    futures[0].cancel()
    for future in futures[1:]:
        assert bench.core.tracker.evict_oldest() is future
        bench.core.settler.settle([future], [ValueError()], "dropped", "buffer_full")
    assert bench.core.tracker.evict_oldest() is None
    bench.assert_at_rest()


def test_a_lane_in_steady_use_leaves_no_timers_behind() -> None:
    bench = Bench(linger=0.05, delivery_timeout=100_000)
    route = bench.route()
    for number in range(1_000):
        bench.publish(route, f"m{number}")
        bench.hand.pass_time(0.06)
        bench.hand.work()
    assert bench.core.flow.messages == 0
    assert len(bench.core.scheduler.timers) < 200


def test_no_timer_keeps_an_idle_lane() -> None:
    """With it would stay its boto3 client, for as long as `delivery_timeout`."""
    bench = Bench(delivery_timeout=100_000)
    for topic in range(5):
        bench.publish(bench.route(Wire(f"t{topic}")), "m")
    bench.hand.settle()
    bench.assert_at_rest()
    assert not bench.core.scheduler.timers.lanes()


@pytest.mark.parametrize("ordered", [False, True])
def test_the_oldest_unsent_message_of_all_lanes_is_dropped(ordered: bool) -> None:
    bench = Bench(
        linger=50,
        max_messages=3,
        on_full="drop_oldest",
        delivery_timeout=1000,
        retry=publisher.retry_policy(wait=tenacity.wait_fixed(100)),
    )
    throttled, other = Wire("throttled"), Wire("other")
    throttled.reply = lambda wire, entries: [EntryError("Throttling", "", False)] * len(entries)
    one = bench.route(throttled, ordered=ordered)
    two = bench.route(other, ordered=ordered)
    sent = bench.publish(one, "sent", group="a")
    bench.hand.pass_time(51)
    bench.hand.work()  # it waits to be sent again, and is the oldest of all
    oldest = bench.publish(two, "oldest", group="b")
    bench.hand.pass_time(1)
    younger = bench.publish(one, "younger", group="c")
    bench.hand.pass_time(1)
    bench.publish(two, "newest", group="d")
    assert [future.done() for future in (sent, oldest, younger)] == [False, True, False]


def test_a_message_that_comes_after_the_end_of_the_others_ends_too() -> None:
    """Its caller had the permit already, and was in a hook when the publisher was closed."""

    class Hook:
        def on_accepted(self, event: publisher.Event) -> None:
            if event.params["Message"] == "late":
                bench.core.flow.close()  # what close() does when its time is over
                bench.core.settler.abandon()

    bench = Bench(max_workers=1, hooks=[Hook()])
    route = bench.route()
    bench.publish(route, "on the wire")
    bench.hand.step()
    bench.publish(route, "waiting")
    bench.hand.step()
    assert len(bench.hand.on_wire) == 1
    late = bench.publish(route, "late")
    assert isinstance(late.exception(0), publisher.PublisherClosed)
    bench.assert_at_rest()


def test_a_policy_that_ends_the_process_fails_only_what_it_was_asked_about() -> None:
    def exits(state: Any) -> bool:
        raise SystemExit(1)

    bench, wire = Bench(retry=publisher.retry_policy(stop=exits)), Wire()
    wire.reply = lambda wire, entries: [
        EntryError("Throttling", "", False) if entry.name == "bad" else {"MessageId": "id"}
        for entry in entries
    ]
    route = bench.route(wire)
    bad, good = bench.publish(route, "bad"), bench.publish(route, "good")
    bench.hand.settle()
    assert isinstance(bad.exception(0), publisher.RetriesExhausted)
    assert good.result(0)["MessageId"] == "id"
    bench.assert_at_rest()
