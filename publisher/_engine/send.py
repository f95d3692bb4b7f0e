"""One request: send it, read what became of each entry, decide what is done next.

Runs on a worker. Only what failed is sent again, as the very entry that was built at the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

from .._account.events import Failure
from .contract import EntryError, Judgement, Target, Verdict
from .message import Chunk, Message
from .outcomes import Histories, Report, decide, note_split
from .packing import Packed, pack
from .request import Request
from .retry import wanted_pause
from .split import cut
from .state import LOCK, RUNNING, is_live

#: What takes so many seconds and brings no answer has hung, whatever it says of itself in the end
#: (a source of credentials has time-outs of its own).
_HUNG = 1.0


def perform(request: Request, clock: Callable[[], float], wall: Callable[[], float]) -> Report:
    """Send one request and decide.

    Whatever the call raises is an outcome. What is raised here is a fault of ours (a packer that
    leaves an entry out): whoever calls this ends the messages.

    Args:
        request: taken from its lane, each message claimed.
        clock: the scheduler's clock, seconds.
        wall: seconds since the epoch.
    """
    target: Target = request.lane.target
    report = Report(request, Histories(wall()))
    messages, entries = _wanted(request)
    if not messages:
        return report
    packed = pack(target.packer, entries)
    report.count = len(entries)
    report.whole = packed.places is None
    report.size = _size(request, messages, packed)
    sent_as = report.sent_as = target.sends(len(packed.entries))
    began = clock()
    answer: tuple[Sequence[Any], Mapping[str, Any]] | None = None
    judged: Judgement | None = None
    try:
        outcomes, reply = target.send(packed.entries, sent_as)
        answer = packed.each(outcomes), reply
    # A worker survives whatever a call, a handler or a signal raises in it.
    except BaseException as error:  # noqa: BLE001
        judged = target.judge(error, len(entries))
    report.now = clock()
    report.duration = report.histories.duration = report.now - began
    report.answered = judged is None or judged.answered
    if type(messages[0]) is Chunk:
        if answer is not None and EntryError not in set(map(type, answer[0])):
            _read_chunk(report, messages[0], *answer)
            return report
        with LOCK.rlock:
            messages = request.messages = list(messages[0].apart_locked())
    if answer is not None:
        _read(report, messages, *answer)
    elif judged is not None:
        _reject(report, packed.units(messages), _in_company(request, messages, judged))
    request.lane.limits = target.limits
    return report


def _wanted(request: Request) -> tuple[list[Message], Sequence[Any]]:
    """The request's messages and what was accepted for each, without what was given up since."""
    messages = request.messages
    if type(messages[0]) is Chunk:
        entries = messages[0].entry  # first: it may be given up just now
        return (messages, entries) if messages[0]._phase == RUNNING else ([], ())
    entries = [message.entry for message in messages]
    if not [1 for message in messages if message._phase != RUNNING]:  # half the time of all()
        return messages, entries
    pairs = [pair for pair in zip(messages, entries, strict=True) if is_live(pair[0])]
    return [message for message, _ in pairs], [entry for _, entry in pairs]


def _size(request: Request, messages: list[Message], packed: Packed) -> int:
    """Bytes that travel."""
    if request.size is not None and packed.places is None and messages is request.messages:
        return request.size
    return sum(map(request.lane.measure, packed.entries))


def _read_chunk(
    report: Report, chunk: Message, outcomes: Sequence[Any], reply: Mapping[str, Any]
) -> None:
    """The service took every entry of a chunk."""
    report.remainder.cautious = False
    metadata = reply.get("ResponseMetadata") or {}
    if chunk._phase == RUNNING:
        report.histories.add(chunk, None, metadata.get("RequestId"))
    report.delivered = [chunk]
    report.values = [(report.request.lane.target.response, reply, outcomes)]


def _is_plain(messages: list[Message], results: Sequence[Any]) -> bool:
    """The usual answer: every entry delivered at its first try, and none given up meanwhile."""
    if EntryError in set(map(type, results)):
        return False
    for message in messages:  # noqa: SIM110 - half the time of a generator
        if message.history or message._phase != RUNNING:
            return False
    return True


def _read(
    report: Report, messages: list[Message], results: Sequence[Any], reply: Mapping[str, Any]
) -> None:
    """The service answered: each entry has an outcome of its own."""
    request, histories = report.request, report.histories
    target: Target = request.lane.target
    if request.split is not None:
        request.split.note_accepted()
    report.remainder.cautious = False
    metadata = dict(reply.get("ResponseMetadata") or {})
    request_id = metadata.get("RequestId")
    respond = target.response
    if _is_plain(messages, results):
        histories.add(messages[0], None, request_id)
        history = messages[0].history
        for message in messages:
            message.history = history
        report.delivered = messages
        report.values = list(zip(repeat(respond), repeat(reply), results, strict=False))
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
        report.delivered.append(message)
        report.values.append((respond, reply, result))
    if failures:
        report.remainder.hold = wanted_pause(metadata)
        decide(report, failures)


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


def _reject(report: Report, units: list[list[Message]], judged: Judgement) -> None:
    """The whole request failed; ``units`` has its messages, those of one entry together."""
    request = report.request
    target: Target = request.lane.target
    failure, verdict, _ = judged
    if failure.timed_out or (not report.answered and report.duration >= _HUNG):
        report.remainder.cautious = True
    if not failure.final:
        report.remainder.hold = wanted_pause(failure.metadata)
    units = [live for unit in units if (live := [*filter(is_live, unit)])]  # or it was given up
    messages = [message for unit in units for message in unit]
    if _is_of_the_twin(failure, report.sent_as, target) and target.change_to_single(failure.code):
        note_split(report, messages, failure)
        report.remainder.retries += [(message, report.now) for message in messages]
        return
    split = request.split
    if split is not None:
        split.note_rejected(failure.code)
    if verdict is Verdict.SPLIT and (split is None or not split.hopeless):
        report.remainder.pieces, report.remainder.split = cut(units, split, failure.code)
        note_split(report, messages, failure)
        return
    decide(report, [(message, failure) for message in messages])


def _is_of_the_twin(failure: Failure, sent_as: str, target: Target) -> bool:
    """Whether the batch twin itself was refused, for good."""
    return failure.final and not failure.operation and sent_as != target.operation
