"""What hangs keeps nobody else waiting; and who is asked to stay away for a while does."""

from __future__ import annotations

import datetime as dt
import email.utils
import threading
from collections.abc import Callable, Sequence
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

import publisher
from publisher._engine.contract import EntryError, Limits
from publisher._engine.message import Message
from publisher._engine.retry import wanted_pause
from tests.gate import Gate
from tests.hand import Bench, Entry, Wire
from tests.servers import Answer, Endpoint, Error
from tests.support import SOON, TOPIC, Watch, client_of, publish, publishing, texts, tries, until

pytestmark = pytest.mark.every_python(
    "threads race here, and where the GIL changes hands is each Python's own"
)

HANGS = 60  # seconds: longer than the test waits


class Lanes:
    """A bench with lanes of one message a request; what is sent waits in `on_wire`."""

    def __init__(self, **options: Any) -> None:
        self.bench = Bench(**{"delivery_timeout": 600, **options})
        self.scheduler = self.bench.core.scheduler

    def send(self, count: int = 1, route: Any = None) -> Any:
        """So many messages to a destination of their own."""
        route = route or self.bench.route(Wire(limits=Limits(1, 100)))
        self.messages = [self.bench.publish(route, f"{i}") for i in range(count)]
        self.bench.hand.step()
        return route

    def in_flight(self, route: Any) -> int:
        return sum(request.lane is route.lane for request in self.bench.hand.on_wire)


def test_a_lane_alone_has_all_workers_and_the_next_one_finds_another() -> None:
    lanes = Lanes(max_workers=10)
    hog = lanes.send(40)
    assert lanes.in_flight(hog) == 10
    other = lanes.send(5)
    assert lanes.in_flight(other) == 1
    assert lanes.in_flight(hog) == 10


@pytest.mark.parametrize("hanging", range(1, 10))
def test_while_fewer_than_all_hang_everybody_else_finds_a_worker_within_a_second(
    hanging: int,
) -> None:
    lanes = Lanes(max_workers=10)
    hung = [lanes.send(40) for _ in range(hanging)]
    lanes.bench.hand.pass_time(0.5)
    assert all(lanes.in_flight(route) for route in hung)
    healthy = lanes.send(3)
    for _ in range(3):
        lanes.bench.hand.pass_time(0.5)
        assert lanes.in_flight(healthy) == 1
        [mine] = [
            index
            for index, request in enumerate(lanes.bench.hand.on_wire)
            if request.lane is healthy.lane
        ]
        lanes.bench.hand.work(mine)
    assert len(lanes.bench.hand.on_wire) <= 20


def test_where_everything_comes_back_no_more_than_one_is_in_reserve() -> None:
    lanes = Lanes(max_workers=2)
    for _ in range(20):
        lanes.send(3)
    while lanes.bench.hand.on_wire:
        assert len(lanes.bench.hand.on_wire) <= 3
        lanes.bench.clock.now += 0.2  # slow, but it moves
        lanes.bench.hand.work()
    assert lanes.bench.core.stats().total.delivered == 60
    assert lanes.scheduler.shares.busy == 0
    lanes.bench.assert_at_rest()


