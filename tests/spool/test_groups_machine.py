"""A machine drives the engine and the feeder over a store in memory, against what always holds.

Groups fail for as long as they like, messages stay, overflow or are kept by no store, two clients
are written alike, and the feeder looks at any moment. Whatever happens: within a group nothing is
overtaken, at most one entry of it is on the wire, a group that fails keeps no other one, and all
that is kept is delivered in the end.
"""

from __future__ import annotations

import json
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
import tenacity
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from publisher import SpoolStats, retry_policy, services
from publisher._engine.contract import EntryError, Limits
from publisher._engine.core import Core
from publisher._engine.lane import Lane
from publisher._engine.message import Message, Route
from publisher._options import Delivery
from publisher._store.reading import Kept
from publisher.spool.feeder import Feeder
from tests.hand import Bench, Entry, Wire, on_another_thread

pytestmark = pytest.mark.every_python("it drives the way back from a spool, on every Python")

GROUPS = ("red", "green", "blue")
WHERE = json.dumps(
    {"service": "sns", "place": {"TopicArn": "arn:aws:sns:eu-west-1:1:t.fifo"}, "client": {}}
).encode()
DAY = 86_400.0

groups = st.sampled_from(GROUPS)
places = st.integers(0, 5)
lanes = st.sampled_from([0, 0, 0, 1])


class Texts(type(services.load("sns"))):  # type: ignore[misc]
    """A service whose entries are the bench's."""

    limits = Limits(2, 100)

    def dump(self, entry: Entry) -> bytes:
        return json.dumps(entry).encode()

    def load(self, data: bytes) -> Entry:
        return Entry(*json.loads(data))

    def measure(self, entry: Entry) -> int:
        return entry.size

    def group(self, entry: Entry) -> str:
        return entry.group


class Memory:
    """A store without a disk; what it keeps is read, and offered, as from one."""

    hands_over = False
    rank = 0

    def __init__(self, core: Core, ways: Ways, *, only_overflow: bool) -> None:
        self.core = core
        self.only_overflow = only_overflow
        self.fails = False  # to write anything down
        self.looks = False  # at once, whenever something stays
        self.records: dict[int, bytes] = {}
        self.times: dict[int, float] = {}  # of acceptance
        self.staying: list[int] = []  # in order
        self.noted: list[Any] = []  # stay, and nobody has looked
        self.made = 0
        self.feeder = Feeder(core, ways, DAY, lambda: 0.0, lambda: bool(self.noted))  # type: ignore[arg-type]

    # -- as a store

    def keep(self, message: Message, *, later: bool = False) -> bool:
        if self.fails:
            return False
        self.made += 1
        message.kept = self.made
        self.records[self.made] = Texts().dump(message.entry)
        self.times[self.made] = message.accepted
        return True

    def begin(self) -> None: ...

    def check_room(self, messages: Sequence[Message]) -> None: ...

    def commit(self, messages: Sequence[Message]) -> bool:
        return True

    def stop(self) -> None: ...

    def close(self) -> None: ...

    def wait_for_space(self, timeout: float) -> bool:
        return False

    def stats(self) -> SpoolStats:
        return SpoolStats()

    def since(self, kept: Kept) -> float:
        return self.times[kept.sequence]

    def settle(self, kept: Sequence[Any]) -> None:
        for one in kept:
            if type(one) is int:
                del self.records[one]
            else:
                self.feeder.ended([one])

    def overflow(self, message: Message) -> None:
        self.noted.append(message)

    def stay(self, kept: Sequence[Any]) -> None:
        for one in kept:
            if type(one) is int:
                self.noted.append(one)
            else:
                self.feeder.stay([one])
        if self.looks:
            on_another_thread(self.turn)

    # -- as the keeper's thread, its files and its destinations

    def turn(self) -> None:
        while self.noted:
            one = self.noted.pop(0)
            insort(self.staying, one if type(one) is int else one.kept)
        self.feeder.feed([], self, self.core.clock())

    def take(self, limit: int) -> list[Kept]:
        some, self.staying = self.staying[:limit], self.staying[limit:]
        return [self._read(one) for one in some]

    def read_again(self, kepts: Sequence[Kept]) -> list[Kept]:
        return [self._read(kept.sequence) for kept in kepts]

    def _read(self, one: int) -> Kept:
        return Kept(self, one, WHERE, 0.0, self.records[one], 0)

    def settle_taken(self, kepts: Sequence[Kept]) -> None:
        for kept in kepts:
            del self.records[kept.sequence]


