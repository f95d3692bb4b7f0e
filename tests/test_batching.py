"""Which messages go in which request, and when: limits, order, and nothing lost or doubled."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher._engine.contract import Limits
from publisher._engine.lane import NEVER
from publisher._engine.message import Message, Route
from publisher._engine.split import Remainder, Split, cut
from publisher._engine.state import is_live

from .hand import Bench, Entry, Wire

sizes = st.integers(0, 12)


def lane_of(entries: int, size: int, **options: Any) -> tuple[Bench, Route]:
    bench = Bench(max_messages=10_000, **options)
    return bench, bench.route(Wire(limits=Limits(entries, size)))


def names(messages: list[Message]) -> list[str]:
    return [message.entry.name for message in messages]


@given(
    st.lists(sizes, max_size=60),
    st.integers(1, 7),
    st.integers(1, 20),
)
def test_batches_keep_the_order_and_the_limits(listed: list[int], entries: int, limit: int) -> None:
    bench, route = lane_of(entries, limit)
    futures = [bench.publish(route, f"m{i}", size) for i, size in enumerate(listed)]
    taken: list[Message] = []
    while batch := route.lane.take(bench.clock.now)[0]:
        assert len(batch) <= entries
        size = sum(message.size for message in batch)
        assert size <= limit or len(batch) == 1
        rest = futures[len(taken) + len(batch) :]
        if rest:  # as much as goes in
            assert len(batch) == entries or size + rest[0].size > limit
        taken += batch
    assert taken == futures
    assert all(future.running() for future in futures)


class TestDue:
    def test_nothing_is_due_in_an_empty_lane(self) -> None:
        bench, route = lane_of(3, 100)
        assert route.lane.due(bench.clock.now) == NEVER
        assert route.lane.next_deadline() == route.lane.oldest() == NEVER
        assert route.lane.is_idle()

    def test_a_message_waits_for_company_for_the_linger(self) -> None:
        bench, route = lane_of(3, 100, linger=0.5)
        bench.publish(route, "a")
        assert route.lane.due(bench.clock.now) == 1000.5
        bench.clock.now += 0.2
        bench.publish(route, "b")
        assert route.lane.due(bench.clock.now) == 1000.5
        bench.publish(route, "c")
        assert route.lane.due(bench.clock.now) == bench.clock.now

    def test_a_flush_ends_the_wait_of_what_was_accepted_before(self) -> None:
        bench, route = lane_of(3, 100, linger=0.5)
        bench.publish(route, "a")
        route.lane.flush_until = bench.clock.now
        assert route.lane.due(bench.clock.now) == bench.clock.now
        route.lane.take(bench.clock.now)
        bench.clock.now += 0.1
        bench.publish(route, "b")
        assert route.lane.due(bench.clock.now) == bench.clock.now + 0.5

    def test_views_with_other_options_share_the_requests(self) -> None:
        bench, patient = lane_of(10, 100, linger=5)
        hasty = patient.lane.route(bench.core.delivery("sns", {"linger": 0.0}))
        assert patient.lane.route(patient.delivery) is patient
        for index in range(6):
            bench.publish(hasty if index == 3 else patient, f"m{index}")
            bench.clock.now += 0.01
        assert patient.lane.due(bench.clock.now) <= bench.clock.now
        assert names(patient.lane.take(bench.clock.now)[0]) == [f"m{i}" for i in range(6)]

    def test_a_retry_is_due_at_its_time_and_travels_with_new_ones(self) -> None:
        bench, route = lane_of(10, 100, linger=5)
        bench.publish(route, "old")
        now = bench.clock.now
        [old] = route.lane.take(now)[0]
        route.lane.take_back(None, Remainder(retries=[(old, now + 2)]))
        assert route.lane.due(now) == now + 2 + 5  # its linger too: retries wait for company
        assert route.lane.take(now)[0] == []
        new = bench.publish(route, "new")
        assert route.lane.take(now + 2)[0] == [old, new]


@settings(max_examples=200)
@given(st.data())
def test_nothing_is_lost_or_doubled_whatever_happens_to_it(  # noqa: C901 - one case per event
    data: st.DataObject,
) -> None:
    """Every live message is in exactly one place: the lane, or a batch that was taken."""
    bench, route = lane_of(data.draw(st.integers(1, 4)), 20, linger=1, delivery_timeout=10)
    lane = route.lane
    other = lane.route(bench.core.delivery("sns", {"delivery_timeout": 4.0}))
    taken: list[tuple[list[Message], Split | None]] = []
    futures: list[Message] = []
    removed: list[Message] = []
    step = st.sampled_from(
        ["publish", "publish", "other", "take", "again", "cut", "cancel", "expire", "evict", "pass"]
    )
    for turn, action in enumerate(data.draw(st.lists(step, max_size=40))):
        if action in ("publish", "other"):
            to = route if action == "publish" else other
            futures.append(bench.publish(to, f"m{turn}", data.draw(st.integers(0, 9))))
        elif action == "take":
            batch, split = lane.take(bench.clock.now)
            assert len(batch) <= lane.limits.entries
            assert len(batch) <= 1 or sum(message.size for message in batch) <= lane.limits.bytes
            if batch:
                taken.append((batch, split))
        elif action == "again" and taken:
            batch, _ = taken.pop(0)
            due = bench.clock.now + data.draw(st.floats(0, 3))
            lane.take_back(None, Remainder(retries=[(message, due) for message in batch]))
        elif action == "cut" and taken and len(taken[0][0]) > 1:
            batch, split = taken.pop(0)
            pieces, shared = cut([[each] for each in batch], split, "InvalidParameter")
            assert [message for piece in pieces for message in piece] == batch
            lane.take_back(None, Remainder(pieces=pieces, split=shared))
        elif action == "cancel" and futures:
            data.draw(st.sampled_from(futures)).cancel()
        elif action == "expire":
            expired = lane.expire(bench.clock.now)
            assert all(message.deadline <= bench.clock.now for message in expired)
            removed += expired
        elif action == "evict":
            evicted = lane.evict_oldest({})
            if evicted is not None:
                assert all(evicted not in batch for batch, _ in taken)
                removed.append(evicted)
        elif action == "pass":
            bench.clock.now += data.draw(st.floats(0, 5))
        waiting = [message for message in lane.waiting() if is_live(message)]
        carried = [message for batch, _ in taken for message in batch]
        everywhere = [*waiting, *carried, *(m for m in removed if is_live(m))]
        assert sorted(map(id, everywhere)) == sorted(id(m) for m in futures if is_live(m))
        assert lane.oldest() == min((m.accepted for m in waiting), default=NEVER)
        assert lane.next_deadline() <= min((m.deadline for m in waiting), default=NEVER)
    now = bench.clock.now
    still = [message for message in lane.waiting() if is_live(message)]
    assert sorted(map(id, lane.drain())) == sorted(map(id, still))
    assert lane.is_empty()
    assert lane.take(now)[0] == []


def refuse_poison(wire: Wire, entries: Any) -> list[Any]:
    if any(entry.poison for entry in entries):
        raise ClientError({"Error": {"Code": "InvalidParameter", "Message": "no"}}, "PublishBatch")
    return [{"MessageId": entry.name} for entry in entries]


class TestSplit:
    def run(self, count: int, poison: set[int], limit: int = 500) -> tuple[Wire, list[str]]:
        """Publishes; the names of what failed."""
        bench = Bench(max_messages=10_000, max_workers=3)
        wire = Wire(limits=Limits(limit, 10_000))
        wire.reply = refuse_poison
        route = bench.route(wire)
        futures = [
            bench.core.accept(route, Entry(f"m{i}", 1, "", i in poison), 1) for i in range(count)
        ]
        bench.hand.settle()
        bench.assert_at_rest()
        assert wire.broken == []
        return wire, [f"m{i}" for i, future in enumerate(futures) if future.exception(0)]

    @given(count=st.integers(1, 60), data=st.data())
    def test_one_poison_entry_fails_alone(self, count: int, data: st.DataObject) -> None:
        culprit = data.draw(st.integers(0, count - 1))
        wire, failed = self.run(count, {culprit})
        assert failed == [f"m{culprit}"]
        assert len(wire.requests) <= 4 + 2 * count.bit_length()

    @given(count=st.integers(3, 60), data=st.data())
    def test_several_poison_entries_fail_alone(self, count: int, data: st.DataObject) -> None:
        # Not with the first entry among them: where both halves and a single entry are refused
        # alike, the whole lane is held to be the cause.
        poison = data.draw(st.sets(st.integers(1, count - 1), min_size=1, max_size=8))
        _, failed = self.run(count, poison)
        assert failed == [f"m{i}" for i in sorted(poison)]

    def test_the_first_entry_and_one_more(self) -> None:
        for other in range(1, 10):
            _, failed = self.run(10, {0, other}, limit=10)
            assert failed == ["m0", f"m{other}"]

    @pytest.mark.parametrize("count", [3, 10, 500])
    def test_a_hopeless_lane_is_given_up_after_a_few_requests(self, count: int) -> None:
        wire, failed = self.run(count, set(range(count)))
        assert len(failed) == count
        assert len(wire.requests) <= 8

    def test_the_tries_of_a_split_show_but_do_not_count(self) -> None:
        bench = Bench()
        wire = Wire(limits=Limits(4, 100))
        wire.reply = refuse_poison
        route = bench.route(wire)
        futures = [bench.publish(route, f"m{i}", poison=i == 2) for i in range(4)]
        bench.hand.settle()
        for future in futures:
            assert [attempt.split for attempt in future.attempts][:-1] == [True] * (
                len(future.attempts) - 1
            )
            assert future.tries == 1
            assert all(attempt.delay == 0 for attempt in future.attempts)


def test_a_lane_takes_its_retries_within_the_limits() -> None:
    bench, route = lane_of(3, 10)
    futures = [bench.publish(route, f"m{i}", 4) for i in range(5)]
    now = bench.clock.now
    held = []
    while batch := route.lane.take(now)[0]:
        held += batch
    route.lane.take_back(None, Remainder(retries=[(message, now) for message in held]))
    assert [len(route.lane.take(now)[0]) for _ in range(4)] == [2, 2, 1, 0]
    assert all(is_live(future) for future in futures)


def test_entries_are_measured_again_when_the_limits_shrink() -> None:
    bench, route = lane_of(5, 100)
    for index in range(3):
        bench.publish(route, f"m{index}")
    route.lane.limits = Limits(1, 100)
    assert [len(route.lane.take(bench.clock.now)[0]) for _ in range(4)] == [1, 1, 1, 0]