def test_what_timed_out_holds_at_most_half_the_workers_together() -> None:
    def hangs(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1")

    lanes = Lanes(max_workers=6)
    wires = [Wire(f"t-{i}", limits=Limits(1, 100)) for i in range(8)]
    routes = [lanes.bench.route(wire) for wire in wires]
    for wire in wires:
        wire.reply = hangs
    for route in routes:
        lanes.send(4, route)
    for _ in range(40):  # every lane has timed out by then
        if lanes.bench.hand.on_wire:
            lanes.bench.hand.work()
        lanes.bench.hand.pass_time(1)
    assert all(route.lane.cautious for route in routes)
    assert len(lanes.bench.hand.on_wire) == 3
    assert all(lanes.in_flight(route) <= 1 for route in routes)
    for wire in wires:
        wire.reply = Wire().reply
    lanes.bench.hand.settle()
    assert lanes.bench.core.stats().total.delivered == 32
    lanes.bench.assert_at_rest()


def test_what_took_long_and_brought_no_answer_goes_one_at_a_time() -> None:
    lanes = Lanes(max_workers=10)
    wire = Wire(limits=Limits(1, 100))

    def hangs(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
        lanes.bench.clock.now += 9
        raise ConnectionError("the source of credentials hangs")

    wire.reply = hangs
    route = lanes.send(20, lanes.bench.route(wire))
    for _ in range(10):
        lanes.bench.hand.work()
    lanes.bench.hand.pass_time(10)
    assert lanes.in_flight(route) == 1


def test_an_endpoint_that_hangs_holds_no_other_up(endpoint: Endpoint) -> None:
    with (
        Gate(endpoint.port, "stall") as gate,
        publishing(max_workers=4, linger=0, read_timeout=HANGS, delivery_timeout=2 * HANGS) as made,
    ):
        hung = client_of(made, "sns", f"http://127.0.0.1:{gate.port}")
        stream = client_of(made, "kinesis", endpoint.url)
        publish(stream, "warm").result(SOON)
        core: Any = made._core
        for i in range(100):
            publish(hung, f"{i}")
        until(lambda: core.scheduler.shares.busy == 4)
        assert publish(stream, "beside one").result(SOON)
        for i in range(2):
            publish(hung, "one more", f"{TOPIC}-{i}")
            until(lambda i=i: core.scheduler.shares.busy == 5 + i)
            assert publish(stream, f"beside {i + 2}").result(SOON)
        gate.open()
        assert made.flush(SOON) == 0
    assert len(texts(endpoint.stored("kinesis"))) == 4


class HungSession(boto3.Session):
    """A session whose source of credentials hangs."""

    gate = threading.Event()

    def client(self, *args: Any, **kwargs: Any) -> Any:
        self.gate.wait(HANGS)
        return super().client(*args, **kwargs)


def test_credentials_that_hang_hold_no_other_up(endpoint: Endpoint) -> None:
    with publishing(linger=0, delivery_timeout=2 * HANGS) as made:
        session = HungSession()
        hung = client_of(made, "sns", endpoint.url, session=session)
        stream = client_of(made, "kinesis", endpoint.url)
        publish(stream, "warm").result(SOON)
        for i in range(600):
            publish(hung, f"{i}", f"{TOPIC}-{i % 6}")
        watch = Watch()
        for i in range(5):
            assert publish(stream, f"{i}").result(SOON)
        assert watch.seconds < SOON
        session.gate.set()
        assert made.flush(SOON) == 0
    assert len(texts(endpoint.stored())) == 606


# -- asked to stay away

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"x-amz-retry-after": "4000"}, 4),
        ({"retry-after": "4"}, 4),
        ({"retry-after": " 7 "}, 7),
        ({"x-amz-retry-after": "1500", "retry-after": "9"}, 1.5),
        ({"x-amz-retry-after": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "3600"}, 20),
        ({"x-amz-retry-after": "9" * 9}, 20),
        ({"retry-after": "-4"}, 0),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "9" * 5000}, 0),
        ({"retry-after": "\u0664"}, 0),
        ({"retry-after": email.utils.format_datetime(NOW + dt.timedelta(seconds=6), True)}, 0),
        (
            {
                "date": email.utils.format_datetime(NOW, True),
                "retry-after": email.utils.format_datetime(NOW + dt.timedelta(seconds=6), True),
            },
            6,
        ),
        (
            {
                "date": email.utils.format_datetime(NOW, True),
                "retry-after": email.utils.format_datetime(NOW - dt.timedelta(seconds=6), True),
            },
            0,
        ),
    ],
)
def test_what_an_answer_asks_for(headers: dict[str, str], seconds: float) -> None:
    assert wanted_pause({"HTTPHeaders": headers}) == seconds
    assert wanted_pause({}) == 0


