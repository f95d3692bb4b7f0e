"""Flow control: permits leak nowhere, exceed no bound, and who waits is let in, in turn."""

from __future__ import annotations

import math
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import publisher._engine.flow as flow_module
from publisher._engine.flow import FlowControl, Ticket
from tests.interrupts import Point, strike

pytestmark = pytest.mark.every_python(
    "threads race here, and where the GIL changes hands is each Python's own"
)

SOON = 20  # seconds by which a thread on a busy machine has done what it can do at once


def left(timeout: float | None) -> Callable[[], float]:
    """Seconds until then, from now on."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    return lambda: deadline - time.monotonic()


def release(flow: FlowControl, messages: int, size: int) -> None:
    """What the end of messages does."""
    with flow.lock:
        flow.messages -= messages
        flow.bytes -= size
    flow.admit()


class Caller:
    """A thread that waits for room."""

    def __init__(
        self,
        flow: FlowControl,
        size: int,
        timeout: float | None = SOON,
        count: int = 1,
        *,
        yields: bool = False,
    ) -> None:
        before = flow.waiting
        self.result: bool | None = None
        ticket = Ticket(size, count, yields=yields)
        self._thread = threading.Thread(
            target=self._wait, args=(flow, ticket, timeout), daemon=True
        )
        self._thread.start()
        until(lambda: flow.waiting > before or not self._thread.is_alive())

    def _wait(self, flow: FlowControl, ticket: Ticket, timeout: float | None) -> None:
        self.result = flow.wait(ticket, left(timeout))

    def done(self) -> bool:
        self._thread.join(SOON)
        assert not self._thread.is_alive()
        assert self.result is not None
        return self.result

    @property
    def waits(self) -> bool:
        return self._thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread is about to do."""
    deadline = threading.Event()
    for _ in range(SOON * 1000):
        if condition():
            return
        deadline.wait(0.001)
    raise AssertionError("it did not come to that")