class Ways:
    """The lanes of one destination, to which several clients are written alike."""

    def __init__(self) -> None:
        self.made: list[Lane] = []

    def lanes(self, where: bytes) -> list[Lane]:
        return self.made

    def route(self, where: bytes) -> Route:
        return self.made[0].routes[0]

    def grouping(self, where: bytes) -> Callable[[bytes], str]:
        return lambda entry: Texts().load(entry).group

    def behind(self) -> Iterator[tuple[bytes, Lane]]:
        yield from ((WHERE, lane) for lane in self.made if lane.is_behind)

    def let_go(self, is_over: Callable[[Lane, bytes], bool]) -> None: ...


class Topic(Wire):
    """Fails what it is told to, and notes what it stored."""

    storable = True

    def __init__(self, machine: Machine, label: str) -> None:
        super().__init__(label, Limits(2, 100))
        self.service = Texts()
        self.machine = machine
        self.lane: Any = None
        self.reply = Topic.answer  # type: ignore[assignment]

    def answer(self, entries: Sequence[Entry]) -> list[Any]:
        for action in self.machine.meanwhile():
            on_another_thread(action)
        if self.machine.down:
            raise ClientError({"Error": {"Code": "Throttling", "Message": "no"}}, "PublishBatch")
        return [self._take(entry) for entry in entries]

    def _take(self, entry: Entry) -> Any:
        if entry.group in self.machine.failing:
            return EntryError("InternalFailure", "no", False)
        self.machine.store(entry)
        return {"MessageId": entry.name}


