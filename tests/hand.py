"""A core on a clock that only tests move, with a scriptable wire in the network's place.

Nothing here stands in for code of the package: `Hand` does by hand what its threads do, one turn at
a time, and `Wire` is where a request would leave the machine.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any, NamedTuple

from publisher import services
from publisher._account.events import Attempt, Failure
from publisher._aws.errors import entry_failure
from publisher._aws.exceptions import exception_for
from publisher._aws.judging import judge
from publisher._aws.targets import api_name
from publisher._engine.contract import EntryError, Judgement, Limits
from publisher._engine.core import Core
from publisher._engine.flow import Ticket
from publisher._engine.lane import NEVER, Lane
from publisher._engine.message import BatchFuture, Message, Route
from publisher._engine.ordered import OrderedLane
from publisher._engine.request import Request
from publisher._engine.state import acquire
from publisher._engine.unordered import UnorderedLane
from publisher._options import Options, check_options


def on_another_thread(function: Callable[[], object]) -> None:
    """Call it as if by somebody else: whoever waits for it meanwhile is not beneath it."""
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()


class Clock:
    """Seconds; they pass when somebody says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Entry(NamedTuple):
    """What travels: `name` is unique, `group` orders, `poison` has any request with it refused."""

    name: str
    size: int = 1
    group: str = ""
    poison: bool = False


class Sent(NamedTuple):
    """One request as the wire saw it."""

    entries: list[Entry]
    at: float


Reply = Callable[["Wire", Sequence[Entry]], list[Any]]


