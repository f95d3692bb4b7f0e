"""One publisher in one process: accepts messages, sees each to one end, keeps the account.

The caller's half (:meth:`Core.accept`) and the sender's half (:meth:`Core.step` and
:meth:`Core.work`) meet only at the lanes.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any

from ._batching import NEVER, Lane, Request
from ._flow import FlowControl
from ._future import CANCELLED, FINISHED, LOCK, PENDING, RUNNING, Callback, finish_locked
from ._losses import Losses, code_of
from ._message import BatchEntry, BatchFuture, Message, Route
from ._options import Delivery, Options
from ._scheduling import Scheduler, Turn
from ._sending import Outcome, Target, perform, timed_out
from ._stats import Account, Stats
from ._telling import Teller, errors_of
from .errors import BufferFull, InvalidMessage, PublisherClosed

logger = logging.getLogger("publisher")

DELIVERED, FAILED, DROPPED, WITHDRAWN = "delivered", "failed", "dropped", "cancelled"
_HOOK_OF = {DELIVERED: "on_delivered", FAILED: "on_failed", DROPPED: "on_dropped"}


class Core:
    """The parts of a publisher, composed.

    Args:
        options: checked already.
        runtime: makes what runs the sender's half, from this core: threads, or a test's own hand.
        clock: seconds, never going back.
        wall: seconds since the epoch, for people.
    """

    def __init__(
        self,
        options: Options,
        runtime: Callable[[Core], Any],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.options = options
        self.pid = os.getpid()
        self.clock = clock
        self.wall = wall
        self.teller = Teller(options.hooks)
        self.flow = FlowControl(
            options.max_messages, options.max_bytes, always_lock=self.teller.watches
        )
        self.account = Account()
        self.scheduler = Scheduler(options.max_workers, options.grace)
        self.losses = Losses(clock, self._bounds_text())
        #: The clients' lanes, by client. Weak: our threads keep the core alive, and a client that
        #: nobody holds any more must not be kept by that, nor its publisher.
        self.lines: MutableMapping[Any, Any] = weakref.WeakKeyDictionary()
        self._deliveries: dict[Any, Delivery] = {}
        self.runtime = runtime(self)
        self.started = False  # a message was accepted
        self.stopped = False  # nothing is sent any more
        self._flushes: list[
            tuple[float, list[Lane] | None, threading.Lock]
        ] = []  # guarded by the scheduler's lock

    # -- the caller's half

    def accept(self, route: Route, entry: Any, size: int) -> Message:
        """Accept one message.

        Returns its future, which has ended already if there was no room for it.

        Raises:
            PublisherClosed: after close().
            BufferFull: at the bound, with on_full="raise".
        """
        message = Message(route, entry, self.clock())
        if not self._enter(message, size):
            self._accept_slowly(message, size)
        return message

    def accept_batch(
        self,
        route: Route,
        entries: Sequence[Any],
        sizes: Sequence[int],
        build: Callable[[BatchFuture], Any],
    ) -> BatchFuture:
        """Accept the entries of one call, each a message, holding the caller until all are in.

        Entries for which there is no room within delivery_timeout end with BufferFull.
        """
        if self.flow.closed:
            raise self._closed_error()
        batch = BatchFuture(build)
        batch.remaining = len(entries)
        now = self.clock()
        deadline = now + route.delivery.timeout
        enter, keep = self._enter, batch.entries.append
        for entry, size in zip(entries, sizes, strict=True):
            message = BatchEntry(route, entry, now)
            message.batch = batch
            keep(message)
            if enter(message, size):
                continue
            admitted = self.flow.take(size) or self._wait_for_room(size, deadline - self.clock())
            now = message.accepted = self.clock()  # it may have been held
            if admitted:
                self._append_told(message, size)
            else:
                self._turn_away(message, size)
        return batch

    def _touch(self, route: Route) -> None:
        route.wake_at = NEVER
        self.started = True
        self.scheduler.touched.append(route.lane)
        if self.stopped:  # closed between the permit and the inbox
            self._abandon()
        else:
            self.runtime.wake()

    def _enter(self, message: Message, size: int) -> bool:
        """The usual way in: nothing is full, closed, or wants to be told.

        False if something is unusual.

        Under the GIL nothing comes between the comparison and the append, for there is no call
        between them: no lock, and no state in which a signal handler or Ctrl-C could leave a permit
        without its message.
        """
        flow = self.flow
        route = message.route
        counters = route.lane.counters
        if flow.messages < flow.limit and flow.bytes + size <= flow.max_bytes:
            flow.messages += 1
            flow.bytes += size
            counters.accepted += 1
            counters.accepted_bytes += size
            route.inbox.append(message)
            if len(route.inbox) >= route.wake_at:
                self._touch(route)
            return True
        return False

    def _accept_slowly(self, message: Message, size: int) -> None:
        """Full, closed, or a hook wants to know: what ``on_full`` says."""
        flow = self.flow
        self.check_size(size)
        admitted = flow.take(size)
        if not admitted and not flow.closed:
            on_full = self.options.on_full
            if on_full == "raise":
                raise BufferFull(self._full_text())
            if on_full == "drop_oldest":
                while not (admitted := flow.take(size)) and self._drop_oldest():
                    pass
            elif on_full == "block":
                admitted = self._wait_for_room(size, self.options.max_block)
        if admitted:
            self._append_told(message, size)
        elif flow.closed:
            raise self._closed_error()
        else:
            self._turn_away(message, size)

    def check_size(self, size: int) -> None:
        """Raise InvalidMessage for a message that the buffer could never hold."""
        if size > self.flow.max_bytes:
            raise InvalidMessage(
                f"the message has {size:,} bytes; the buffer's bound"
                f" max_bytes={self.flow.max_bytes:,} could never hold it"
            )

    def _append_told(self, message: Message, size: int) -> None:
        """Tell, count and append a message that has its permit, also where Ctrl-C hits a hook."""
        route = message.route
        counters = route.lane.counters
        try:
            if self.teller.watches:
                self.teller.accepted(message, size)
        finally:
            with self.account.lock:  # without a GIL every message comes this way
                counters.accepted += 1
                counters.accepted_bytes += size
            # It may have been held, and inboxes are in the order of acceptance.
            message.accepted = self.clock()
            route.inbox.append(message)
            if len(route.inbox) >= route.wake_at:
                self._touch(route)

    def _wait_for_room(self, size: int, timeout: float | None) -> bool:
        if (timeout is not None and timeout <= 0) or not _may_block():
            return False
        self.scheduler.flush(
            self.clock()
        )  # with the buffer full there is no better company to wait for
        self.runtime.wake()
        return bool(self.runtime.wait_for_room(size, timeout))

    def _turn_away(self, message: Message, size: int) -> None:
        """End a message that never got a permit.

        It counts as accepted all the same: its caller has a future.
        """
        counters = message.route.lane.counters
        with self.account.lock:
            counters.accepted += 1
            counters.accepted_bytes += size
        if self.teller.watches:
            self.teller.accepted(message, size, entered=False)
        if self.flow.closed:  # while the entries of a batch waited for room
            self.settle([message], [self._closed_error()], DROPPED, "closed", permits=False)
        else:
            value = (_build_full, self._full_text(), None)
            self.settle([message], [value], DROPPED, "buffer_full", permits=False)

    def _drop_oldest(self) -> bool:
        if _reentered():
            return False
        message = self.scheduler.evict_oldest()
        if message is None:
            return False
        self.settle([message], [(_build_full, self._full_text(), None)], DROPPED, "buffer_full")
        return True

    def _full_text(self) -> str:
        flow = self.flow
        return (
            f"{flow.messages:,} messages and {flow.bytes:,} bytes are waiting; the bounds are"
            f" {self._bounds_text()}"
        )

    def _bounds_text(self) -> str:
        return f"max_messages={self.flow.max_messages:,} and max_bytes={self.flow.max_bytes:,}"

    def _closed_error(self) -> PublisherClosed:
        return PublisherClosed(
            "the publisher is closed; publisher.configure() or publisher.Publisher() makes a new"
            " one"
        )

    # -- the end of a message

    def settle(  # noqa: C901, PLR0912, PLR0915 - the one way a message ends, told in one go
        self,
        messages: Sequence[Message],
        values: Sequence[Any],
        end: str,
        reason: str | None = None,
        *,
        permits: bool = True,
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
            sizes = [measure(message.entry) for message in live]
            size, count = sum(sizes), len(live)
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
                counters.note_latency(now, [message.accepted for message in live])
            if self.teller.wants(hook):
                told = [
                    (message, message.entry, size)
                    for message, size in zip(live, sizes, strict=True)
                ]
            release = not lane.keeps_entries
            for message, value in zip(live, values, strict=True):
                if message._watch is None:  # nobody waits: nothing to tell
                    message._value = value
                    message._phase = phase
                else:
                    callbacks += finish_locked(message, phase, value, failed=failed)
                if release:
                    message.entry = None
                if type(message) is BatchEntry:
                    batch = message.batch
                    batch.remaining -= 1
                    if not batch.remaining:
                        batches.append(batch)
            for batch in batches:
                cancelled = all(entry._phase == CANCELLED for entry in batch.entries)
                value = None if cancelled else (_build_batch, batch, None)
                callbacks += finish_locked(batch, CANCELLED if cancelled else FINISHED, value)
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
        if LOCK.rlock._is_owned():  # type: ignore[attr-defined]  # RLocks have it since Python 2
            return False  # a signal handler or finaliser interrupted an end, perhaps this one
        return bool(self.settle([message], [None], WITHDRAWN))

    # -- the sender's half

    def step(self) -> tuple[list[Request], float]:
        """The dispatcher's turn.

        Returns:
            the requests to hand to workers, and when to look again, on the core's clock.
        """
        turn = self.scheduler.step(self.clock())
        self._end_late(turn)
        return turn.requests, self.scheduler.alarm

    def work(self, request: Request) -> Request | None:
        """A worker's turn: send one request, see its messages to their ends.

        Returns the worker's next request.
        """
        outcome = Outcome()
        try:
            if self.teller.brackets:
                outcome = self.teller.bracket(request, partial(self._perform, request))
            else:
                outcome = self._perform(request)
            self._count(request, outcome)
            late = len(outcome.delivered) - self.settle(
                outcome.delivered, outcome.values, DELIVERED
            )
            if late:
                logger.info(
                    "%s: %d messages were delivered after they had been given up",
                    request.lane.target.key,
                    late,
                )
            if outcome.failed:
                failed, values = zip(*outcome.failed, strict=True)
                self.settle(failed, values, FAILED)
        except BaseException:
            # A fault of ours must not leave a future hanging: end what the request carried and go
            # on.
            logger.critical("a request could not be handled; its messages fail", exc_info=True)
            outcome.answer.retries.clear()
            outcome.answer.pieces.clear()
            broken = PublisherClosed(
                "the publisher could not handle the answer", outcome_unknown=True
            )
            self.settle(request.messages, [broken] * len(request.messages), FAILED)
        turn = self.scheduler.complete(request, outcome.answer, self.clock())
        self._end_late(turn)
        if self._flushes:
            self._answer_flushes()
        if turn.wake:
            self.runtime.wake()
        return turn.requests[0] if turn.requests else None

    def _perform(self, request: Request) -> Outcome:
        return perform(request, self.clock, self.wall)

    def _count(self, request: Request, outcome: Outcome) -> None:
        if not outcome.sent_as:  # everything in it was given up before it went out
            return
        counters = request.lane.counters
        resent = sum(1 for message in request.messages if len(message.history) > 1)
        with self.account.lock:
            counters.requests += 1
            counters.bytes_sent += outcome.size
            counters.retries += resent
            if outcome.failed or outcome.retried:
                counters.note_errors(*errors_of(outcome))
        if calls := self.teller.sent(request, outcome):
            self.runtime.call(calls)

    def _end_late(self, turn: Turn) -> None:
        """End what ran out of time."""
        for late, build in ((turn.expired, _expired), (turn.overdue, _overdue)):
            if late:
                try:
                    self.settle_each(late, build)
                except Exception:  # the requests of this turn must go out all the same
                    logger.critical("messages could not be ended", exc_info=True)
                self.scheduler.settled(late)
        if self._flushes and (turn.expired or turn.overdue):
            self._answer_flushes()

    # -- barriers

    def flush(self, timeout: float | None, lanes: list[Lane] | None = None) -> int:
        """Send what lingers; wait until what was accepted before the call has ended.

        Args:
            timeout: seconds; None: until the messages' own deadlines.
            lanes: only these.

        Returns:
            how many of those messages are still unresolved.
        """
        until = self.clock()
        if lanes is None:
            self.scheduler.flush(until)
        else:
            self.scheduler.flush_lanes(lanes, until)
        self.runtime.wake_if_started()
        gate = threading.Lock()
        gate.acquire()
        with self.scheduler.lock:
            if self.scheduler.oldest(lanes) > until:
                return 0
            waiter = (until, lanes, gate)
            self._flushes.append(waiter)
        try:
            self.runtime.wait(gate, timeout)
        finally:
            with self.scheduler.lock:
                if waiter in self._flushes:
                    self._flushes.remove(waiter)
        return self.scheduler.unresolved(until, lanes)

    def _answer_flushes(self) -> None:
        with self.scheduler.lock:
            for waiter in list(self._flushes):
                until, lanes, gate = waiter
                if self.scheduler.oldest(lanes) > until:
                    self._flushes.remove(waiter)
                    gate.release()

    def close(self, timeout: float | None) -> int:
        """Refuse, drain for at most ``timeout`` seconds, abandon the rest, stop the threads.

        Idempotent.

        Returns:
            how many messages were abandoned; 0 on a thread of ours, where another does this.
        """
        self.flow.close()
        if self.runtime.is_own_thread():
            self.runtime.spawn(lambda: self.close(timeout))
            return 0
        deadline = None if timeout is None else self.clock() + timeout
        self.flush(timeout)
        self.stopped = True
        abandoned = self._abandon()
        left = None if deadline is None else max(deadline - self.clock(), 0)
        self.runtime.stop(left)
        self.losses.last_words(self.stats().total)
        return abandoned

    def _abandon(self) -> int:
        """End everything that is unresolved, with PublisherClosed."""
        waiting, carried = self.scheduler.drain()
        ended = self.settle_each(waiting, _closed) + self.settle_each(carried, _closed_in_flight)
        self.scheduler.settled(waiting)
        self.scheduler.settled(carried)
        if self._flushes:
            self._answer_flushes()
        return ended

    def close_quietly(self) -> None:
        """Close with the time that a process exit would have."""
        self.close(self.options.close_timeout)

    def delivery(self, service: str, changes: Mapping[str, Any]) -> Delivery:
        """The delivery options of a client of ``service`` with ``changes``.

        The same object for equal ones.
        """
        key = (service, *sorted(changes.items(), key=lambda pair: pair[0]))
        found = self._deliveries.get(key)
        if found is None:
            found = self._deliveries.setdefault(key, self.options.delivery(service, **changes))
        return found

    def stats(self) -> Stats:
        """The account, at this moment."""
        now = self.clock()
        ages = {
            counters: max(now - since, 0.0)
            for counters, since in self.scheduler.oldest_by_counters().items()
            if since < NEVER
        }
        return self.account.stats(ages)

    def __repr__(self) -> str:
        return (
            f"<Core messages={self.flow.messages} busy={self.scheduler.busy}"
            f" waiting={self.flow.waiting}>"
        )


# What a future keeps until somebody reads it: (one of these, its two arguments); and the ends they
# belong to.


def _build_full(text: str, _: None) -> BaseException:
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


def _expired(message: Message) -> tuple[Any, str, str | None]:
    value = (_build_late, message, None)
    return value, *((FAILED, None) if message.history else (DROPPED, "expired"))


def _overdue(message: Message) -> tuple[Any, str, str | None]:
    return (_build_late, message, True), FAILED, None


def _build_late(message: Message, carried: bool | None) -> BaseException:
    unknown, code, cause = _history(message)
    return timed_out(message.route.delivery.timeout, unknown or bool(carried), code, cause)


def _closed(message: Message) -> tuple[Any, str, str | None]:
    return (_build_closed, message, False), *(
        (FAILED, None) if message.history else (DROPPED, "closed")
    )


def _closed_in_flight(message: Message) -> tuple[Any, str, str | None]:
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


# -- where a caller may be held


def _may_block() -> bool:
    """Whether this caller may be held.

    Not on a thread with a running event loop, nor inside a call of ours (a signal handler, a
    finaliser).
    """
    asyncio = sys.modules.get("asyncio")  # where nobody imported it no loop runs
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return False
    return not _reentered()


def _reentered() -> bool:
    """True if this thread was in a call of ours already.

    What interrupted it may hold any lock of ours.
    """
    frame: Any = sys._getframe(1)
    depth = 0
    while frame is not None:
        if frame.f_code in _ENTRIES:
            depth += 1
        frame = frame.f_back
    return depth > 1


_ENTRIES = {
    Core.accept.__code__,
    Core.accept_batch.__code__,
    Core.settle.__code__,
    Core.step.__code__,
    Core.work.__code__,
    Core.flush.__code__,
    Core.close.__code__,
    Core.stats.__code__,
}
