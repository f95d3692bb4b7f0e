"""The account: every look at it balances."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher import LATENCY_BOUNDS, Ledger, SpoolStats, Stats
from publisher._account.ledger import MAX_CODES, MAX_DESTINATIONS, REASONS, Account, Counters
from publisher._account.losses import lost, lost_text

counts = st.integers(0, 10_000)


def counters(**values: Any) -> Counters:
    made = Counters(lambda: "sns:here:topic")
    for name, value in values.items():
        setattr(made, name, value)
    return made


def balances(ledger: Ledger) -> bool:
    ends = ledger.delivered + ledger.failed + ledger.dropped + ledger.cancelled + ledger.spooled
    return ledger.accepted == ends + ledger.outstanding


@given(counts, counts, counts, counts, counts, st.lists(counts, min_size=3, max_size=3))
def test_what_is_not_resolved_is_outstanding(
    delivered: int, failed: int, cancelled: int, spooled: int, left: int, dropped: list[int]
) -> None:
    accepted = delivered + failed + cancelled + spooled + left + sum(dropped)
    ledger = counters(
        accepted=accepted,
        delivered=delivered,
        failed=failed,
        cancelled=cancelled,
        spooled=spooled,
        dropped=dict(zip(REASONS, dropped, strict=True)),
    ).ledger(1.5)
    assert balances(ledger)
    assert ledger.outstanding == left
    assert ledger.spooled == spooled
    assert lost(ledger) == failed + sum(dropped)
    assert ledger.dropped == sum(ledger.dropped_by_reason.values())
    assert ledger.oldest_age == 1.5


ledgers = st.builds(
    Ledger,
    accepted=counts,
    delivered=counts,
    outstanding=counts,
    spooled=counts,
    replayed=counts,
    dropped_by_reason=st.fixed_dictionaries(dict.fromkeys(REASONS, counts)),
    oldest_age=st.floats(0, 100),
    latency=st.lists(counts, min_size=19, max_size=19).map(tuple),
    failed_by_code=st.dictionaries(st.sampled_from("abc"), counts),
)


@given(ledgers, ledgers, ledgers)
def test_ledgers_add_up(one: Ledger, two: Ledger, three: Ledger) -> None:
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    total = one + two
    assert total.accepted == one.accepted + two.accepted
    assert total.spooled == one.spooled + two.spooled
    assert total.replayed == one.replayed + two.replayed
    assert total.oldest_age == max(one.oldest_age, two.oldest_age)
    for reason in REASONS:
        expected = one.dropped_by_reason[reason] + two.dropped_by_reason[reason]
        assert total.dropped_by_reason[reason] == expected
    assert sum(total.latency) == sum(one.latency) + sum(two.latency)
    assert sum(total.failed_by_code.values()) == sum(
        [*one.failed_by_code.values(), *two.failed_by_code.values()]
    )
    assert one + Ledger() == one


@given(
    now=st.floats(0, 1e6, allow_nan=False),
    ages=st.lists(st.floats(0, 1e4), min_size=1, max_size=30),
)
def test_latencies_fall_into_their_buckets(now: float, ages: list[float]) -> None:
    made = counters()
    accepted = [now - age for age in ages]
    made.latency, made.latency_sum = made.with_latency(now, accepted, len(accepted))
    expected = [0] * (len(LATENCY_BOUNDS) + 1)
    for since in accepted:
        age = now - since
        expected[sum(bound < age for bound in LATENCY_BOUNDS)] += 1
    assert made.latency == expected


def test_bounds_double_from_a_millisecond() -> None:
    assert LATENCY_BOUNDS[0] == 0.001
    assert len(LATENCY_BOUNDS) == 18
    assert all(b == 2 * a for a, b in pairwise(LATENCY_BOUNDS))


class TestTheAccount:
    def test_destinations_of_one_name_are_counted_together(self) -> None:
        account = Account()
        region = ""
        for identity in ("one", "two"):
            found = account.counters(identity, lambda: f"sns:{region}:topic")
            found.accepted += 2
            found.delivered += 1
        assert account.counters("one", lambda: "never asked") is account.counters("one", str)
        region = "eu-west-1"  # known once the client is made
        stats = account.stats({found: 3.0})
        assert list(stats.destinations) == ["sns:eu-west-1:topic"]
        assert stats.total.accepted == 4
        assert stats.total.outstanding == 2
        assert stats.total.oldest_age == 3.0

    def test_beyond_a_thousand_destinations_the_rest_is_other(self) -> None:
        account = Account()
        for index in range(MAX_DESTINATIONS + 50):
            account.counters(str(index), lambda index=index: f"sns::{index}").accepted += 1
        stats = account.stats({})
        assert len(stats.destinations) == MAX_DESTINATIONS + 1
        assert stats.destinations["other"].accepted == 50
        assert stats.total.accepted == MAX_DESTINATIONS + 50

    def test_every_look_balances_while_others_count(self) -> None:
        account = Account()
        found = account.counters("x", lambda: "sns::x")
        stop = threading.Event()

        def count() -> None:
            while not stop.is_set():
                found.accepted += 1
                found.accepted_bytes += 3
                with account.lock:
                    found.delivered += 1
                    found.resolved_bytes += 3

        thread = threading.Thread(target=count, daemon=True)
        thread.start()
        try:
            for _ in range(2_000):
                total = account.stats({}).total
                assert balances(total)
                assert total.outstanding >= 0
                assert total.outstanding_bytes >= 0
        finally:
            stop.set()
            thread.join(20)


def test_codes_that_a_service_makes_up_do_not_grow_without_bound() -> None:
    made = counters()
    for index in range(500):
        made.note_failed({f"Code{index}": 1})
    made.note_failed({"line\nbreak" * 50: 2})
    assert len(made.failed_by_code) == MAX_CODES + 1
    assert made.failed_by_code["other"] == 500 - MAX_CODES + 2
    made.note_errors({"Throttling": 4}, {"shardId-0": 3})
    ledger = made.ledger(0.0)
    assert ledger.errors_by_code == {"Throttling": 4}
    assert ledger.errors_by_shard == {"shardId-0": 3}


def test_a_look_does_not_change_afterwards() -> None:
    made = counters()
    ledger = made.ledger(0.0)
    made.dropped["closed"] += 1
    made.latency[0] += 1
    made.note_failed({"a": 1})
    assert ledger == Ledger()


def test_people_can_read_it() -> None:
    ledger = Ledger(accepted=1_200, delivered=1_100, failed=100)
    assert "accepted 1,200 = delivered 1,100 + failed 100" in str(ledger)
    text = str(Stats(ledger, {"sns:here:topic": ledger}))
    assert "sns:here:topic" in text
    assert "total" in text


def test_what_is_on_disk_is_shown_where_there_is_such() -> None:
    plain = Ledger(accepted=2, delivered=2)
    for shown in (str(plain), str(Stats(plain, {})), Stats(plain, {})._repr_html_()):
        assert "spooled" not in shown
        assert "replayed" not in shown
        assert "spool:" not in shown
    ledger = Ledger(accepted=1_204, delivered=1_200, spooled=3, outstanding=1, replayed=2_000)
    assert " + spooled 3 + outstanding 1 (" in str(ledger)
    assert ", 2,000 replayed)" in str(ledger)
    spool = SpoolStats(waiting=3, bytes=2048, oldest_age=5.0, orphans=1, skipped=2)
    stats = Stats(plain + ledger, {"sns::one": plain, "sns::two": ledger}, spool)
    for shown in (str(stats), stats._repr_html_()):
        assert "spooled" in shown
        assert "2,000" in shown
        assert "spool: 3 waiting, 2.0 KiB, oldest 5.0 s, orphans 1, skipped 2" in shown
        assert "unwritten" not in shown
    assert "spool: 0 waiting, 0 B" in str(Stats(plain, {}, SpoolStats()))


def test_what_stays_on_disk_is_not_lost() -> None:
    assert lost_text(Ledger(accepted=5, spooled=5)) == ""


@pytest.mark.parametrize("html", ["<script>", "a&b"])
def test_a_notebook_shows_names_as_text(html: str) -> None:
    shown = Stats(Ledger(), {html: Ledger()})._repr_html_()
    assert html not in shown


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_it_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    one = Ledger(accepted=1_234_567, failed=9, failed_by_code={f"Code{n}": n for n in range(1, 9)})
    names = [f"kinesis:eu-west-1:clicks-of-{n}" for n in range(7)] + ["sns:eu-west-1:" + "x" * 200]
    text = str(Stats(one, dict.fromkeys(names, one)))
    table = text.split(f"{names[0]}: failed", maxsplit=1)[0].splitlines()
    assert max(map(len, table)) <= columns or columns == 200
    assert text.count("1,234,567") >= len(names) + 1  # each destination's, and the total
    for name in names[:-1]:
        assert name in text
    assert all(len(line) <= columns or " " not in line.strip() for line in text.splitlines()[-3:])


def test_a_wide_terminal_has_a_line_for_each_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = str(Stats(Ledger(), {"sns:here:topic": Ledger()})).splitlines()
    assert [line.split()[0] for line in lines] == ["destination", "sns:here:topic", "total"]
    monkeypatch.setenv("COLUMNS", "80")
    narrow = str(Stats(Ledger(), {"sns:here:topic": Ledger()})).splitlines()
    assert [line.split()[0] for line in narrow][:3] == ["destination", "accepted", "delivered"]
