"""What version 0.1 pickled loads, with the values that it had."""

from __future__ import annotations

import base64
import pickle

import pytest

import publisher
import publisher.testing

pytestmark = pytest.mark.every_python("what one Python has pickled another one loads")

#: An attempt, a ledger, stats, four errors and an event, at the paths that they had in 0.1.
PICKLED = """
gASVVgMAAAAAAABdlCiMEnB1Ymxpc2hlci5fbWVzc2FnZZSMB0F0dGVtcHSUk5QpgZRdlChHP/AAAAAAAABHP+AAAAAA
AABHP9AAAAAAAACMCVRocm90dGxlZJSMCXNsb3cgZG93bpSMA3ItMZSJiU5lYowQcHVibGlzaGVyLl9zdGF0c5SMBkxl
ZGdlcpSTlCmBlF2UKEsDSwNLAEsASwBLAH2UKIwLYnVmZmVyX2Z1bGyUSwCMB2V4cGlyZWSUSwCMBmNsb3NlZJRLAHVL
AEsASwBLAEcAAAAAAAAAAChLAEsASwBLAEsASwBLAEsASwBLAEsASwBLAEsASwBLAEsASwBLAHSURwAAAAAAAAAAfZR9
lH2UZWJoCYwFU3RhdHOUk5QpgZRdlChoCymBlF2UKEsDSwBLAEsASwBLAH2UKGgPSwBoEEsAaBFLAHVLAEsASwBLAEcA
AAAAAAAAAGgSRwAAAAAAAAAAfZR9lH2UZWJ9lIwUc25zOmV1LXdlc3QtMTpvcmRlcnOUaAspgZRdlChLA0sASwBLAEsA
SwB9lChoD0sAaBBLAGgRSwB1SwBLAEsASwBHAAAAAAAAAABoEkcAAAAAAAAAAH2UfZR9lGVic2VijBBwdWJsaXNoZXIu
ZXJyb3JzlIwKQnVmZmVyRnVsbJSTlIwEZnVsbJSFlFKUjAlmdW5jdG9vbHOUjAdwYXJ0aWFslJOUaCiMD0RlbGl2ZXJ5
VGltZW91dJSTlIWUUpQoaDIpfZQojA9vdXRjb21lX3Vua25vd26UiIwJbGFzdF9jb2RllGgGjAVjYXVzZZROdU50lGKM
BGxhdGWUhZRSlGgwaCiMD1B1Ymxpc2hlckNsb3NlZJSTlIWUUpQoaD4pfZQoaDaJaDdOaDhOdU50lGJoEYWUUpSME2Jv
dG9jb3JlLmV4Y2VwdGlvbnOUjBtfZXhjZXB0aW9uX2Zyb21fcGFja2VkX2FyZ3OUk5RoKIwOSW52YWxpZE1lc3NhZ2WU
k5ROfZSMBnJlcG9ydJSMCXRvbyBsYXJnZZRzh5RSlGgBjAVFdmVudJSTlCmBlF2UKIwDc25zlIwHcHVibGlzaJRoIX2U
jAdNZXNzYWdllIwEcGFpZJRzSwRoBIWUTk5LAU5OTn2UZWJlLg==
"""


def test_what_an_older_version_pickled_loads() -> None:
    attempt, ledger, stats, *errors, event = pickle.loads(base64.b64decode(PICKLED))
    assert attempt == publisher.Attempt(
        started=1.0,
        delay=0.5,
        duration=0.25,
        error_code="Throttled",
        error_message="slow down",
        request_id="r-1",
    )
    assert ledger == publisher.Ledger(accepted=3, delivered=3)
    assert (ledger.spooled, ledger.replayed, stats.spool) == (0, 0, None)
    assert stats.destinations["sns:eu-west-1:orders"].accepted == 3
    assert event.params == {"Message": "paid"}
    assert event.attempts == (attempt,)
    assert event.error_code is None
    assert repr(event)
    full, late, closed, invalid = errors
    assert isinstance(full, publisher.BufferFull)
    assert isinstance(late, publisher.DeliveryTimeout)
    assert late.outcome_unknown
    assert late.last_code == "Throttled"
    assert isinstance(closed, publisher.PublisherClosed)
    assert isinstance(invalid, publisher.InvalidMessage)
    assert str(invalid).endswith("too large")


def test_the_error_of_an_ended_mock_is_where_it_was() -> None:
    made = pickle.loads(b"cpublisher.testing._moto\nMockEnded\n(tR.")
    assert type(made) is publisher.testing.MockEnded


def test_what_is_pickled_now_loads() -> None:
    event = publisher.Event(service="sns", operation="publish", destination="d", error_code="c")
    assert pickle.loads(pickle.dumps(event)) == event
    stats = publisher.Stats(
        publisher.Ledger(accepted=1, spooled=1), {}, publisher.SpoolStats(waiting=1, skipped=2)
    )
    assert pickle.loads(pickle.dumps(stats)) == stats
