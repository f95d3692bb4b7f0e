"""A machine drives a whole core on a clock of its own, against what must always hold.

Publishing, batches, cancels, flushes, closes, faults, forks and user callbacks that publish again
come in any order, also while requests are on the wire. Whatever happens: every future ends exactly
once and in time, permits return to zero, the ledger balances, the order within a group holds with
at most one entry of it on the wire, no request is over a limit, and nothing that succeeded is sent
again.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError
from typing import Any
from unittest import mock

import pytest
import tenacity
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from publisher import BufferFull, Event, ForkedProcess, PublisherClosed, retry_policy
from publisher._aws.judging import MalformedAnswer
from publisher._engine.contract import EntryError, Limits
from publisher._engine.future import PublishFuture
from publisher._engine.message import Chunk, Message
from publisher._engine.state import LOCK, is_live

from .hand import Bench, Entry, Wire, on_another_thread

pytestmark = pytest.mark.every_python("it drives the whole engine, which must hold on every Python")

FAULTS = ("ok", "ok", "ok", "some", "throttled", "lost", "stored", "malformed", "refused")
CODES = ("InternalFailure", "Throttling", "InvalidParameter")
GROUPS = ("red", "green", "blue")

names = st.integers(0, 5)
faults = st.tuples(st.sampled_from(FAULTS), st.integers(0, 2**6 - 1), st.sampled_from(CODES))
lists = st.lists(st.integers(1, 4), min_size=1, max_size=6)
whole = [[1, 1], [2, 2, 2, 2], [1] * 8, [3, 3, 3, 3, 1]]  # requests that callers fill
spans = st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0, 3.0, 20.0])


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "PublishBatch")


class Inbox(deque[Message]):
    """Notes the order in which messages come in."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.index = machine.index

    def append(self, message: Message) -> None:
        self.extend((message,))

    def extend(self, messages: Iterable[Message]) -> None:
        coming = list(messages)
        super().extend(coming)
        for message in coming:
            self.index[message.entry.name] = len(self.index)


