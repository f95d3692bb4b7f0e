"""The end of a message: one function resolves, whatever the cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ._batching import Lane
from ._flow import FlowControl
from ._future import (
    CANCELLED,
    FINISHED,
    LOCK,
    PENDING,
    RUNNING,
    Callback,
    finish_locked,
    is_waited_for,
)
from ._losses import Losses, code_of
from ._message import BatchEntry, BatchFuture, Chunk, Message
from ._reentrance import entered
from ._scheduling import Scheduler
from ._sending import Target, timed_out
from ._stats import Account
from ._telling import Teller
from .errors import BufferFull, PublisherClosed

DELIVERED, FAILED, DROPPED, WITHDRAWN = "delivered", "failed", "dropped", "cancelled"
_OF_BATCHES = (BatchEntry, Chunk)
_HOOK_OF = {DELIVERED: "on_delivered", FAILED: "on_failed", DROPPED: "on_dropped"}


class Ending:
    """What a core needs to end messages, and the barriers that wait for that; see :class:`Core`."""

    clock: Callable[[], float]
    flow: FlowControl
    account: Account
    teller: Teller
    losses: Losses
    scheduler: Scheduler
    runtime: Any
    #: Who waits in flush(): until when it was accepted, in which lanes, and the gate to open.
    #: Guarded by the scheduler's lock.
    _flushes: list[tuple[float, list[Lane] | None, Any]]

    def settle(  # noqa: C901, PLR0912, PLR0915 - the one way a message ends, told in one go
        self,
        messages: Sequence[Message],
        values: Sequence[Any],
        end: str,
        reason: str | None = None,
        *,
        permits: bool = True,
        size: int | None = None,
    ) -> int:
        """End messages of one lane, whatever the cause.

        Those that have ended already are left alone.

        Returns flow control's permits, counts, sets the futures, hands callbacks and hooks to their
        thread: exactly once each.

        Args:
            messages: of one lane.
            values: what each future keeps.
            end: DELIVERED, FAILED, DROPPED or WITHDRAWN (which ends only what was never handed to a
                worker).
            reason: why it was dropped.
            permits: False for messages that never got one.
            size: of the messages together, where it is known.

        Returns:
            how many were ended by this call.
        """
        if not messages:
            return 0
        lane = messages[0].route.lane
        measure, counters = lane.measure, lane.counters
        hook = _HOOK_OF.get(end)
        phase = CANCELLED if end == WITHDRAWN else FINISHED
        failed = end in (FAILED, DROPPED)
        callbacks: list[Callback] = []
        told: list[tuple[Message, Any, int]] = []
        batches: list[BatchFuture] = []
        now = self.clock()
        with LOCK.rlock:
            phases = (PENDING,) if end == WITHDRAWN else (PENDING, RUNNING)
            if Chunk in set(map(type, messages)):
                messages, values = _taken_apart_locked(messages, values, end)
            live = [message for message in messages if message._phase in phases]
            if not live:
                return 0
            if len(live) < len(messages):
                kept = set(map(id, live))
                values = [
                    value
                    for message, value in zip(messages, values, strict=True)
                    if id(message) in kept
                ]
            # A chunk that ends as one is alone.
            count = live[0].count if len(live) == 1 else len(live)
            if size is None or len(live) < len(messages):
                size = sum([measure(message.entry) for message in live])
            if permits:
                self.flow.release(count, size)
            with self.account.lock:
                counters.resolved_bytes += size
                if end == DELIVERED:
                    counters.delivered += count
                elif end == FAILED:
                    counters.failed += count
                elif end == WITHDRAWN:
                    counters.cancelled += count
                else:
                    counters.dropped[reason or "closed"] += count
                counters.note_latency(now, [message.accepted for message in live], count)
            if self.teller.wants(hook):
                told = [(message, message.entry, measure(message.entry)) for message in live]
            release = not lane.keeps_entries
            for message, value in zip(live, values, strict=True):
                if message._watch is None:  # nobody waits: nothing to tell
                    message._value = value
                    message._phase = phase
                else:
                    callbacks += finish_locked(message, phase, value, failed=failed)
                if release:
                    message.entry = None
                if isinstance(message, _OF_BATCHES) and (batch := message.batch) is not None:
                    message.batch = None  # no reference cycle: thousands of them would cost the GC
                    batch.remaining -= message.count
                    if not batch.remaining:
                        batches.append(batch)
            for batch in batches:
                if all(entry._phase == CANCELLED for entry in batch.entries):
                    callbacks += finish_locked(batch, CANCELLED, None)
                elif is_waited_for(batch):  # by somebody who wants to know now whether it failed
                    made = _build_batch(batch, None)
                    broken = isinstance(made, BaseException)
                    callbacks += finish_locked(batch, FINISHED, made, failed=broken)
                else:
                    callbacks += finish_locked(batch, FINISHED, (_build_batch, batch, None))
        calls: list[tuple[Callable[..., Any], Any]] = list(callbacks)
        if told:
            calls += self.teller.ended(hook, told, reason, now)
        if failed:
            codes = Counter(reason or code_of(value) for value in values)
            if end == FAILED:
                with self.account.lock:
                    counters.note_failed(codes)
            calls.append((self.losses.note, (lane.target, counters, end, codes)))
        if calls:
            self.runtime.call(calls)
        if self._flushes:
            self._answer_flushes()
        return count

    def settle_each(
        self, messages: Sequence[Message], build: Callable[[Message], tuple[Any, str, str | None]]
    ) -> int:
        """The same for messages of any lanes; ``build`` gives each one's value, end and reason."""
        grouped: dict[tuple[Lane, str, str | None], tuple[list[Message], list[Any]]] = {}
        for message in messages:
            value, end, reason = build(message)
            group = grouped.setdefault((message.route.lane, end, reason), ([], []))
            group[0].append(message)
            group[1].append(value)
        return sum(
            self.settle(ended, values, end, reason)
            for (_, end, reason), (ended, values) in grouped.items()
        )

    def withdraw(self, message: Message) -> bool:
        """What ``future.cancel()`` does."""
        if entered():
            # A signal handler or finaliser: it interrupted an end, perhaps this one, or what holds
            # something that another thread waits for under LOCK.
            return False
        return bool(self.settle([message], [None], WITHDRAWN))

    def _abandon(self) -> int:
        """End everything that is unresolved, with PublisherClosed."""
        waiting, carried = self.scheduler.drain()
        ended = self.settle_each(waiting, closed) + self.settle_each(carried, closed_in_flight)
        self.scheduler.settled(waiting)
        self.scheduler.settled(carried)
        if self._flushes:
            self._answer_flushes()
        return ended

    def _answer_flushes(self) -> None:
        with self.scheduler.lock:
            for waiter in list(self._flushes):
                until, lanes, gate = waiter
                if self.scheduler.oldest(lanes) > until:
                    self._flushes.remove(waiter)
                    gate.release()