def _once(answer: Answer) -> Callable[[Any], Answer]:
    left = [answer]
    return lambda _: left.pop() if left else Answer()


@pytest.mark.parametrize("service", ["sns", "kinesis"])
@pytest.mark.parametrize(
    ("header", "value", "pause"), [("x-amz-retry-after", "400", 0.4), ("Retry-After", "1", 1.0)]
)
def test_the_header_is_a_floor_of_the_backoff(
    endpoint: Endpoint, service: str, header: str, value: str, pause: float
) -> None:
    busy = Answer(error=Error(503, "ServiceUnavailable"), headers={header: value})
    endpoint.script(_once(busy))
    with publishing(retry=tries(2), linger=0) as made:
        target = client_of(made, service, endpoint.url)
        future = publish(target, "first")
        endpoint.wait_for(lambda: endpoint.request_count == 1)
        future.result(SOON)
        first, second = future.attempts
        assert (first.delay, second.delay) == (0.0, pause)
        # 20 ms: the wall clock is not the one that waits.
        assert second.started - first.started >= pause - 0.02


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("whole", [True, False])
def test_the_whole_lane_stays_away_and_no_other(ordered: bool, whole: bool) -> None:
    bench = Bench(linger=0.5)
    wire, other = Wire("busy", limits=Limits(2, 100)), Wire("other")
    route, beside = bench.route(wire, ordered=ordered), bench.route(other)
    metadata: Any = {"HTTPStatusCode": 503, "HTTPHeaders": {"retry-after": "4"}}

    def busy(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
        wire.reply = Wire().reply
        error: Any = {"Error": {"Code": "ServiceUnavailable"}, "ResponseMetadata": metadata}
        raise ClientError(error, "PublishBatch")

    def partly(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
        wire.reply = Wire().reply
        return [EntryError("Throttling", "later", False)] * len(entries)

    wire.reply, wire.metadata = (busy, {}) if whole else (partly, metadata)
    futures: list[Message] = [bench.publish(route, name, group=name) for name in "ab"]
    bench.hand.pass_time(0.5)
    bench.hand.work()
    began = bench.clock.now
    assert len(wire.requests) == 1
    wire.metadata = {}
    futures += [bench.publish(route, name, group=name) for name in "cdef"]
    beyond = bench.publish(beside, "x")
    bench.core.hurry()  # a flush does not shorten it
    bench.hand.step()
    while bench.hand.on_wire:
        bench.hand.work()
    assert beyond.done()
    bench.hand.pass_time(began + 3.99 - bench.clock.now)
    assert not bench.hand.on_wire
    bench.hand.settle()
    assert all(future.result(0) for future in futures)
    assert all(sent.at - began >= 4 for sent in wire.requests[1:])
    assert bench.clock.now - began < 5.5
    assert wire.broken == []
    bench.assert_at_rest()


def test_what_waits_for_a_lane_that_stays_away_ends_at_its_deadline() -> None:
    bench = Bench(linger=0, delivery_timeout=3)
    wire = Wire(limits=Limits(1, 100))
    route = bench.route(wire)
    metadata: Any = {"HTTPStatusCode": 503, "HTTPHeaders": {"retry-after": "10"}}

    def busy(_: Wire, entries: Sequence[Entry]) -> list[Any]:
        error: Any = {"Error": {"Code": "ServiceUnavailable"}, "ResponseMetadata": metadata}
        raise ClientError(error, "PublishBatch")

    wire.reply = busy
    first = bench.publish(route, "first")
    bench.hand.step()
    bench.hand.work()
    assert isinstance(first.exception(0), publisher.DeliveryTimeout)  # there is no time for a retry
    second = bench.publish(route, "second")
    bench.hand.pass_time(2.9)
    assert not second.done()
    bench.hand.pass_time(0.2)
    assert isinstance(second.exception(0), publisher.DeliveryTimeout)
    assert len(wire.requests) == 1
    bench.assert_at_rest()