class Accepted(NamedTuple):
    lane: int
    place: int
    group: str
    message: Message


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.accepted: dict[str, Accepted] = {}
        #: What is kept and was not stored yet, in order, by lane and group.
        self.left: dict[tuple[int, str], list[str]] = defaultdict(list)
        self.stored: set[str] = set()
        self.broken: list[str] = []
        self.failing: set[str] = set()
        self.down = False
        self.actions: list[Callable[[], object]] = []

    @initialize(
        most=st.integers(2, 12), alike=st.booleans(), bodies=st.booleans(), rare=st.booleans()
    )
    def start(self, most: int, alike: bool, bodies: bool, rare: bool) -> None:
        ways = Ways()
        self.bench = Bench(
            store=lambda core: Memory(core, ways, only_overflow=rare),
            on_full="drop",
            max_workers=2,
            max_messages=most,
            delivery_timeout=2,
            connect_timeout=1,
            read_timeout=1,
            retry=retry_policy(wait=tenacity.wait_fixed(0.5)),
        )
        self.core, self.hand = self.bench.core, self.bench.hand
        self.memory: Memory = self.core.store  # type: ignore[assignment]
        if not bodies:
            self.memory.feeder.queues.bodies = 0
        self.wires = [Topic(self, f"{number}.fifo") for number in range(2 if alike else 1)]
        self.routes = []
        for wire in self.wires:
            route = self.bench.route(wire, ordered=True)
            usual = route.delivery
            route.lane.routes.clear()
            for timeout, spooled in ((2.0, True), (1.0, True), (2.0, False)):
                delivery = Delivery(usual.linger, timeout, usual.policy, spooled)
                self.routes.append(route.lane.route(delivery))
            ways.made.append(route.lane)
            wire.lane = route.lane

    # -- what happens

    @rule(group=groups, lane=lanes, way=st.sampled_from([0, 0, 0, 1, 1, 2]))
    def publish(self, group: str, lane: int, way: int) -> None:
        lane %= len(self.wires)
        name = f"m{len(self.accepted)}"
        self.bench.clock.now += 1e-6
        message = self.bench.publish(self.routes[3 * lane + way], name, group=group)
        self.accepted[name] = Accepted(lane, len(self.accepted), group, message)
        if message.kept is not None:
            self.left[lane, group].append(name)

    @rule(which=places)
    def cancel(self, which: int) -> None:
        some = [one for one in self.accepted.values() if not one.message.done()]
        if some:
            lane, _, group, message = some[which % len(some)]
            if message.cancel() and message.kept is not None:
                self.left[lane, group].remove(message.entry.name)

    @rule()
    def step(self) -> None:
        self.hand.step()

    @rule()
    def look(self) -> None:
        self.memory.turn()

    @precondition(lambda self: self.hand.on_wire)
    @rule(which=places)
    def answer(self, which: int) -> None:
        self.hand.work(which % len(self.hand.on_wire))

    @precondition(lambda self: self.hand.on_wire)
    @rule(which=places, group=groups, lane=lanes, seconds=st.sampled_from([0.0, 1.5, 5.0]))
    def answer_late(self, which: int, group: str, lane: int, seconds: float) -> None:
        """Others go on while the request is on the wire."""

        def meanwhile() -> None:
            self.publish(group, lane, 0)
            self.hand.pass_time(seconds)
            self.memory.turn()

        self.actions.append(meanwhile)
        self.answer(which)
        self.actions.clear()  # the request was empty: all in it had ended

    @rule(seconds=st.sampled_from([0.01, 0.5, 1.0, 2.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        self.hand.pass_time(seconds)

    @rule(group=groups)
    def fail(self, group: str) -> None:
        self.failing ^= {group}

    @rule(down=st.booleans())
    def go_down(self, down: bool) -> None:
        self.down = down

    @rule(fails=st.booleans())
    def break_the_disk(self, fails: bool) -> None:
        self.memory.fails = fails

    @rule(looks=st.booleans())
    def look_at_once(self, looks: bool) -> None:
        self.memory.looks = looks

    # -- what must hold

    @invariant()
    def nothing_is_broken(self) -> None:
        assert self.broken == []
        for wire in getattr(self, "wires", ()):
            # What had no outcome in time, and has been stored all the same, is offered again.
            assert [rule for rule in wire.broken if "sent again" not in rule] == []

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        self.down = False
        self.go_on()
        if self.failing:
            self.failing = set()
            self.go_on()
        assert not self.memory.records
        for wire in self.wires:
            assert not wire.lane.is_behind
            assert wire.lane.is_idle()
        self.bench.assert_at_rest()
        self.nothing_is_broken()

    # -- details

    def meanwhile(self) -> list[Callable[[], object]]:
        return [self.actions.pop()] if self.actions else []

    def store(self, entry: Entry) -> None:
        """It has been delivered; all that is kept was to be before what came after it."""
        if entry.name in self.stored:
            return
        self.stored.add(entry.name)
        lane, place, group, _ = self.accepted[entry.name]
        for name, other in self.accepted.items():  # that no store keeps
            if (other.lane, other.group) != (0, group) or lane or other.place >= place:
                continue
            if name not in self.stored and other.message.kept is None and not other.message.done():
                self.broken.append(f"{entry.name} overtook {name}")
        left = self.left[lane, entry.group]
        if left and left[0] == entry.name:
            left.pop(0)
        elif left and self.accepted[left[0]].place < place:
            self.broken.append(f"{entry.name} overtook {left[0]}")

    def go_on(self) -> None:
        """Until all has been delivered but for the groups that fail, and new messages may go."""
        for _ in range(2_000):
            self.memory.turn()
            self.hand.step()
            self.hand.run_calls()
            if self.hand.on_wire:
                self.hand.work()
                continue
            waits = {group for (_, group), left in self.left.items() if left}
            behind = {name for wire in self.wires for name in wire.lane.staying.behind}
            if not (waits | behind) - self.failing and (
                self.failing or not self.core.flow.messages
            ):
                return
            self.hand.pass_time(0.1)
        raise AssertionError(f"no end in sight: {self.left}, {self.memory.records}")


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