def _taken_apart_locked(
    messages: Sequence[Message], values: Sequence[Any], end: str
) -> tuple[Sequence[Message], Sequence[Any]]:
    """The same with the entries in the place of a chunk, but where it was delivered as one."""
    if end == DELIVERED and len(messages) == 1 and messages[0].parts is None:
        return messages, values
    parted: list[tuple[Message, Any]] = []
    for message, value in zip(messages, values, strict=True):
        if type(message) is not Chunk:
            parted.append((message, value))
        elif end != WITHDRAWN or message._phase == PENDING or message.parts is not None:
            parted += [(part, value) for part in message.apart_locked()]
    return [message for message, _ in parted], [value for _, value in parted]


# What a future keeps until somebody reads it: (one of these, its two arguments); and the ends they
# belong to: (what it keeps, the end, the reason).


def build_full(text: str, _: None) -> BaseException:
    return BufferFull(text)


def _build_batch(batch: BatchFuture, _: None) -> Any:
    return batch.build(batch)


def _history(message: Message) -> tuple[bool, str | None, BaseException | None]:
    """Whether the service may have stored it, and what its last try met."""
    last = message.history[-1] if message.history else None
    unknown = any(attempt.outcome_unknown for attempt in message.history)
    if last is None or last.error_code is None:
        return unknown, None, None
    target: Target = message.route.lane.target
    return unknown, last.error_code, target.error_of(last)


def expired(message: Message) -> tuple[Any, str, str | None]:
    value = (_build_late, message, None)
    return value, *((FAILED, None) if message.history else (DROPPED, "expired"))


def overdue(message: Message) -> tuple[Any, str, str | None]:
    return (_build_late, message, True), FAILED, None


def _build_late(message: Message, carried: bool | None) -> BaseException:
    unknown, code, cause = _history(message)
    return timed_out(message.route.delivery.timeout, unknown or bool(carried), code, cause)


def closed(message: Message) -> tuple[Any, str, str | None]:
    return (_build_closed, message, False), *(
        (FAILED, None) if message.history else (DROPPED, "closed")
    )


def closed_in_flight(message: Message) -> tuple[Any, str, str | None]:
    return (_build_closed, message, True), FAILED, None


def _build_closed(message: Message, carried: bool) -> BaseException:
    unknown, code, cause = _history(message)
    unknown = unknown or carried
    maybe = "; the service may have stored it" if unknown else "; it is not stored"
    return PublisherClosed(
        f"the publisher was closed before the message was delivered{maybe}",
        outcome_unknown=unknown,
        last_code=code,
        cause=cause,
    )
