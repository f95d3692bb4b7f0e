"""What an ordered lane does with a group while messages of it stay in a store."""

from __future__ import annotations

from typing import Any

from publisher._engine.contract import Limits
from publisher._engine.message import Route
from publisher._engine.split import Remainder
from publisher._engine.store import ReplayedMessage, StoredMessage

from .hand import Bench, Entry, Wire


def lane_of() -> tuple[Bench, Route, Any]:
    bench = Bench(delivery_timeout=10)
    route = bench.route(Wire("topic.fifo", Limits(5, 100)), ordered=True)
    return bench, route, route.lane


def come_in(
    bench: Bench,
    route: Route,
    name: str,
    *,
    kept: int | None = None,
    since: float | None = None,
) -> StoredMessage:
    """A message whose group is the first letter of its name; ``since``: it is offered again."""
    message = made(bench, route, name, kept=kept, since=since)
    route.inbox.append(message)
    return message


def overflow(bench: Bench, route: Route, name: str) -> float:
    """One that stays, and never comes in; when it was accepted."""
    message = made(bench, route, name, kept=9)
    route.lane.staying.fall_behind(message)  # type: ignore[attr-defined]
    return message.accepted


def made(
    bench: Bench,
    route: Route,
    name: str,
    *,
    kept: int | None,
    since: float | None = None,
) -> StoredMessage:
    bench.clock.now += 1e-6
    entry, now = Entry(name, group=name[0]), bench.clock.now
    message = (StoredMessage if since is None else ReplayedMessage)(route, entry, now)
    if since is not None:
        message.since = since
    message.kept = kept
    return message


def names(messages: list[Any]) -> list[str]:
    return [message.entry.name for message in messages]


def test_what_stands_behind_what_stays_is_taken_out_and_other_groups_go_on() -> None:
    bench, route, lane = lane_of()
    for place, name in enumerate(["a0", "b0", "a1", "b1"]):
        come_in(bench, route, name, kept=place)
    come_in(bench, route, "a2")  # no store has it
    batch, _ = lane.take(bench.clock.now)
    assert names(batch) == ["a0", "b0"]
    lane.take_back(["a", "b"], Remainder(stays=batch[:1]))
    come_in(bench, route, "a3", kept=4)
    assert sorted(names(lane.expire(bench.clock.now))) == ["a1", "a3"]
    assert names(lane.take(bench.clock.now)[0]) == ["b1"]
    assert lane.staying.let_through(["a"], ()) == ["a"]
    assert names(lane.take(bench.clock.now)[0]) == ["a2"]


def test_what_stands_behind_one_that_is_evicted_and_stays_does_too() -> None:
    bench, route, lane = lane_of()
    a0 = come_in(bench, route, "a0")
    batch, _ = lane.take(bench.clock.now)
    for place, name in enumerate(["a1", "a2", "b0"]):
        come_in(bench, route, name, kept=place)
    come_in(bench, route, "a3")  # no store has it
    lane.take_back(["a"], Remainder(retries=[(a0, bench.clock.now)]))
    taken: dict[Any, None] = {}
    lane.evict_oldest(taken)  # from the inbox
    assert names(list(taken)) == ["a1"]
    come_in(bench, route, "a4", kept=3)
    batch, _ = lane.take(bench.clock.now)
    assert sorted(names(batch)) == ["a0", "b0"]
    assert names(lane.expire(bench.clock.now)) == ["a2", "a4"]
    lane.take_back(["a", "b"], Remainder())
    assert lane.take(bench.clock.now)[0] == []
    assert lane.staying.let_through(["a"], ()) == ["a"]
    assert names(lane.take(bench.clock.now)[0]) == ["a3"]
    come_in(bench, route, "c0")
    come_in(bench, route, "c1", kept=4)
    come_in(bench, route, "c2")
    lane.due(bench.clock.now)  # they stand in their group
    for _ in range(2):
        lane.evict_oldest(taken)
    assert names(lane.take(bench.clock.now)[0]) == []
    assert lane.staying.let_through(["c"], ()) == ["c"]
    assert names(lane.take(bench.clock.now)[0]) == ["c2"]


def test_what_is_older_than_what_stays_goes_on_in_memory() -> None:
    bench, route, lane = lane_of()
    hasty = lane.route(bench.core.delivery("sns", {"delivery_timeout": 1.0}))
    come_in(bench, route, "a0", kept=0)
    come_in(bench, hasty, "a1", kept=1)
    come_in(bench, route, "a2", kept=2)
    assert sorted(names(lane.expire(bench.clock.now + 2))) == ["a1", "a2"]
    assert names(lane.take(bench.clock.now)[0]) == ["a0"]


