"""Several messages in one entry of a request: what became of the entry became of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from publisher._engine.contract import EntryError, Limits
from publisher._engine.packing import Packed, pack

from .hand import Bench, Entry, Reply, Wire, delivered


def by_group(entries: Sequence[Entry]) -> list[tuple[Entry, list[int]]]:
    """One entry for each group, of the names in it; what has no group travels as it is."""
    places: dict[Any, list[int]] = {}
    for place, entry in enumerate(entries):
        places.setdefault(entry.group or place, []).append(place)
    return [
        (
            Entry(
                "+".join(entries[place].name for place in some),
                sum(entries[place].size for place in some) + 2,
                poison=any(entries[place].poison for place in some),
            ),
            some,
        )
        for some in places.values()
    ]


class Packs(Wire):
    """A destination whose messages are packed by their groups."""

    packer = staticmethod(by_group)

    def __init__(self, reply: Reply = delivered) -> None:
        super().__init__(limits=Limits(8, 100))
        self.reply = reply

    @property
    def sent(self) -> list[list[str]]:
        return [[entry.name for entry in request.entries] for request in self.requests]


NAMES = [("a", "x"), ("b", "y"), ("c", "x"), ("d", ""), ("e", "y")]


def publish(bench: Bench, wire: Wire) -> list[Any]:
    route = bench.route(wire)
    return [bench.publish(route, name, group=group) for name, group in NAMES]


def test_each_message_has_what_its_entry_met() -> None:
    bench, wire = Bench(), Packs()
    futures = publish(bench, wire)
    bench.hand.settle()
    assert wire.sent == [["a+c", "b+e", "d"]]
    assert [future.result(0)["MessageId"] for future in futures] == [
        "a+c",
        "b+e",
        "a+c",
        "d",
        "b+e",
    ]
    assert bench.core.stats().total.bytes_sent == 5 + 3 * 2
    bench.assert_at_rest()


def test_only_the_messages_of_a_failed_entry_go_again() -> None:
    def reply(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
        if len(wire.requests) > 1:
            return delivered(wire, entries)
        return [
            EntryError("InternalFailure", "no") if "+" in entry.name else {"MessageId": entry.name}
            for entry in entries
        ]

    bench, wire = Bench(), Packs(reply)
    futures = publish(bench, wire)
    bench.hand.settle()
    assert wire.sent == [["a+c", "b+e", "d"], ["a+c", "b+e"]]
    assert [len(future.attempts) for future in futures] == [2, 2, 2, 1, 2]
    total = bench.core.stats().total
    assert (total.delivered, total.retries, total.requests) == (5, 4, 2)
    bench.assert_at_rest()


def test_what_was_cancelled_before_is_not_packed() -> None:
    bench, wire = Bench(max_workers=1), Packs()
    futures = publish(bench, wire)
    assert futures[2].cancel()
    bench.hand.settle()
    assert wire.sent == [["a", "b+e", "d"]]
    bench.assert_at_rest()


def test_a_rejected_request_is_cut_between_entries_and_then_inside_one() -> None:
    def reply(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
        if any(entry.poison for entry in entries):
            raise ClientError({"Error": {"Code": "InvalidParameter"}}, "PublishBatch")
        return delivered(wire, entries)

    bench, wire = Bench(max_workers=1), Packs(reply)
    route = bench.route(wire)
    futures = [
        bench.publish(route, name, group=group, poison=name == "c")
        for name, group in [("a", "x"), ("b", "y"), ("c", "x"), ("d", "z"), ("e", "y"), ("f", "x")]
    ]
    bench.hand.settle()
    assert wire.sent[0] == ["a+c+f", "b+e", "d"]
    assert wire.sent[1:4] == [["a+c+f"], ["b+e"], ["d"]]  # between entries,
    # and then inside the one to blame
    assert sorted(wire.sent[4:]) == [["a"], ["a+c"], ["c"], ["f"]]
    errors = [future.exception(0) for future in futures]
    assert [error is not None for error in errors] == [False, False, True, False, False, False]
    bench.assert_at_rest()


def test_the_entries_of_a_whole_batch_are_packed_too() -> None:
    def reply(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
        if len(wire.requests) > 1:
            return delivered(wire, entries)
        return [EntryError("InternalFailure", "no"), *delivered(wire, entries[1:])]

    for answer in (delivered, reply):
        bench, wire = Bench(), Packs(answer)
        entries = [Entry(str(number), group="ox"[number % 2]) for number in range(8)]
        batch = bench.core.accept_batch(
            [(bench.route(wire), 8)],
            entries,
            [1] * 8,
            lambda batch: [e.result(0) for e in batch.entries],
        )
        bench.hand.settle()
        assert wire.sent == [["0+2+4+6", "1+3+5+7"], ["0+2+4+6"]][: len(wire.sent)]
        assert batch.done()
        assert len(wire.sent) == (1 if answer is delivered else 2)
        bench.assert_at_rest()


def test_a_packer_that_loses_a_message_loses_none() -> None:
    bench, wire = Bench(), Packs()
    wire.packer = staticmethod(lambda entries: [(entries[0], [0])])  # type: ignore[assignment]
    futures = publish(bench, wire)
    bench.hand.settle()
    assert not wire.requests
    assert all(future.exception(0) is not None for future in futures)
    bench.assert_at_rest()


@given(st.lists(st.integers(0, 4), min_size=1))
def test_outcomes_and_messages_keep_their_places(groups: list[int]) -> None:
    entries = [Entry(str(place), group=str(group)) for place, group in enumerate(groups)]
    packed = pack(by_group, entries)
    outcomes = [entry.name for entry in packed.entries]
    for place, outcome in enumerate(packed.each(outcomes)):
        assert str(place) in outcome.split("+")
    found = [place for unit in packed.units(range(len(groups))) for place in unit]
    assert sorted(found) == list(range(len(groups)))


def test_as_many_outcomes_as_entries() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Packed(["a", "b"], [[0], [1]]).each(["only one"])
