"""One request: send it, read what became of each entry, decide what is done next.

Runs on a worker. Only what failed is sent again, as the very entry that was built at the call.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .._account.events import Attempt, Failure
from ..errors import DeliveryTimeout, retries_exhausted
from .contract import EntryError, Judgement, Target, Verdict
from .message import Chunk, Message
from .request import Answer, Request, cut
from .retry import wanted_pause
from .state import LOCK, RUNNING, is_live

logger = logging.getLogger("publisher")

#: What takes so many seconds and brings no answer has hung, whatever it says of itself in the end
#: (a source of credentials has time-outs of its own).
_HUNG = 1.0
#: A signature or token that was good at another time is replaced so often, at once.
_SIGNED_ANEW = 2
#: What code of this process raises is tried so often, so many seconds apart at most: it may be a
#: passing state of that code, and nobody is to wait for it as for a network.
_LOCAL_TRIES = 3
_LOCAL_DELAY = 0.5


@dataclass(slots=True)
class Outcome:
    """What became of a request's messages.

    Attributes:
        delivered: with ``values`` for their futures, in step.
        failed: the messages that will not be sent again, each with the value of its future.
        retried: the messages that will, each with the delay and the failure.
        answer: what goes back to the lane.
        duration: seconds the request took.
        size: bytes of the entries that went out.
        count: how many went out.
        sent_as: boto3's method name of the operation that went out.
        answered: a service said something, whatever it was.
    """

    delivered: list[Message] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    failed: list[tuple[Message, Any]] = field(default_factory=list)
    retried: list[tuple[Message, float, Failure]] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)
    duration: float = 0.0
    size: int = 0
    count: int = 0
    sent_as: str = ""
    answered: bool = False


class _Histories:
    """Adds one attempt to many messages.

    Those with the same past share the same tuple of attempts.
    """

    def __init__(self, started: float, duration: float) -> None:
        self._started = started
        self._duration = duration
        self._made: dict[Any, tuple[Attempt, ...]] = {}

    def add(
        self,
        message: Message,
        failure: Failure | None,
        request_id: str | None,
        *,
        split: bool = False,
    ) -> None:
        # While it lives: the backoff before the try that is under way.
        delay = message._value if type(message._value) is float else 0.0
        past = message.history
        same = (id(past), delay, None if failure is None else id(failure))
        grown = self._made.get(same)
        if grown is None:
            code, text, unknown = (
                (None, None, False)
                if failure is None
                else (failure.code, failure.text, failure.unknown)
            )
            attempt = Attempt(
                self._started,
                delay,
                self._duration,
                code,
                text,
                request_id,
                split,
                unknown,
                failure,
            )
            grown = self._made[same] = (*past, attempt)
        message.history = grown


def perform(request: Request, clock: Callable[[], float], wall: Callable[[], float]) -> Outcome:
    """Send one request and decide; never raises but for what ends the process.

    Args:
        request: taken from its lane, each message claimed.
        clock: the scheduler's clock, seconds.
        wall: seconds since the epoch.
    """
    target: Target = request.lane.target
    messages = request.messages
    chunk = messages[0] if type(messages[0]) is Chunk else None
    entries = [message.entry for message in messages] if chunk is None else chunk.entry
    outcome = Outcome()
    if any(message._phase != RUNNING for message in messages):  # abandoned since it was taken
        if chunk is not None:
            return outcome
        pairs = [pair for pair in zip(messages, entries, strict=True) if is_live(pair[0])]
        messages, entries = [message for message, _ in pairs], [entry for _, entry in pairs]
    if not entries:
        return outcome
    measure = request.lane.measure
    outcome.count = len(entries)
    outcome.size = (
        request.size
        if request.size is not None and len(messages) == len(request.messages)
        else sum([measure(entry) for entry in entries])
    )
    sent_as = outcome.sent_as = target.sends(len(entries))
    started, began = wall(), clock()
    results: Sequence[Any] | None = None
    reply: Mapping[str, Any] = {}
    judged: Judgement | None = None
    try:
        results, reply = target.send(entries, sent_as)
    # A worker survives whatever a call, a handler or a signal raises in it.
    except BaseException as error:  # noqa: BLE001
        judged = target.judge(error, len(entries))
    now = clock()
    outcome.duration = now - began
    outcome.answered = judged is None or judged.answered
    histories = _Histories(started, outcome.duration)
    if chunk is not None:
        if results is not None and EntryError not in set(map(type, results)):
            _read_chunk(request, chunk, results, reply, histories, outcome)
            return outcome
        with LOCK.rlock:
            messages = request.messages = list(chunk.apart_locked())
    if results is not None:
        _read(request, messages, results, reply, histories, outcome, now)
    elif judged is not None:
        judged = _in_company(request, messages, judged)
        _reject(request, messages, judged, sent_as, histories, outcome, now)
    request.lane.limits = target.limits
    return outcome


def _read_chunk(
    request: Request,
    chunk: Message,
    results: Sequence[Any],
    reply: Mapping[str, Any],
    histories: _Histories,
    outcome: Outcome,
) -> None:
    """The service took every entry of a chunk."""
    outcome.answer.cautious = False
    metadata = reply.get("ResponseMetadata") or {}
    if chunk._phase == RUNNING:
        histories.add(chunk, None, metadata.get("RequestId"))
    outcome.delivered = [chunk]
    outcome.values = [(request.lane.target.response, reply, results)]


def _is_plain(messages: list[Message], results: Sequence[Any]) -> bool:
    """The usual answer: every entry delivered at its first try, and none given up meanwhile."""
    if EntryError in set(map(type, results)):
        return False
    for message in messages:  # noqa: SIM110 - half the time of a generator
        if message.history or message._phase != RUNNING:
            return False
    return True


def _read(
    request: Request,
    messages: list[Message],
    results: Sequence[Any],
    reply: Mapping[str, Any],
    histories: _Histories,
    outcome: Outcome,
    now: float,
) -> None:
    """The service answered: each entry has an outcome of its own."""
    target: Target = request.lane.target
    if request.split is not None:
        request.split.note_accepted()
    outcome.answer.cautious = False
    metadata = dict(reply.get("ResponseMetadata") or {})
    request_id = metadata.get("RequestId")
    respond = target.response
    if _is_plain(messages, results):
        histories.add(messages[0], None, request_id)
        for message in messages:
            message.history = messages[0].history
        outcome.delivered = messages
        outcome.values = [(respond, reply, result) for result in results]
        return
    failures: list[tuple[Message, Failure]] = []
    same: dict[EntryError, Failure] = {}
    for message, result in zip(messages, results, strict=True):
        if type(result) is EntryError:
            failure = same.get(result)
            if failure is None:
                failure = same[result] = target.entry_failure(result, metadata)
            failures.append((message, failure))
            continue
        if message._phase == RUNNING:  # or it was given up: its history has ended with it
            histories.add(message, None, request_id)
        outcome.delivered.append(message)
        outcome.values.append((respond, reply, result))
    if failures:
        outcome.answer.hold = wanted_pause(metadata)
        _decide(request, failures, histories, outcome, now)


def _in_company(request: Request, messages: list[Message], judged: Judgement) -> Judgement:
    """What the whole request met, in the light of what its messages have met before."""
    failure, verdict, answered = judged
    split = request.split
    if failure.unreadable and len(messages) > 1:
        # Each try may store them once more. The first of these may be an accident; the second one
        # is a reason to look for the entry that does it, once.
        before = [sum(each.unreadable for each in message.failures) for message in messages]
        if split is not None or 1 in before:
            verdict = Verdict.SPLIT
    elif len(messages) == 1 and not failure.final:
        suspect = split is not None and split.code == failure.code
        if suspect or messages[0].goes_alone:
            failure = replace(failure, alone=True)
    return Judgement(failure, verdict, answered)


def _reject(
    request: Request,
    messages: list[Message],
    judged: Judgement,
    sent_as: str,
    histories: _Histories,
    outcome: Outcome,
    now: float,
) -> None:
    """The whole request failed."""
    target: Target = request.lane.target
    failure, verdict, _ = judged
    if failure.timed_out or (not outcome.answered and outcome.duration >= _HUNG):
        outcome.answer.cautious = True
    if not failure.final:
        outcome.answer.hold = wanted_pause(failure.metadata)
    messages = [message for message in messages if is_live(message)]  # the others were given up
    if _is_of_the_twin(failure, sent_as, target) and target.change_to_single(failure.code):
        _note_split(messages, failure, histories)
        outcome.answer.retries += [(message, now) for message in messages]
        return
    split = request.split
    if split is not None:
        split.note_rejected(failure.code)
    if verdict is Verdict.SPLIT and (split is None or not split.hopeless):
        outcome.answer.pieces, outcome.answer.split = cut(messages, split, failure.code)
        _note_split(messages, failure, histories)
        return
    _decide(request, [(message, failure) for message in messages], histories, outcome, now)


def _is_of_the_twin(failure: Failure, sent_as: str, target: Target) -> bool:
    """Whether the batch twin itself was refused, for good."""
    return failure.final and not failure.operation and sent_as != target.operation


#: Whoever says no to credentials is asked again for so long, seconds: they may just be renewed.
_NO_CREDENTIALS_FOR = 10.0


def _note_split(messages: list[Message], failure: Failure, histories: _Histories) -> None:
    """The messages go again at once, in other company; that is no try that a policy counts."""
    for message in messages:
        histories.add(message, failure, failure.request_id, split=True)
        _wait_before_next(message, 0.0)


def _decide(
    request: Request,
    failures: list[tuple[Message, Failure]],
    histories: _Histories,
    outcome: Outcome,
    now: float,
) -> None:
    """Again later, or the end: the policy is asked once per (attempt number, error code)."""
    target: Target = request.lane.target
    ordered = request.groups is not None
    window = target.service.deduplication_window
    delays: dict[tuple[int, str], float | None] = {}
    for message, failure in failures:
        if not is_live(message):  # given up meanwhile: its history has ended with it
            continue
        histories.add(message, failure, failure.request_id)
        if failure.final or _is_at_its_end(message, failure):
            outcome.failed.append((message, (_build_error, target, failure)))
            continue
        tries = message.tries
        same = (tries, failure.code)
        if same not in delays:
            delays[same] = _ask(message, tries, target.error(failure), now)
        delay = delays[same]
        if delay is not None:
            delay = max(min(delay, _longest_wait(message, failure)), outcome.answer.hold)
        unknown = any(attempt.outcome_unknown for attempt in message.history)
        if ordered and unknown and now + (delay or 0) - message.accepted > window:
            # The destination may have forgotten what it stored: a retry could be a duplicate.
            delay = None
        if delay is None:
            exhausted = (_build_exhausted, (target, tries, unknown), failure)
            outcome.failed.append((message, exhausted))
        elif now + delay >= message.deadline:
            late = (_build_timeout, (target, message.route.delivery.timeout, unknown), failure)
            outcome.failed.append((message, late))
        else:
            _wait_before_next(message, delay)
            outcome.answer.retries.append((message, now + delay))
            outcome.retried.append((message, delay, failure))


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


def _wait_before_next(message: Message, delay: float) -> None:
    with LOCK.rlock:
        if message._phase == RUNNING:  # else it has ended meanwhile, and keeps its outcome there
            message._value = delay


def _ask(message: Message, tries: int, error: BaseException, now: float) -> float | None:
    try:
        return message.route.delivery.policy.delay(tries, error, message.age(now))
    except BaseException:  # SystemExit too: the neighbours may have been delivered
        logger.exception("the retry policy raised; the messages fail")
        return None


# What a failed future keeps until somebody reads it: (one of these, its two arguments).


def _build_error(target: Target, failure: Failure) -> BaseException:
    return target.error(failure)


def _build_exhausted(context: tuple[Target, int, bool], failure: Failure) -> BaseException:
    target, tries, unknown = context
    return retries_exhausted(
        target.error(failure), tries=tries, outcome_unknown=unknown, last_code=failure.code
    )


def _build_timeout(context: tuple[Target, float, bool], failure: Failure) -> BaseException:
    target, timeout, unknown = context
    return timed_out(timeout, unknown, failure.code, target.error(failure))


def timed_out(
    timeout: float, unknown: bool, code: str | None, cause: BaseException | None
) -> DeliveryTimeout:
    """The exception of a message that did not make it within ``timeout`` seconds."""
    last = f"; the last error was {code}" if code else "" if unknown else "; it was never sent"
    maybe = "; the service may have stored it" if unknown else ""
    return DeliveryTimeout(
        f"no outcome within delivery_timeout={timeout:g} s{last}{maybe}",
        outcome_unknown=unknown,
        last_code=code,
        cause=cause,
    )


def failure_of(value: Any) -> Failure | None:
    """The failure behind what a future keeps, if a service or the network caused it."""
    parts = value if type(value) is tuple else ()
    return next((part for part in parts if isinstance(part, Failure)), None)


def error_named(value: Any, operation: str) -> Any:
    """The exception that a failed future keeps as ``value``; it names ``operation``."""
    if type(value) is not tuple:
        return value
    build, context, rest = value
    if build is _build_error:
        context = context.named(operation)
    elif build in (_build_exhausted, _build_timeout):
        context = (context[0].named(operation), *context[1:])
    return build(context, rest)