def test_what_was_offered_before_something_stayed_stands_behind_it() -> None:
    bench, route, lane = lane_of()
    come_in(bench, route, "a0", kept=0)
    batch, _ = lane.take(bench.clock.now)
    assert lane.staying.begin_offering(["a"], (), here=True) == ["a"]
    come_in(bench, route, "a1", kept=1, since=bench.clock.now)
    lane.take_back(["a"], Remainder(stays=batch))  # nobody has looked into the inbox yet
    assert lane.take(bench.clock.now)[0] == []
    assert names(lane.expire(bench.clock.now)) == ["a1"]
    assert lane.staying.begin_offering(["a"], (), here=True) == ["a"]
    come_in(bench, route, "a0", kept=0, since=0.0)
    assert names(lane.take(bench.clock.now)[0]) == ["a0"]


def test_what_came_in_before_something_overflowed_goes_before_it() -> None:
    """Nobody has looked into the inbox in between."""
    bench, route, lane = lane_of()
    come_in(bench, route, "a0")
    come_in(bench, route, "b0", kept=0)
    overflow(bench, route, "b1")
    first = overflow(bench, route, "a1")
    overflow(bench, route, "a2")
    come_in(bench, route, "a3")
    come_in(bench, route, "b2", kept=1)
    batch, _ = lane.take(bench.clock.now)
    assert names(batch) == ["a0", "b0"]
    assert names(lane.expire(bench.clock.now)) == ["b2"]
    lane.take_back(["a", "b"], Remainder())
    assert lane.take(bench.clock.now)[0] == []
    assert lane.staying.begin_offering(["a"], (), here=True) == ["a"]
    come_in(bench, route, "a1", kept=9, since=first)
    assert names(lane.take(bench.clock.now)[0]) == ["a1"]
    lane.take_back(["a"], Remainder())
    assert lane.staying.let_through(["a"], ()) == ["a"]
    assert names(lane.take(bench.clock.now)[0]) == ["a3"]


def test_what_no_store_keeps_goes_before_what_was_accepted_after_it_and_stays() -> None:
    bench, route, lane = lane_of()
    times = [overflow(bench, route, "a0")]
    come_in(bench, route, "a1")
    times.append(overflow(bench, route, "a2"))
    come_in(bench, route, "a3")
    assert lane.take(bench.clock.now)[0] == []
    assert lane.staying.begin_offering(["a"], (), here=True) == ["a"]
    for name, since in zip(["a0", "a2"], times, strict=True):
        come_in(bench, route, name, kept=9, since=since)
    for name in ["a0", "a1", "a2"]:
        assert names(lane.take(bench.clock.now)[0]) == [name]
        lane.take_back(["a"], Remainder())
    assert lane.take(bench.clock.now)[0] == []
    assert lane.staying.let_through(["a"], ()) == ["a"]
    assert names(lane.take(bench.clock.now)[0]) == ["a3"]


def test_nothing_is_offered_or_let_through_before_all_that_stays_is_known() -> None:
    bench, route, lane = lane_of()
    overflow(bench, route, "a0")
    come_in(bench, route, "a1", kept=1)  # and it stays
    for ask in (
        lane.staying.let_through,
        lambda *asked: lane.staying.begin_offering(*asked, here=True),
    ):
        assert ask(["a", "b"], ()) == ["b"]
        assert ask(["a", "b"], {"b"}) == []
    assert names(lane.expire(bench.clock.now)) == ["a1"]
    assert lane.staying.begin_offering(["a"], (), here=True) == ["a"]
    assert lane.staying.let_through(["a", "b"], ()) == ["a", "b"]
    assert not lane.is_behind


def test_to_another_lane_it_is_offered_when_nothing_of_the_group_is_in_this_one() -> None:
    bench, route, lane = lane_of()
    come_in(bench, route, "a0", kept=0)
    assert not lane.is_empty()  # it stands in its group
    overflow(bench, route, "a1")
    asked: Any = (["a", "b"], ())
    assert lane.staying.begin_offering(*asked, here=False) == ["b"]
    batch, _ = lane.take(bench.clock.now)
    assert names(batch) == ["a0"]
    assert lane.staying.begin_offering(*asked, here=False) == ["b"]
    assert lane.staying.begin_offering(*asked, here=True) == ["a", "b"]
    lane.take_back(["a"], Remainder())
    assert lane.staying.begin_offering(*asked, here=False) == ["a", "b"]