def delivered(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
    """What a healthy service answers."""
    return [{"MessageId": entry.name} for entry in entries]


class Wire:
    """Where one lane's requests go: remembers each, answers as `reply` says, and watches the rules.

    `reply` gives one outcome for each entry, or raises what boto3 would.
    """

    operation = "publish"
    permission = "sns:Publish"
    region = home = "test-region"
    making = False
    storable = False
    packer: Any = None

    def __init__(self, label: str = "topic", limits: Limits | None = None, sends: str = "") -> None:
        self.service = services.load("sns")
        self.key = f"sns:test-region:{label}"
        self.limits = limits or Limits(10, 100)
        self._sends = sends or "publish_batch"
        self.reply: Reply = delivered
        self.metadata: dict[str, Any] = {}  # of its answers
        self.requests: list[Sent] = []
        self.acknowledged: Counter[str] = Counter()  # entries that an answer called delivered
        self.groups: Counter[str] = Counter()  # groups on the wire now
        self.broken: list[str] = []  # the rules that were broken
        self.clock: Callable[[], float] = Clock()

    def send(self, entries: Sequence[Entry], operation: str) -> tuple[list[Any], Mapping[str, Any]]:
        entries = list(entries)
        self.requests.append(Sent(entries, self.clock()))
        self._check(entries)
        self.groups.update(entry.group for entry in entries)
        try:
            results = self.reply(self, entries)
        finally:
            self.groups.subtract(entry.group for entry in entries)
        for entry, result in zip(entries, results, strict=True):
            if not isinstance(result, EntryError):
                self.acknowledged[entry.name] += 1
        metadata = {"RequestId": f"request-{len(self.requests)}", **self.metadata}
        reply = {"ResponseMetadata": metadata}
        return results, reply

    def _check(self, entries: list[Entry]) -> None:
        if not entries:
            self.broken.append("an empty request")
        if len(entries) > self.limits.entries:
            self.broken.append(f"{len(entries)} entries in a request of {self.limits.entries}")
        size = sum(entry.size for entry in entries)
        if len(entries) > 1 and size > self.limits.bytes:
            self.broken.append(f"{size} bytes in a request of {self.limits.bytes}")
        if len({entry.name for entry in entries}) < len(entries):
            self.broken.append("an entry twice in a request")
        self.broken += [
            f"{entry.name} was sent again after it had succeeded"
            for entry in entries
            if self.acknowledged[entry.name]
        ]
        groups = Counter(entry.group for entry in entries)
        self.broken += [
            f"{count + self.groups[group]} entries of the group {group} on the wire"
            for group, count in groups.items()
            if group and count + self.groups[group] > 1
        ]

    def judge(self, error: BaseException, count: int) -> Judgement:
        return judge(error, self.service, count, unknown_passes=True, operation=self.operation)

    def entry_failure(self, error: EntryError, metadata: Mapping[str, Any]) -> Failure:
        return entry_failure(error, self.service, dict(metadata))

    def sends(self, count: int) -> str:
        return self._sends if count == 1 else "publish_batch"

    def change_to_single(self, code: str) -> bool:
        return False

    def error(self, failure: Failure) -> BaseException:
        return exception_for(failure, None, api_name(self.operation))

    def error_of(self, attempt: Attempt) -> BaseException | None:
        return None if attempt.failure is None else self.error(attempt.failure)

    def response(self, reply: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
        return {**outcome, **reply}

    def params(self, entry: Entry) -> dict[str, Any]:
        return {"Message": entry.name}

    def named(self, operation: str) -> Wire:
        return self

    @property
    def sent(self) -> list[list[str]]:
        """The names in each request."""
        return [[entry.name for entry in request.entries] for request in self.requests]


class Hand:
    """Runs a core's sender half by hand: every turn is a call."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.calls: deque[tuple[Callable[[Any], object], Any]] = deque()
        self.on_wire: list[Request] = []  # handed to workers that have not sent them yet
        self.rings = 0
        self.own = False  # this is a thread of ours
        self.safe = True  # nothing can interrupt the caller
        self.stopped = False
        self.spawned: list[Callable[[], object]] = []
        self.raised: list[BaseException] = []  # by user code
        self.tick = 0.0  # seconds that getting room takes

    # -- what a core asks of its runtime

    def wake(self) -> None:
        self.rings += 1

    wake_if_started = wake

    def call(self, calls: Sequence[tuple[Callable[[Any], object], Any]]) -> None:
        self.calls.extend(calls)

    def is_own_thread(self) -> bool:
        return self.own

    def acquire(self, gate: Any, timeout: float | None) -> bool:
        return acquire(gate, timeout)

    def wait(self, gate: Any, timeout: float | None) -> None:
        if not self.own:
            self.run(timeout, lambda: gate.acquire(blocking=False))

    def is_safe(self) -> bool:
        return self.safe

    def may_hold(self) -> bool:
        return True

    def wait_for_room(self, ticket: Ticket, left: Callable[[], float]) -> None:
        flow = self.core.flow
        while not (ticket.granted or flow.closed) and (seconds := left()) > 0:
            self.run(seconds, lambda: flow.take(ticket.size, ticket.count, ticket))
        clock: Any = self.core.clock
        clock.now += self.tick

    def wait_for_calls(self, timeout: float | None) -> None:
        self.run_calls()

    def spawn(self, function: Callable[[], object]) -> None:
        self.spawned.append(function)

    def stop(self, timeout: float | None) -> None:
        self.stopped = True
        self.run_calls()

    # -- the turns

    def step(self) -> None:
        """The dispatcher's turn, once; its requests wait in `on_wire`."""
        requests, _ = self.core.step()
        self.on_wire += requests

    def work(self, index: int = 0) -> None:
        """One worker sends its request and takes the next."""
        following = self.core.work(self.on_wire.pop(index))
        if following is not None:
            self.on_wire.append(following)
        self.step()

    def run_calls(self) -> None:
        """User code's turn."""
        if self.calls:
            on_another_thread(self._run_calls)

    def _run_calls(self) -> None:
        was, self.own = self.own, True
        try:
            while self.calls:
                function, argument = self.calls.popleft()
                try:
                    function(argument)
                except Exception as error:  # noqa: BLE001 - user code may raise anything
                    self.raised.append(error)
        finally:
            self.own = was

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with the dispatcher awake whenever it wanted to be; nothing is sent."""
        clock: Any = self.core.clock
        until = clock.now + seconds
        self.step()
        while (alarm := self.core.scheduler.alarm) <= until:
            clock.now = max(clock.now, alarm)
            self.step()
        clock.now = max(clock.now, until)  # who published meanwhile took a moment
        self.step()

    def run(self, timeout: float | None, done: Callable[[], bool]) -> bool:
        """Let everything go its way until `done`, at most `timeout` seconds; whether it is."""
        clock: Any = self.core.clock
        deadline = NEVER
        if timeout is not None:  # the least that moves the clock: who waits would do so for ever
            deadline = max(clock.now + timeout, math.nextafter(clock.now, NEVER))
        for _ in range(100_000):
            rings = self.rings
            self.step()
            self.run_calls()
            if done():
                return True
            if clock.now > deadline:  # a request took longer
                return False
            if self.on_wire:
                self.work()
                continue
            if self.rings != rings:  # user code published
                continue
            alarm = self.core.scheduler.alarm
            if min(alarm, deadline) == NEVER:
                raise AssertionError(f"nothing will ever happen: {self.core!r}")
            if alarm > deadline:
                clock.now = max(clock.now, deadline)
                return done()
            clock.now = max(clock.now, alarm)
        raise AssertionError(f"no end in sight: {self.core!r}")

    def settle(self) -> None:
        """Until nothing is left to do: no request, no message, no callback."""
        self.run(None, lambda: not (self.core.flow.messages or self.on_wire or self.calls))


class Bench:
    """A core with its hand, and lanes on it."""

    def __init__(self, store: Callable[[Core], Any] | None = None, **options: Any) -> None:
        self.clock = Clock()
        made = check_options(Options(), {"linger": 0.0, **options})
        self.core = Core(made, Hand, clock=self.clock, wall=self.clock, store=store)
        self.hand: Hand = self.core.runtime

    def route(self, wire: Wire | None = None, *, ordered: bool = False, **changes: Any) -> Route:
        """The way into a lane of its own whose requests go over `wire`."""
        wire = wire or Wire()
        wire.clock = self.clock
        parts = (
            wire.limits,
            lambda entry: entry.size,
            self.core.account.counters(wire.key, lambda: wire.key),
            self.core,
            wire,
        )
        if ordered:
            lane: Lane = OrderedLane(*parts, group_of=lambda entry: entry.group)
        else:
            lane = UnorderedLane(*parts)
        return lane.route(self.core.delivery("sns", changes))

    def publish(self, route: Route, name: str, size: int = 1, **more: Any) -> Message:
        entry = Entry(name, size, **more)
        return self.core.accept(route, entry, entry.size)

    def publish_many(self, route: Route, names: Sequence[str]) -> BatchFuture:
        entries = [Entry(name) for name in names]
        sizes = [entry.size for entry in entries]
        return self.core.accept_batch(
            [(route, len(names))], entries, sizes, lambda batch: {"batch": len(names)}
        )

    def publish_whole(self, *routes: Route) -> BatchFuture:
        """An entry to each, all of them or none."""
        entries = [Entry(f"{number}") for number, _ in enumerate(routes)]
        ways, sizes = [(route, 1) for route in routes], [entry.size for entry in entries]
        return self.core.accept_batch(
            ways, entries, sizes, lambda batch: {"batch": len(routes)}, whole=True
        )

    def assert_at_rest(self) -> None:
        """Every permit is back, and the ledger balances."""
        flow, total = self.core.flow, self.core.stats().total
        assert (flow.messages, flow.bytes, flow.waiting) == (0, 0, 0)
        assert (total.outstanding, total.outstanding_bytes, total.oldest_age) == (0, 0, 0.0)
        ends = total.delivered + total.failed + total.dropped + total.cancelled + total.spooled
        assert total.accepted == ends == sum(total.latency)
        assert total.dropped == sum(total.dropped_by_reason.values())
