"""Time in which the process stood still does not count for what was accepted before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

import publisher
from publisher._engine.contract import EntryError, Limits
from publisher._engine.standing import LEAST, Standing
from publisher.errors import DeliveryTimeout
from tests.hand import Bench, Entry, Wire, delivered

pytestmark = pytest.mark.every_python(
    "the engine must decide alike on every Python, and this costs next to nothing"
)


def stand_still(bench: Bench, seconds: float, used: float = 0.0) -> None:
    """The dispatcher waits for a second, which is taken for a part of it; so many more pass."""
    standing = bench.core.standing
    standing.expect(bench.clock.now, 1)
    standing._used -= used  # so much more of the CPU since
    bench.clock.now += 1 + seconds


def test_is_seen_as_late_by_more_than_the_process_has_used() -> None:
    used = [10.0]
    standing = Standing(lambda: used[0])
    standing.look(5000)  # nobody said when
    standing.expect(99, 1)
    standing.look(100 + LEAST / 2)  # a busy machine
    assert standing.since(0) == 0
    standing.expect(100, 0)
    used[0] += 5
    standing.look(105)  # others had the GIL
    assert standing.since(0) == 0
    standing.expect(106, 0.5)
    used[0] += 1
    standing.look(116)
    standing.look(116)  # by another thread
    assert standing.since(0) == standing.since(107) == standing.last(115) == 9
    assert standing.since(112) == 4  # accepted when it was over already, as far as one can tell
    assert standing.since(116) == standing.last(116) == 0


def test_only_the_last_ones_are_kept() -> None:
    standing = Standing(lambda: 0.0)
    for at in range(0, 10_000, 10):
        standing.expect(at, 0)
        standing.look(at + 5)
    assert len(standing._known) == 100
    assert standing.since(9_990) == 5


@pytest.mark.parametrize("ordered", [False, True])
def test_what_waits_is_sent_afterwards(ordered: bool) -> None:
    bench = Bench(delivery_timeout=6, linger=0.5)
    route = bench.route(ordered=ordered)
    message = bench.publish(route, "a")
    bench.hand.step()
    stand_still(bench, 9)
    later = bench.publish(route, "b")
    bench.hand.settle()
    assert message.exception(0) is None
    assert later.exception(0) is None
    bench.assert_at_rest()


def test_starvation_counts() -> None:
    bench = Bench(delivery_timeout=6, linger=3)
    message = bench.publish(bench.route(), "a")
    bench.hand.step()
    stand_still(bench, 9, used=9)
    bench.hand.settle()
    assert isinstance(message.exception(0), DeliveryTimeout)


def test_a_retry_is_judged_without_it_by_whoever_comes_first() -> None:
    bench = Bench(delivery_timeout=6, retry=publisher.retry_policy())
    wire = Wire()

    def once(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
        wire.reply = delivered
        return [EntryError("Throttled", "", final=False) for _ in entries]

    wire.reply = once
    message = bench.publish(bench.route(wire), "a")
    bench.hand.step()
    stand_still(bench, 9)
    bench.hand.work()  # a worker, before the dispatcher has looked
    bench.hand.settle()
    assert message.exception(0) is None
    assert len(message.attempts) == 2


def test_what_a_request_carries_has_its_grace_afterwards() -> None:
    bench = Bench(delivery_timeout=6, connect_timeout=1, read_timeout=1)
    message = bench.publish(bench.route(), "a")
    bench.hand.step()
    stand_still(bench, 9)
    bench.hand.step()
    assert not message.done()
    bench.hand.pass_time(6.5)
    assert not message.done()
    bench.hand.pass_time(2)  # 6.5 + 2 seconds of its own: the deadline and the grace
    assert isinstance(message.exception(0), DeliveryTimeout)


def test_what_comes_afterwards_has_the_usual_deadline() -> None:
    bench = Bench(delivery_timeout=6, linger=5)
    route = bench.route()
    first = bench.publish(route, "a")
    bench.hand.step()
    stand_still(bench, 9)
    bench.hand.step()
    bench.clock.now += 1
    later = bench.publish(route, "b")
    assert first.deadline == pytest.approx(1000 + 6 + 10, abs=0.1)
    assert later.deadline == bench.clock.now + 6


def test_callers_who_are_held_are_not_sent_away_for_it() -> None:
    bench = Bench(max_messages=1, max_workers=1, delivery_timeout=60, max_block=1.0)
    route = bench.route(Wire(limits=Limits(1, 100)))
    bench.publish(route, "a")
    bench.hand.step()
    patience = bench.core.patience.at_the_bound(route.delivery.timeout)
    assert patience() == pytest.approx(1.0)
    stand_still(bench, 90)
    assert patience() == pytest.approx(1.0, abs=0.1)
    bench.clock.now += 0.9
    assert patience() == pytest.approx(0.1, abs=0.1)
    bench.clock.now += 0.2
    assert patience() == 0


def test_the_line_about_what_is_lost_all_the_same_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    bench = Bench(delivery_timeout=6, linger=3, max_workers=1)
    route = bench.route(Wire(limits=Limits(1, 100)))
    bench.publish(route, "a")
    bench.hand.step()
    lost = bench.publish(route, "b")
    stand_still(bench, 9)
    bench.hand.step()
    bench.clock.now += 7
    bench.hand.step()
    bench.hand.run_calls()
    assert isinstance(lost.exception(0), DeliveryTimeout)
    assert "the process stood still for 10 s, which does not count" in caplog.text