@pytest.fixture
def switching_often() -> Iterator[None]:
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=[True, False], ids=["with the GIL", "with the lock"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[FlowControl]:
    monkeypatch.setattr(flow_module, "HAS_GIL", request.param)
    return FlowControl


def test_room_is_taken_and_given_back(make: type[FlowControl]) -> None:
    flow = make(2, 10)
    assert flow.take(4)
    assert flow.take(6)
    assert not flow.take(0)
    release(flow, 1, 6)
    assert not flow.take(7)
    assert flow.take(6)
    release(flow, 2, 10)
    assert (flow.messages, flow.bytes) == (0, 0)


def test_who_waits_is_let_in_first_come_first_served(make: type[FlowControl]) -> None:
    flow = make(3, 100)
    for _ in range(3):
        flow.take(1)
    callers = [Caller(flow, 1) for _ in range(3)]
    for index in range(3):
        release(flow, 1, 1)
        assert callers[index].done()
        assert all(caller.waits for caller in callers[index + 1 :])
    assert flow.messages == 3
    assert flow.waiting == 0


def test_room_for_several_is_given_together(make: type[FlowControl]) -> None:
    flow = make(4, 100)
    assert flow.take(8, 2)
    assert not flow.take(12, 3)
    several = Caller(flow, 12, count=3)
    release(flow, 1, 4)
    assert flow.messages == 4
    assert several.done()
    release(flow, 4, 16)
    assert (flow.messages, flow.bytes) == (0, 0)


def test_who_wants_room_for_several_is_not_passed_by_those_who_want_less(
    make: type[FlowControl],
) -> None:
    flow = make(4, 100)
    assert flow.take(4, 4)
    several = Caller(flow, 3, count=3)
    one = Caller(flow, 1)
    release(flow, 2, 2)
    assert not flow.take(1)
    assert flow.messages == 2
    assert several.waits
    assert one.waits
    release(flow, 1, 1)
    assert several.done()
    release(flow, 1, 1)
    assert one.done()
    assert flow.messages == 4


def test_room_for_several_by_force_ends_no_more_than_that_while_others_wait(
    make: type[FlowControl],
) -> None:
    flow = make(5, 100)
    assert flow.take(5, 5)
    others = [Caller(flow, 1) for _ in range(3)]
    ended = []

    def make_room() -> bool:
        ended.append(flow.messages)
        release(flow, 1, 1)
        return len(ended) < 5

    assert flow.take_by_force(Ticket(2, 2), make_room)
    assert ended == [5, 4]
    assert all(other.waits for other in others)
    release(flow, 3, 3)
    assert all(other.done() for other in others)


def test_who_yields_lets_those_pass_who_want_less(make: type[FlowControl]) -> None:
    flow = make(4, 100)
    assert flow.take(4, 4)
    many = Caller(flow, 3, count=3, yields=True)
    one = Caller(flow, 1)
    release(flow, 1, 1)
    assert one.done()
    assert many.waits
    release(flow, 1, 1)
    assert flow.take(1)
    assert many.waits
    release(flow, 3, 3)
    assert many.done()
    assert flow.messages == 4


def test_nobody_gets_past_those_who_wait(make: type[FlowControl]) -> None:
    flow = make(5, 10)
    flow.take(8)
    large = Caller(flow, 5)
    assert not flow.take(1)  # there is room for it, but the large one was there first
    small = Caller(flow, 1)
    release(flow, 1, 8)
    assert large.done()
    assert small.done()
    assert flow.bytes == 6
    assert flow.take(1)


def test_a_large_one_that_gives_up_lets_in_those_behind_it(make: type[FlowControl]) -> None:
    flow = make(5, 10)
    flow.take(8)
    large = Caller(flow, 5, timeout=0.3)
    small = Caller(flow, 2)
    assert not large.done()
    assert small.done()
    assert flow.bytes == 10


def test_a_time_out_leaves_no_trace(make: type[FlowControl]) -> None:
    flow = make(1, 10)
    flow.take(1)
    assert not flow.wait(Ticket(1), left(0.01))
    assert flow.waiting == 0
    release(flow, 1, 1)
    assert flow.take(1)
    assert flow.messages == 1


def test_close_sends_everybody_away(make: type[FlowControl]) -> None:
    flow = make(1, 10)
    flow.take(1)
    callers = [Caller(flow, 1, timeout=None) for _ in range(3)]
    flow.close()
    assert not any(caller.done() for caller in callers)
    assert not flow.take(0)
    assert not flow.wait(Ticket(0), left(0))
    release(flow, 1, 1)
    assert not flow.take(1)
    assert flow.closed
    assert (flow.messages, flow.bytes, flow.waiting) == (0, 0, 0)


@pytest.mark.parametrize("granted", [False, True])
def test_an_interrupted_wait_leaves_its_ticket_as_it_is(granted: bool) -> None:
    flow = FlowControl(1, 10)
    flow.take(1)

    class Lock:
        def acquire(self, timeout: float = -1) -> bool:
            if timeout < 0:  # the first is its own
                return True
            if granted:
                release(flow, 1, 1)  # the permit arrives just when Ctrl-C does
            raise KeyboardInterrupt

        def locked(self) -> bool:
            return False

    ticket = Ticket(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            flow_module,
            "threading",
            types.SimpleNamespace(Lock=Lock, TIMEOUT_MAX=threading.TIMEOUT_MAX),
        )
        with pytest.raises(KeyboardInterrupt):
            flow.wait(ticket, left(10))
    assert ticket.granted is granted  # whoever has the ticket looks after it
    assert flow.messages == 1
    assert flow.waiting == 0


@pytest.mark.parametrize("forced", [False, True], ids=["in turn", "by force"])
def test_whom_an_exception_hits_at_any_point_of_waiting_gets_no_permit_later(
    make: type[FlowControl], forced: bool
) -> None:
    met: set[Point] = set()
    struck = True
    while struck:
        flow, ticket = make(2, 10), Ticket(2, 2)
        flow.take(1)

        def wait(flow: FlowControl = flow, ticket: Ticket = ticket) -> None:
            if forced:
                flow.take_by_force(ticket, lambda: False)
            else:
                flow.wait(ticket, lambda: 0)

        struck = strike(wait, met)
        assert not ticket.granted
        release(flow, 1, 1)
        assert not ticket.granted, f"at {len(met)} points"
        assert (flow.messages, flow.bytes, flow.waiting) == (0, 0, 0)
        assert flow.take(2, 2)
    assert len(met) > 8


@given(
    bounds=st.tuples(st.integers(1, 6), st.integers(1, 20)),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 25)), max_size=60),
)
def test_no_bound_is_exceeded_and_nothing_leaks(
    bounds: tuple[int, int], steps: list[tuple[bool, int]]
) -> None:
    flow = FlowControl(*bounds)
    held: list[int] = []
    for take, number in steps:
        if take:
            fits = len(held) < bounds[0] and sum(held) + number <= bounds[1]
            assert flow.take(number) is fits
            if fits:
                held.append(number)
        elif held:
            release(flow, 1, held.pop(number % len(held)))
        assert (flow.messages, flow.bytes) == (len(held), sum(held))
    release(flow, len(held), sum(held))
    assert (flow.messages, flow.bytes) == (0, 0)


def test_under_many_threads_nothing_is_lost_and_no_wake_up_is_missed(
    make: type[FlowControl], switching_often: None
) -> None:
    flow = make(4, 40)
    threads, rounds = 6, 150
    start = threading.Barrier(threads)
    entered, worst, failures = [0] * threads, [0, 0], []

    def caller(index: int) -> None:
        start.wait(SOON)
        for turn in range(rounds):
            size = 1 + (index * 7 + turn) % 15
            if not flow.take(size) and not flow.wait(Ticket(size), left(SOON)):
                failures.append((index, turn))
                return
            worst[0] = max(worst[0], flow.messages)
            worst[1] = max(worst[1], flow.bytes)
            entered[index] += 1
            release(flow, 1, size)

    workers = [threading.Thread(target=caller, args=(i,), daemon=True) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(3 * SOON)
        assert not worker.is_alive()
    assert failures == []
    assert entered == [rounds] * threads
    assert worst[0] <= 4
    assert worst[1] <= 40
    assert (flow.messages, flow.bytes, flow.waiting) == (0, 0, 0)
