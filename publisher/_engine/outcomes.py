"""What became of a request's messages: delivered, failed, or to be sent again, and when.

Each message keeps the history of its tries. The policy is asked for a delay, and rules of our own
bound what it may say.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from typing import Any

from .._account.events import Attempt, Failure
from .contract import Target
from .ends import build_error, build_exhausted, build_staying, build_timeout, late_text
from .message import Message
from .request import Request
from .split import Remainder
from .state import is_live

logger = logging.getLogger("publisher")

#: A signature or token that was good at another time is replaced so often, at once.
_SIGNED_ANEW = 2
#: What code of this process raises is tried so often, so many seconds apart at most: it may be a
#: passing state of that code, and nobody is to wait for it as for a network.
_LOCAL_TRIES = 3
_LOCAL_DELAY = 0.5
#: Whoever says no to credentials is asked again for so long, seconds: they may just be renewed.
_NO_CREDENTIALS_FOR = 10.0


@dataclass(slots=True)
class Report:
    """What became of a request's messages.

    Attributes:
        request: it.
        histories: of its messages; they have this try in them.
        delivered: with ``values`` for their futures, in step.
        failed: the messages that will not be sent again, each with the value of its future.
        staying: those of them that stay in the store.
        retried: the messages that will, each with the delay and the failure.
        remainder: what goes back to the lane.
        now: when it came back, on the scheduler's clock.
        duration: seconds the request took.
        size: bytes of the entries that went out.
        count: how many messages went out.
        whole: they went out as they are, none packed with others: ``size`` is theirs.
        sent_as: boto3's method name of the operation that went out; empty where nothing did.
        answered: a service said something, whatever it was.
    """

    request: Request
    histories: Histories
    delivered: list[Message] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    failed: list[tuple[Message, Any]] = field(default_factory=list)
    staying: list[tuple[Message, Any]] = field(default_factory=list)
    retried: list[tuple[Message, float, Failure]] = field(default_factory=list)
    remainder: Remainder = field(default_factory=Remainder)
    now: float = 0.0
    duration: float = 0.0
    size: int = 0
    count: int = 0
    whole: bool = True
    sent_as: str = ""
    answered: bool = False


class Histories:
    """Adds one attempt to many messages.

    Those with the same past share the same tuple of attempts.

    Args:
        started: when the request went out, seconds since the epoch.
    """

    def __init__(self, started: float = 0.0) -> None:
        self._started = started
        self.duration = 0.0  # seconds the request took
        # Each with what its key has the identity of: while that lives nothing else has it.
        self._made: dict[Any, tuple[Any, tuple[Attempt, ...]]] = {}

    def add(
        self,
        message: Message,
        failure: Failure | None,
        request_id: str | None,
        *,
        split: bool = False,
    ) -> None:
        """The try that has just ended."""
        past = message.history
        same = (id(past), id(failure))
        if same not in self._made:
            code, text, unknown = (
                (None, None, False)
                if failure is None
                else (failure.code, failure.text, failure.unknown)
            )
            attempt = Attempt(
                self._started,
                past[-1].backoff if past else 0.0,
                self.duration,
                code,
                text,
                request_id,
                split,
                unknown,
                failure,
            )
            self._made[same] = (past, failure), (*past, attempt)
        message.history = self._made[same][1]

    def wait(self, message: Message, backoff: float) -> None:
        """After that it waits for so many seconds."""
        history = message.history
        same = (id(history), backoff)
        if same not in self._made:
            *past, last = history
            self._made[same] = history, (*past, replace(last, backoff=backoff))
        message.history = self._made[same][1]


def note_split(report: Report, messages: list[Message], failure: Failure) -> None:
    """The messages go again at once, in other company; that is no try that a policy counts."""
    for message in messages:
        report.histories.add(message, failure, failure.request_id, split=True)


def decide(report: Report, failures: list[tuple[Message, Failure]]) -> None:
    """Again later, or the end: the policy is asked once per (attempt number, error code)."""
    request, now = report.request, report.now
    target: Target = request.lane.target
    ordered = request.groups is not None
    window = target.service.deduplication_window
    delays: dict[tuple[int, str], float | None] = {}
    for message, failure in failures:
        if not is_live(message):  # given up meanwhile: its history has ended with it
            continue
        report.histories.add(message, failure, failure.request_id)
        if failure.final or _is_at_its_end(message, failure):
            report.failed.append((message, (build_error, target, failure)))
            continue
        tries = message.tries
        same = (tries, failure.code)
        if same not in delays:
            delays[same] = _ask(message, tries, target.error(failure), now)
        delay = delays[same]
        if delay is not None:
            delay = max(min(delay, _longest_wait(message, failure)), report.remainder.hold)
        unknown = any(attempt.outcome_unknown for attempt in message.history)
        forgotten = ordered and unknown and now + (delay or 0) - message.accepted > window
        if forgotten and message.kept is None:
            # The destination may have forgotten what it stored: a retry could be a duplicate.
            delay = None
        if delay is not None and now + delay >= message.deadline and message.kept is not None:
            report.staying.append((message, (build_staying, message, late_text(message))))
        elif delay is None:
            exhausted = (build_exhausted, (target, tries, unknown), failure)
            report.failed.append((message, exhausted))
        elif now + delay >= message.deadline:
            late = (build_timeout, (target, message.route.delivery.timeout, unknown), failure)
            report.failed.append((message, late))
        else:
            report.histories.wait(message, delay)
            report.remainder.retries.append((message, now + delay))
            report.retried.append((message, delay, failure))


def _is_at_its_end(message: Message, failure: Failure) -> bool:
    """Whether it was tried often, or long enough, for an error that may pass and did not."""
    if failure.no_credentials:
        return _without_credentials_for(message) >= _NO_CREDENTIALS_FOR
    if failure.out_of_time:
        return _signed_out_of_time(message) > _SIGNED_ANEW
    return failure.local and sum(each.local for each in message.failures) >= _LOCAL_TRIES


def _longest_wait(message: Message, failure: Failure) -> float:
    """Seconds that the policy may ask for, after this failure."""
    if failure.out_of_time and _signed_out_of_time(message) <= _SIGNED_ANEW:
        return 0.0
    return _LOCAL_DELAY if failure.local else math.inf


def _signed_out_of_time(message: Message) -> int:
    """How many of the last tries in a row had a signature or token of another time."""
    count = 0
    for failure in reversed(message.failures):
        if not failure.out_of_time:
            break
        count += 1
    return count


def _without_credentials_for(message: Message) -> float:
    """Seconds since the first of the last tries that all met a "no"."""
    passed = later = 0.0
    for attempt in reversed(message.history):
        if attempt.failure is None or not attempt.failure.no_credentials:
            break
        passed += attempt.duration + later
        later = attempt.delay
    return passed


def _ask(message: Message, tries: int, error: BaseException, now: float) -> float | None:
    try:
        return message.route.delivery.policy.delay(tries, error, message.age(now))
    except BaseException:  # SystemExit too: the neighbours may have been delivered
        logger.exception("the retry policy raised; the messages fail")
        return None
