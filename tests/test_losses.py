"""A lost message is never silent, and a thousand of them are one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from publisher import BufferFull, Ledger
from publisher._account.events import Failure
from publisher._account.ledger import Counters
from publisher._account.losses import INTERVAL, Limiter, Losses, code_of, lost_text

from .hand import Clock, Wire

pytestmark = pytest.mark.every_python(
    "how logging locks, and guards against recursion, differs by version"
)

COUNTERS = Counters(lambda: "x")


class Lines(logging.Handler):
    """What was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    handler = Lines()
    logging.getLogger("publisher").addHandler(handler)
    yield handler.records
    logging.getLogger("publisher").removeHandler(handler)


def note(losses: Losses, code: str = "Throttling", count: int = 1, topic: str = "t") -> None:
    losses.note((Wire(topic), COUNTERS, "failed", {code: count}))


def test_one_line_per_destination_and_code_and_interval(lines: list[Any]) -> None:
    clock = Clock()
    losses = Losses(clock, "")
    for _ in range(100):
        note(losses)
    note(losses, topic="other")
    note(losses, code="InternalFailure", count=7)
    assert len(lines) == 3
    assert [line.messages for line in lines] == [1, 1, 7]
    clock.now += INTERVAL
    note(losses, count=2)
    assert "(suppressed 99)" in lines[-1].getMessage()
    assert "2 messages to sns:test-region:t failed: Throttling" in lines[-1].getMessage()
    assert lines[-1].destination == "sns:test-region:t"
    assert lines[-1].error_code == "Throttling"
    clock.now += INTERVAL
    note(losses)
    assert "(suppressed 0)" in lines[-1].getMessage()


def test_a_handler_that_loses_a_message_in_turn_does_not_recurse(lines: list[Any]) -> None:
    losses = Losses(Clock(), "")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            note(losses, code=f"Code{len(lines)}")

    handler = Handler()
    logging.getLogger("publisher").addHandler(handler)
    try:
        note(losses)
    finally:
        logging.getLogger("publisher").removeHandler(handler)
    assert len(lines) == 1


def test_a_handler_that_raises_does_not_silence_the_next_line(lines: list[Any]) -> None:
    losses = Losses(Clock(), "")

    class Raising(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise ZeroDivisionError

    raising = Raising()
    logger = logging.getLogger("publisher")
    logger.addFilter(raising)
    try:
        with pytest.raises(ZeroDivisionError):
            note(losses)
    finally:
        logger.removeFilter(raising)
    note(losses, topic="other")
    assert len(lines) == 1


def test_silence(lines: list[Any]) -> None:
    losses = Losses(Clock(), "")
    losses.silence()
    note(losses)
    assert not lines


def test_the_limiter_takes_too_many_keys_for_one_and_forgets_rather_than_grows() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    written = [limiter.suppressed(index, 1) for index in range(10_000)]
    assert written == [0] * 1_001 + [None] * 8_999
    assert len(limiter._quiet_until) == 1_001
    clock.now += INTERVAL
    assert limiter.suppressed(9_999, 1) == 0
    assert len(limiter._quiet_until) == 1
    assert limiter.suppressed(9_999, 1) is None


def test_codes() -> None:
    failure = Failure("Throttling", "slow")
    assert code_of((None, None, failure)) == "Throttling"
    assert code_of(BufferFull("full")) == "BufferFull"
    assert code_of((lambda text, _: BufferFull(text), "full", None)) == "BufferFull"


def test_the_last_words_are_said_once(lines: list[Any]) -> None:
    losses = Losses(Clock(), "")
    losses.last_words(Ledger(accepted=5, delivered=5))
    assert not lines
    total = Ledger(accepted=5, failed=2, failed_by_code={"Throttling": 2})
    losses.last_words(total)
    losses.last_words(total)
    assert [line.getMessage() for line in lines] == [lost_text(total)]
    assert "2 of 5 messages were lost: 2 failed with Throttling" in lost_text(total)
