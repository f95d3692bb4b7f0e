"""The soak, in short; `make soak` runs it in full."""

from __future__ import annotations

from tests import soak


def test_a_short_soak() -> None:
    report = soak.run(seconds=12, messages=16_000)
    assert not report.check(), report
    assert report.ledger.retries, report
