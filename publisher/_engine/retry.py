"""Whether and when to try again: a tenacity policy asked as a pure function.

tenacity's own loop sleeps in place and keeps its state per thread. Its ``stop``, ``wait`` and
``retry`` are plain callables of a ``RetryCallState``, and asked that way they cost no thread: the
answer is a delay, and the scheduler sees to it. They are asked once per (attempt number, error
code) of a failed batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from .._callables import runs_nothing

if TYPE_CHECKING:
    import tenacity

#: A policy without a wait (tenacity's default) would retry in a busy loop.
MIN_DELAY = 0.01

#: No service is left alone for longer than this, whatever it asks for; seconds.
MAX_PAUSE = 20.0

_LOOP_ONLY = ("before", "after", "before_sleep", "retry_error_callback")


def retry_policy(*, stop: Any = None, wait: Any = None, retry: Any = None) -> tenacity.Retrying:
    """A retry policy with our defaults where nothing is given.

    Args:
        stop: a tenacity stop; default: never, ``delivery_timeout`` ends the message.
        wait: a tenacity wait; default: exponential from 0.1 s to 5 s, with full jitter above 0.1 s.
        retry: a tenacity retry condition on the exception; default: whatever the service's table
            does not call final.

    Errors that are final for the service (access, validation, a fault of the sender) are never
    retried, whatever ``retry`` says.
    """
    import tenacity

    return tenacity.Retrying(
        stop=tenacity.stop_never if stop is None else stop,
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5, min=0.1)
        if wait is None
        else wait,
        retry=tenacity.retry_if_exception_type(Exception) if retry is None else retry,
    )


def check_policy(policy: Any) -> None:
    """Raise for what is not a policy, or asks for what only tenacity's own loop does.

    Raises:
        TypeError: not a ``tenacity.Retrying``, or a part of it is an ``async def``.
        ValueError: it has a callback or a sleep of its own.
    """
    import tenacity

    if not isinstance(policy, tenacity.Retrying):
        raise TypeError(
            "retry must be a tenacity.Retrying (publisher.retry_policy() makes one), not"
            f" {type(policy).__name__}"
        )
    for name in ("stop", "wait", "retry"):
        if made := runs_nothing(getattr(policy, name)):
            raise TypeError(
                f"retry: its {name} only makes {made}, and nothing here awaits it: make it a plain"
                " function"
            )
    plain = tenacity.Retrying()
    for name in _LOOP_ONLY:
        if getattr(policy, name) is not getattr(plain, name):
            raise ValueError(
                f"retry has a {name}: nothing here runs tenacity's loop; use hooks= to be told of"
                " retries"
            )
    if policy.sleep is not plain.sleep:
        raise ValueError(
            "retry has a sleep of its own: no thread sleeps in a backoff here; set wait= instead"
        )


class Policy:
    """A tenacity policy, asked for a delay.

    The default one is made at the first failure, not before.
    """

    __slots__ = ("_retrying",)

    def __init__(self, retrying: tenacity.Retrying | None = None) -> None:
        self._retrying = retrying

    def delay(self, tries: int, error: BaseException, elapsed: float) -> float | None:
        """Seconds until the next try, at least 0.01, or None to give up.

        Args:
            tries: tries so far, at least 1.
            error: what the last one met.
            elapsed: seconds since the message was accepted.

        Raises:
            Exception: whatever a callable of the user's policy raises; the caller contains it.
        """
        import tenacity

        retrying = self._retrying
        if retrying is None:
            retrying = self._retrying = retry_policy()
        state = tenacity.RetryCallState(retrying, None, (), {})
        state.attempt_number = tries
        state.set_exception((type(error), error, None))
        if state.outcome_timestamp is not None:
            state.start_time = state.outcome_timestamp - elapsed
        if not retrying.retry(state):
            return None
        wait = float(retrying.wait(state) or 0.0)
        state.upcoming_sleep = wait  # what stop_before_delay reads
        if retrying.stop(state):
            return None
        return max(MIN_DELAY, wait)  # in this order: what is not a number is a minimal wait too


def wanted_pause(metadata: Mapping[str, Any]) -> float:
    """For how many seconds an answer wants its sender to stay away, at most 20.

    0 if it says nothing. ``x-amz-retry-after`` is AWS's own header, in milliseconds (botocore's
    standard retries read it); ``Retry-After`` is HTTP's (RFC 9110, 10.2.3), seconds or a date,
    which is compared with the answer's own.

    Args:
        metadata: boto3's ``ResponseMetadata``.
    """
    headers = metadata.get("HTTPHeaders") or {}
    pause = _number(headers.get("x-amz-retry-after")) / 1000
    if not pause and (said := headers.get("retry-after")):
        pause = _number(said) or _seconds_between(headers.get("date"), said)
    return min(max(pause, 0.0), MAX_PAUSE)


def _number(text: object) -> float:
    # At most nine digits: more is nonsense, and costs time.
    text = str(text or "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _seconds_between(date: object, later: object) -> float:
    try:
        return (
            parsedate_to_datetime(str(later)) - parsedate_to_datetime(str(date))
        ).total_seconds()
    except (ValueError, TypeError):  # no date, or one with a time zone and one without
        return 0.0