class Counts:
    """A hook that counts what it is told of each message."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def on_accepted(self, event: Event) -> None:
        self.accepted[event.params["Message"]] += 1

    def _ended(self, event: Event) -> None:
        self.ended[event.params["Message"]] += 1

    on_delivered = on_failed = on_dropped = _ended


class Faulty(Wire):
    """A service that fails as it is told to, and remembers what it stored."""

    def __init__(self, machine: Machine, label: str, limits: Limits) -> None:
        super().__init__(label, limits)
        self.machine = machine
        self.stored: list[Entry] = []
        self.reply = Faulty.answer  # type: ignore[assignment]

    def answer(self, entries: Sequence[Entry]) -> list[Any]:
        (kind, mask, code), meanwhile = self.machine.next_reply()
        for action in meanwhile:
            on_another_thread(action)
        if kind == "throttled":
            raise error("Throttling")
        if kind == "refused":
            raise error("InvalidParameter")
        if kind == "lost":
            raise ReadTimeoutError(endpoint_url="https://test")
        if any(entry.poison for entry in entries):
            raise error("InvalidParameter")
        failed = [kind == "some" and bool(mask & 1 << i % 6) for i in range(len(entries))]
        self.stored += [entry for entry, lost in zip(entries, failed, strict=True) if not lost]
        if kind == "stored":
            raise ReadTimeoutError(endpoint_url="https://test")
        if kind == "malformed":
            raise MalformedAnswer("the answer has no records", {})
        return [
            EntryError(code, "no", code == "InvalidParameter")
            if lost
            else {"MessageId": entry.name}
            for entry, lost in zip(entries, failed, strict=True)
        ]


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Message] = []
        self.batches: list[Any] = []
        self.names: dict[int, list[str]] = {}  # by future: of a chunk, those of its entries
        self.waited_for: set[int] = set()  # futures with a callback of ours
        self.made = 0
        self.index: dict[str, int] = {}  # the order of acceptance
        self.calls: Counter[int] = Counter()  # of done callbacks, by future
        self.replies: list[tuple[Any, list[Any]]] = []
        self.closed = False
        self.again = 0  # how many callbacks may publish again
        self.depth = 0
        self.hooks = Counts()

    @initialize(
        on_full=st.sampled_from(["block", "drop", "drop_oldest", "raise"]),
        max_block=st.sampled_from([0.0, 0.3, None]),
        workers=st.integers(1, 3),
        max_messages=st.integers(2, 12),
        tries=st.sampled_from([1, 3, None]),
        hooked=st.booleans(),
    )
    def start(
        self,
        on_full: str,
        max_block: float | None,
        workers: int,
        max_messages: int,
        tries: int | None,
        hooked: bool,
    ) -> None:
        stop = tenacity.stop_never if tries is None else tenacity.stop_after_attempt(tries)
        self.hooked = hooked
        self.bench = Bench(
            on_full=on_full,
            max_block=max_block,
            max_workers=workers,
            max_messages=max_messages,
            max_bytes=40,
            linger=0.1,
            delivery_timeout=10,
            connect_timeout=1,
            read_timeout=2,
            retry=retry_policy(wait=tenacity.wait_fixed(0.5), stop=stop),
            hooks=[self.hooks] if hooked else [],
        )
        self.core, self.hand = self.bench.core, self.bench.hand
        self.hand.tick = 1e-6  # as in entry()
        self.wires = [
            Faulty(self, "stream", Limits(4, 12)),
            Faulty(self, "other", Limits(2, 8)),
            Faulty(self, "topic.fifo", Limits(3, 12)),
        ]
        stream, other, fifo = self.wires
        first = self.bench.route(stream)
        ordered = self.bench.route(fifo, ordered=True)
        impatient = self.core.delivery("sns", {"delivery_timeout": 2.0, "linger": 0.0})
        self.routes = [
            first,
            first.lane.route(impatient),
            self.bench.route(other),
            ordered,
            ordered.lane.route(impatient),
        ]
        for route in self.routes:
            route.inbox = Inbox(self)

    # -- what people do

    @rule(
        route=st.integers(0, 4),
        size=st.integers(1, 9),
        group=st.sampled_from(GROUPS),
        poison=st.sampled_from([False, False, False, True]),
        again=st.booleans(),
    )
    def publish(self, route: int, size: int, group: str, poison: bool, again: bool) -> None:
        entry = self.entry(size, group if route >= 3 else "", poison)
        room = self.core.flow.messages < self.core.flow.max_messages
        try:
            future = self.core.accept(self.routes[route], entry, size)
        except PublisherClosed:
            assert self.core.flow.closed
            return
        except BufferFull:
            assert self.core.options.on_full == "raise"
            assert not room or self.core.flow.bytes + size > self.core.flow.max_bytes
            return
        self.take(future, entry.name, again)

    @rule(route=st.integers(0, 4), sizes=st.one_of(lists, st.sampled_from(whole)))
    def publish_many(self, route: int, sizes: list[int]) -> None:
        entries = [self.entry(size, "red" if route >= 3 else "", False) for size in sizes]
        try:
            ways = [(self.routes[route], len(sizes))]
            batch = self.core.accept_batch(ways, entries, sizes, lambda _: {"Records": len(sizes)})
        except PublisherClosed:
            assert self.core.flow.closed
            return
        self.batches.append(batch)
        batch.add_done_callback(self.called)
        left = [entry.name for entry in entries]
        for future in batch.entries:
            names, left = left[: future.count], left[future.count :]
            if type(future) is Chunk:  # nobody but its batch waits for it
                self.taken.append(future)
                self.names[id(future)] = names
            else:
                self.take(future, names[0], again=False)
        assert not left

    @rule(which=names)
    def cancel(self, which: int) -> None:
        live = [future for future in self.futures if is_live(future)]
        if live:
            future = live[which % len(live)]
            was_running = future.running()
            assert not (future.cancel() and was_running)

    @rule(which=names)
    def cancel_batch(self, which: int) -> None:
        if self.batches:
            batch = self.batches[which % len(self.batches)]
            batch.cancel()
            assert not any(entry._phase == "PENDING" for entry in batch.entries)

    @precondition(lambda self: self.depth == 0)
    @rule(timeout=st.sampled_from([0.0, 1.0, None]))
    def flush(self, timeout: float | None) -> None:
        before = list(self.taken)
        left = self.core.flush(timeout)
        assert left <= self.living(before)
        if timeout is None:
            assert left == 0
            assert not self.living(before)

    @precondition(lambda self: len(self.futures) > 8)
    @rule(timeout=st.sampled_from([0.0, 1.0, None]))
    def close(self, timeout: float | None) -> None:
        began = self.bench.clock.now
        self.core.close(timeout)
        self.closed = True
        assert timeout is None or self.bench.clock.now <= began + timeout + 0.001
        assert not any(is_live(future) for future in self.futures)

    @rule()
    def look_from_a_fork(self) -> None:
        ended = [(future, future.done()) for future in self.futures + self.batches]
        with mock.patch.object(os, "getpid", return_value=-1):
            LOCK.renew()
            for future, done in ended:
                assert future.done()
                assert not future.running()
                if not done:
                    assert isinstance(future.exception(0), ForkedProcess)
                    assert not future.cancel()
        LOCK.renew()
        assert ended == [(future, future.done()) for future, _ in ended]

    # -- what the machinery does

    @rule()
    def step(self) -> None:
        self.hand.step()

    @rule(seconds=spans)
    def pass_time(self, seconds: float) -> None:
        self.hand.pass_time(seconds)

    @rule()
    def run_callbacks(self) -> None:
        self.hand.run_calls()

    @precondition(lambda self: self.hand.on_wire)
    @rule(which=names, fault=faults)
    def answer(self, which: int, fault: Any) -> None:
        self.work(which, fault)

    @precondition(lambda self: self.hand.on_wire)
    @rule(
        which=names,
        fault=faults,
        seconds=spans,
        route=st.integers(0, 4),
        other=faults,
        end=st.sampled_from(["", "", "", "close", "fork", "flush"]),
    )
    def answer_late(
        self, which: int, fault: Any, seconds: float, route: int, other: Any, end: str
    ) -> None:
        """While the request is on the wire, everybody else goes on."""

        def meanwhile() -> None:
            self.depth += 1
            self.publish(route, 2, "red", poison=False, again=False)
            self.cancel(which)
            self.hand.pass_time(seconds)
            if self.hand.on_wire:
                self.answer(which, other)
            if end == "close":
                self.close(0.0)
            elif end == "fork":
                self.look_from_a_fork()
            elif end == "flush":
                self.core.flush(0.0)
            self.hand.step()
            self.depth -= 1

        self.work(which, fault, meanwhile)

    # -- what holds

    @invariant()
    def rules_of_the_wire(self) -> None:
        for wire in getattr(self, "wires", []):
            assert wire.broken == []
        if hasattr(self, "wires"):
            first: dict[str, list[int]] = {}
            for entry in self.wires[2].stored:
                first.setdefault(entry.group, []).append(self.index[entry.name])
            for order in first.values():
                assert order == sorted(order)

    @invariant()
    def in_time(self) -> None:
        if not hasattr(self, "core"):
            return
        carried = {
            id(message) for request in self.core.tracker.in_flight for message in request.messages
        }
        now, grace = self.bench.clock.now - 0.001, self.core.options.grace
        for future in self.futures:
            if is_live(future):
                assert not self.closed
                assert now < future.deadline + (grace if id(future) in carried else 0)

    @invariant()
    def the_ledger_balances(self) -> None:
        if not hasattr(self, "core"):
            return
        total, flow = self.core.stats().total, self.core.flow
        live = self.living(self.taken)
        assert total.outstanding == flow.messages == live
        assert total.outstanding_bytes == flow.bytes
        assert flow.messages <= flow.max_messages
        assert flow.bytes <= flow.max_bytes
        assert sum(total.latency) == total.accepted - total.outstanding
        assert (total.oldest_age > 0) <= (live > 0)

    def teardown(self) -> None:
        if not hasattr(self, "core"):
            return
        self.hand.settle()
        self.rules_of_the_wire()
        self.bench.assert_at_rest()
        for raised in self.hand.raised:
            raise raised
        ends: Counter[str] = Counter()
        for future in self.futures:
            if id(future) in self.waited_for:
                assert self.calls[id(future)] == 1
            ends[self.check_end(future)] += future.count
        for batch in self.batches:
            assert self.calls[id(batch)] == 1
            if not batch.cancelled():
                assert batch.result(0)["Records"] == sum(one.count for one in batch.entries)
        total = self.core.stats().total
        assert total.accepted == sum(future.count for future in self.futures)
        assert total.delivered == ends["delivered"]
        assert total.cancelled == ends["cancelled"]
        assert total.failed + total.dropped == ends["lost"]
        assert total.requests == sum(len(wire.requests) for wire in self.wires)
        if self.hooked:
            assert all(count == 1 for count in self.hooks.accepted.values())
            for future in self.futures:
                if self.names[id(future)][0] not in self.hooks.accepted:  # it never got in
                    assert isinstance(future.exception(0), (BufferFull, PublisherClosed))
            assert sum(self.hooks.ended.values()) == len(self.futures) - ends["cancelled"]
            assert all(count == 1 for count in self.hooks.ended.values())

    def check_end(self, future: Message) -> str:
        names = self.names[id(future)]
        if len(names) > 1:  # a chunk: all of it was delivered, at the first try
            assert len(future.attempts) == 1
            for name in names:
                assert [wire.acknowledged[name] for wire in self.wires].count(1) == 1
            return "delivered"
        (name,) = names
        acknowledged = sum(wire.acknowledged[name] for wire in self.wires)
        sent = sum(
            entry.name == name
            for wire in self.wires
            for request in wire.requests
            for entry in request.entries
        )
        assert acknowledged <= 1
        assert len(future.attempts) <= sent
        try:
            failure = future.exception(0)
        except CancelledError:
            assert not sent
            return "cancelled"
        if failure is None:
            assert future.result(0)["MessageId"] == name
            assert acknowledged
            assert future.attempts[-1].error_code is None
            return "delivered"
        assert all(attempt.error_code for attempt in future.attempts)
        assert all(type(attempt.delay) is float for attempt in future.attempts)
        return "lost"

    # -- details

    def entry(self, size: int, group: str, poison: bool) -> Entry:
        self.made += 1
        self.bench.clock.now += 1e-6  # no two calls at the same moment
        return Entry(f"m{self.made}", size, group, poison)

    @property
    def futures(self) -> list[Message]:
        return self.apart(self.taken)

    def apart(self, taken: list[Message]) -> list[Message]:
        """The same with the messages of the entries in the place of a chunk that was parted."""
        found: list[Message] = []
        for future in taken:
            if future.parts is None:
                found.append(future)
                continue
            found += future.parts
            for part, name in zip(future.parts, self.names[id(future)], strict=True):
                self.names[id(part)] = [name]
        return found

    def living(self, taken: list[Message]) -> int:
        return sum(future.count for future in self.apart(taken) if is_live(future))

    def take(self, future: Message, name: str, again: bool) -> None:
        self.taken.append(future)
        self.names[id(future)] = [name]
        self.waited_for.add(id(future))
        if again and self.again < 5:
            self.again += 1
            future.add_done_callback(
                lambda _: self.publish(self.again % 5, 1, "green", poison=False, again=True)
            )
        future.add_done_callback(self.called)

    def work(self, which: int, fault: Any, *meanwhile: Any) -> None:
        planned = len(self.replies)
        self.replies.append((fault, list(meanwhile)))
        self.hand.work(which % len(self.hand.on_wire))
        del self.replies[planned:]  # the request was empty: all in it had ended

    def called(self, future: PublishFuture) -> None:
        assert future.done()
        self.calls[id(future)] += 1

    def next_reply(self) -> tuple[Any, list[Any]]:
        return self.replies.pop() if self.replies else (("ok", 0, ""), [])


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
