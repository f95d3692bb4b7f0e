"""When a health view says 503 for what was lost: pure, with time as an argument."""

from __future__ import annotations

from typing import Any

import pytest

from publisher._account.recent import LONGEST, Recent
from publisher.contrib._health import Limits, limits, recent
from tests.hand import Bench, Wire


def test_seconds_are_kept_the_latest_first() -> None:
    kept = Recent()
    kept.note(10.1, 3, 0)
    kept.note(10.9, 1, 2)
    kept.note(12.0, 0, 5)
    kept.note(11.9, 1, 0)  # another thread was first
    assert list(kept.since(10.5)) == [(1, 5), (4, 2)]
    assert list(kept.since(11.0)) == [(1, 5)]
    assert list(kept.since(13.0)) == []


def test_they_are_bounded() -> None:
    kept = Recent()
    for second in range(10_000):
        kept.note(second, 1, 0)
    assert len(list(kept.since(0))) == LONGEST


@pytest.mark.parametrize(
    ("seconds", "alarming"),
    [
        ([], False),
        ([(0, 4)], False),  # too few
        ([(0, 5)], True),
        ([(5, 5)], True),
        ([(6, 5)], False),
        ([(0, 1), (0, 1), (0, 3)], True),
        ([(5, 0), (0, 100)], False),  # it delivers again
        ([(4, 0), (0, 100)], True),  # too few to say so
        ([(0, 5), (1_000, 0)], False),  # it has just begun, among many
    ],
)
def test_of_all_and_still_of_the_latest(seconds: list[tuple[int, int]], alarming: bool) -> None:
    assert recent(seconds, Limits()).alarming is alarming


def test_what_is_summed_up() -> None:
    late = recent([(1, 2), (3, 4)], Limits(share=None, window=5))
    assert (late.seconds, late.ended, late.lost, late.alarming) == (5, 10, 6, False)


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        (0.5, TypeError, "a dict with some of share, minimum, window, not float"),
        ({"shares": 1}, TypeError, "not one with shares"),
        ({"share": "half"}, TypeError, "share must be a number, not str"),
        ({"share": 0}, ValueError, "more than 0 and at most 1, not 0"),
        ({"share": 1.1}, ValueError, "more than 0 and at most 1"),
        ({"share": float("nan")}, ValueError, "more than 0 and at most 1"),
        ({"minimum": 0}, ValueError, "at least 1, not 0"),
        ({"minimum": 1.5}, TypeError, "minimum must be a whole number, not float"),
        ({"minimum": True}, TypeError, "minimum must be a whole number, not bool"),
        ({"window": 301}, ValueError, "from 1 to 300 seconds, not 301"),
        ({"window": 0.5}, ValueError, "from 1 to 300 seconds"),
    ],
)
def test_bad_limits(given: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        limits(given)


def test_good_limits() -> None:
    assert limits({}) == Limits()
    assert limits({"share": None, "window": 10.5}) == Limits(None, 5, 10.5)


def test_cancelled_messages_are_no_losses() -> None:
    bench = Bench(linger=5, max_workers=1)
    route = bench.route(Wire())
    assert bench.publish(route, "cancelled").cancel()
    bench.publish(route, "delivered")
    bench.core.flush(None)
    assert bench.core.recent(60) == [(1, 0)]
    bench.clock.now += 61
    assert bench.core.recent(60) == []
