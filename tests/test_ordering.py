"""The lane of a FIFO topic: one entry of a group on the wire, order within it, groups apart."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher import DeliveryTimeout
from publisher._engine.contract import EntryError, Limits
from publisher._engine.message import Message, Route
from publisher._engine.request import Request
from publisher._engine.split import Remainder, Split, cut
from publisher._engine.state import is_live

from .hand import Bench, Wire

GROUPS = ("red", "green", "blue", "grey")


def lane_of(entries: int = 3, **options: Any) -> tuple[Bench, Route, Wire]:
    bench = Bench(**{"max_messages": 10_000, "delivery_timeout": 10, **options})
    wire = Wire("topic.fifo", Limits(entries, 20))
    return bench, bench.route(wire, ordered=True), wire


def groups_of(batch: list[Message]) -> list[str]:
    return [message.entry.group for message in batch]


def come_back(lane: Any, batch: list[Message], answer: Remainder) -> None:
    """What the scheduler does when a request has returned."""
    lane.take_back(groups_of(batch), answer)


def test_a_request_carries_one_entry_of_each_group() -> None:
    bench, route, _ = lane_of()
    for index in range(4):
        for group in ("red", "green"):
            bench.publish(route, f"{group}{index}", group=group)
    lane = route.lane
    first, _ = lane.take(bench.clock.now)
    assert [message.entry.name for message in first] == ["red0", "green0"]
    assert lane.take(bench.clock.now)[0] == []
    come_back(lane, first, Remainder())
    second, _ = lane.take(bench.clock.now)
    assert [message.entry.name for message in second] == ["red1", "green1"]


def test_a_group_that_waits_holds_up_no_other() -> None:
    bench, route, wire = lane_of(entries=1, max_workers=4)
    wire.reply = lambda wire, entries: [
        EntryError("Throttling", "", False) if entry.group == "red" else {"MessageId": entry.name}
        for entry in entries
    ]
    red = [bench.publish(route, f"red{i}", group="red") for i in range(2)]
    green = [bench.publish(route, f"green{i}", group="green") for i in range(5)]
    bench.hand.run(0.05, lambda: all(future.done() for future in green))
    assert all(future.done() for future in green)
    assert not any(future.done() for future in red)
    bench.hand.settle()
    assert all(isinstance(future.exception(0), DeliveryTimeout) for future in red)
    assert wire.broken == []


@pytest.mark.parametrize("how", ["cancelled", "refused", "expired", "evicted"])
def test_what_is_not_delivered_leaves_a_gap(how: str) -> None:
    bench, route, wire = lane_of(linger=1 if how != "refused" else 0)
    impatient = route.lane.route(
        bench.core.delivery("sns", {"delivery_timeout": 0.5, "linger": 1.0})
    )
    wire.reply = lambda wire, entries: [
        EntryError("InvalidParameter", "", True)
        if entry.name == "bad"
        else {"MessageId": entry.name}
        for entry in entries
    ]
    before = bench.publish(route, "before", group="g") if how != "evicted" else None
    bench.clock.now += 0.001
    gone = bench.publish(impatient if how == "expired" else route, "bad", group="g")
    bench.clock.now += 0.001
    after = bench.publish(route, "after", group="g")
    if how == "cancelled":
        assert gone.cancel()
    elif how == "evicted":
        assert bench.core.admission.drop_oldest()
    bench.hand.settle()
    sent = [name for request in wire.sent for name in request]
    assert sent == [*(["before"] if before else []), *(["bad"] * (how == "refused")), "after"]
    assert gone.cancelled() or gone.exception(0) is not None
    assert after.result(0)["MessageId"] == "after"
    bench.assert_at_rest()


def test_a_failed_entry_is_sent_again_before_its_successors() -> None:
    bench, route, wire = lane_of()
    answers = iter([[EntryError("InternalFailure", "", False)]])
    wire.reply = lambda wire, entries: next(answers, [{"MessageId": e.name} for e in entries])
    futures = [bench.publish(route, name, group="g") for name in "abc"]
    bench.hand.settle()
    assert wire.sent == [["a"], ["a"], ["b"], ["c"]]
    assert all(future.exception(0) is None for future in futures)


def test_after_the_deduplication_window_an_unknown_outcome_is_not_tried_again() -> None:
    bench, route, wire = lane_of(delivery_timeout=1000, linger=0)
    known, known_route, known_wire = lane_of(delivery_timeout=1000, linger=0)

    def lost(wire: Wire, entries: Any) -> Any:
        raise ReadTimeoutError(endpoint_url="https://test")

    def refused(wire: Wire, entries: Any) -> Any:
        raise ClientError({"Error": {"Code": "Throttling", "Message": ""}}, "PublishBatch")

    wire.reply, known_wire.reply = lost, refused
    future = bench.publish(route, "a", group="g")
    bench.hand.settle()
    assert bench.clock.now <= 1300
    assert future.exception(0).outcome_unknown  # type: ignore[union-attr]
    future = known.publish(known_route, "a", group="g")
    known.hand.settle()
    assert known.clock.now >= 1900
    assert not future.exception(0).outcome_unknown  # type: ignore[union-attr]


def test_with_few_groups_few_requests_are_on_the_wire() -> None:
    bench, route, _ = lane_of(entries=2, max_workers=10)
    for index in range(40):
        bench.publish(route, f"m{index}", group=GROUPS[index % 4])
    bench.hand.step()
    assert len(bench.hand.on_wire) == 2  # 4 groups, 2 entries in a request
    bench.hand.settle()


def test_a_finished_group_is_forgotten() -> None:
    bench, route, _ = lane_of(entries=10)
    for index in range(200):
        bench.publish(route, f"m{index}", group=f"group {index}")
    bench.hand.settle()
    lane: Any = route.lane
    assert lane.is_idle()
    assert not lane._groups
    assert not lane._groups.resent
    assert not any(queue for queue in (route.inbox, route.backlog))


@settings(max_examples=200)
@given(st.data())
def test_order_holds_and_nothing_is_lost_whatever_happens(  # noqa: C901 - one case per event
    data: st.DataObject,
) -> None:
    bench, route, _ = lane_of(entries=data.draw(st.integers(1, 4)), linger=1)
    lane: Any = route.lane
    other = lane.route(bench.core.delivery("sns", {"delivery_timeout": 4.0}))
    taken: list[tuple[list[Message], Split | None]] = []
    futures: list[Message] = []
    removed: list[Message] = []
    done: dict[str, list[int]] = defaultdict(list)  # delivered, in the order of the deliveries
    step = st.sampled_from(
        ["publish"] * 4
        + ["take", "take", "deliver", "again", "cut", "cancel", "expire", "evict", "pass"]
    )
    for turn, action in enumerate(data.draw(st.lists(step, max_size=40))):
        bench.clock.now += 1e-6
        if action == "publish":
            to = data.draw(st.sampled_from([route, other]))
            group = data.draw(st.sampled_from(GROUPS))
            futures.append(bench.publish(to, f"m{turn}", data.draw(st.integers(0, 9)), group=group))
        elif action == "take":
            batch, split = lane.take(bench.clock.now)
            if batch:
                taken.append((batch, split))
                Request(lane, batch, split, 1)  # knows the groups of all of them
        elif action in ("deliver", "again", "cut") and taken:
            batch, split = taken.pop(data.draw(st.integers(0, len(taken) - 1)))
            if action == "deliver":
                for message in batch:
                    done[message.entry.group].append(futures.index(message))
                bench.core.settler.settle(batch, [{}] * len(batch), "delivered")
                come_back(lane, batch, Remainder())
            elif action == "again" or len(batch) == 1:
                due = bench.clock.now + data.draw(st.floats(0, 3))
                come_back(lane, batch, Remainder(retries=[(message, due) for message in batch]))
            else:
                pieces, shared = cut([[each] for each in batch], split, "InvalidParameter")
                come_back(lane, batch, Remainder(pieces=pieces, split=shared))
        elif action == "cancel" and futures:
            data.draw(st.sampled_from(futures)).cancel()
        elif action == "expire":
            removed += lane.expire(bench.clock.now)
        elif action == "evict":
            evicted = lane.evict_oldest({})
            removed += [evicted] if evicted is not None else []
        elif action == "pass":
            bench.clock.now += data.draw(st.floats(0, 5))
        on_wire = [group for batch, _ in taken for group in groups_of(batch)]
        assert len(on_wire) == len(set(on_wire))
        waiting = [message for message in lane.waiting() if is_live(message)]
        carried = [message for batch, _ in taken for message in batch]
        everywhere = [*waiting, *carried, *(m for m in removed if is_live(m))]
        assert sorted(map(id, everywhere)) == sorted(id(m) for m in futures if is_live(m))
        assert lane.oldest() <= min((m.accepted for m in waiting), default=lane.oldest())
        assert lane.next_deadline() <= min((m.deadline for m in waiting), default=float("inf"))
    for order in done.values():
        assert order == sorted(order)
    # Left to itself it sends the rest, each group in its order.
    for batch, _ in taken:
        come_back(lane, batch, Remainder())
    rest: dict[str, list[int]] = defaultdict(list)
    for _ in range(len(futures) * 4):
        bench.clock.now += 5
        batch, _ = lane.take(bench.clock.now)
        for message in batch:
            rest[message.entry.group].append(futures.index(message))
        come_back(lane, batch, Remainder())
    for order in rest.values():
        assert order == sorted(order)
    gone = {id(message) for message in [*removed, *(m for batch, _ in taken for m in batch)]}
    left = [m for m in futures if is_live(m) and id(m) not in gone]
    assert sorted(i for order in rest.values() for i in order) == [
        i for i, m in enumerate(futures) if m in left
    ]
    assert not lane._groups
