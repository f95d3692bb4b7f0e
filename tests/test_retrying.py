"""The retry policy, asked as a pure function."""

from __future__ import annotations

import math
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

import publisher
from publisher._engine.retry import MIN_DELAY, Policy, check_policy

pytestmark = pytest.mark.every_python(
    "the policy is tenacity's, whose oldest release is among those run with"
)

ERROR = ConnectionError("no")


@given(tries=st.integers(1, 1000), elapsed=st.floats(0, 120))
def test_by_default_it_waits_between_a_tenth_of_a_second_and_five_and_never_gives_up(
    tries: int, elapsed: float
) -> None:
    delay = Policy().delay(tries, ERROR, elapsed)
    assert delay is not None
    assert 0.1 <= delay <= min(5, max(0.1, 0.2 * 2 ** (tries - 1)))


def test_by_default_waits_differ() -> None:
    assert len({Policy().delay(10, ERROR, 1) for _ in range(20)}) > 15


@given(st.integers(1, 20), st.integers(1, 20))
def test_stop_after_attempt_counts_tries(limit: int, tries: int) -> None:
    policy = Policy(publisher.retry_policy(stop=tenacity.stop_after_attempt(limit)))
    assert (policy.delay(tries, ERROR, 0) is None) is (tries >= limit)


@given(st.floats(0, 100), st.floats(0.001, 100))
def test_stop_after_delay_counts_from_acceptance(elapsed: float, limit: float) -> None:
    policy = Policy(publisher.retry_policy(stop=tenacity.stop_after_delay(limit)))
    if not math.isclose(elapsed, limit, abs_tol=1e-3):
        assert (policy.delay(1, ERROR, elapsed) is None) is (elapsed >= limit)


def test_stop_before_delay_knows_the_wait() -> None:
    policy = Policy(
        publisher.retry_policy(stop=tenacity.stop_before_delay(10), wait=tenacity.wait_fixed(4))
    )
    assert policy.delay(1, ERROR, 5) == 4
    assert policy.delay(1, ERROR, 7) is None


def test_the_condition_sees_the_exception() -> None:
    policy = Policy(publisher.retry_policy(retry=tenacity.retry_if_exception_type(ConnectionError)))
    assert policy.delay(1, ERROR, 0) is not None
    assert policy.delay(1, ValueError(), 0) is None


@pytest.mark.parametrize("wait", [0, -1, 0.001, math.nan, None])
def test_the_wait_has_a_floor(wait: Any) -> None:
    assert Policy(publisher.retry_policy(wait=lambda state: wait)).delay(1, ERROR, 0) == MIN_DELAY


def test_a_plain_tenacity_policy_is_taken_at_its_word() -> None:
    policy = Policy(tenacity.Retrying(stop=tenacity.stop_after_attempt(2)))
    assert policy.delay(1, ERROR, 0) == MIN_DELAY
    assert policy.delay(2, ERROR, 0) is None


def test_what_a_policy_raises_comes_through() -> None:
    def broken(state: Any) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Policy(publisher.retry_policy(wait=broken)).delay(1, ERROR, 0)


def test_it_keeps_no_state_from_one_question_to_the_next() -> None:
    policy = Policy(publisher.retry_policy(wait=tenacity.wait_exponential(multiplier=1, max=64)))
    assert [policy.delay(tries, ERROR, 0) for tries in (3, 1, 2, 3)] == [4, 1, 2, 4]


@pytest.mark.parametrize("policy", [3, "often", tenacity.stop_never, tenacity.AsyncRetrying()])
def test_what_is_no_policy_is_refused(policy: Any) -> None:
    with pytest.raises(TypeError, match=r"publisher\.retry_policy\(\)"):
        check_policy(policy)


@pytest.mark.parametrize(
    "name", ["before", "after", "before_sleep", "retry_error_callback", "sleep"]
)
def test_what_only_tenacitys_loop_does_is_refused(name: str) -> None:
    policy = tenacity.Retrying(**{name: lambda *_: None})
    with pytest.raises(ValueError, match=name):
        check_policy(policy)
    with pytest.raises(ValueError, match=name):
        publisher.Publisher(retry=policy)


def test_a_policy_of_ours_passes() -> None:
    check_policy(publisher.retry_policy())
    check_policy(tenacity.Retrying(wait=tenacity.wait_fixed(1)))
