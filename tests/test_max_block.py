"""How long a full buffer holds its callers: as long as services speak, and no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
import tenacity
from botocore.exceptions import ConnectTimeoutError

import publisher
from publisher._engine.contract import EntryError, Limits
from tests.gate import Gate
from tests.hand import Bench, Entry, Wire, delivered
from tests.servers import Endpoint
from tests.support import SOON, Watch, client_of, publish, publishing, texts, until

pytestmark = pytest.mark.every_python(
    "threads race here, and where the GIL changes hands is each Python's own"
)

Made = tuple[Bench, Wire, Callable[[str], Any]]


def bench_of(reply: Callable[[Bench, Sequence[Entry]], list[Any]], **options: Any) -> Made:
    """A buffer of two messages, one worker, one message a request."""
    options = {"max_messages": 2, "max_workers": 1, "delivery_timeout": 60, **options}
    bench = Bench(retry=publisher.retry_policy(wait=tenacity.wait_fixed(0.2)), **options)
    wire = Wire(limits=Limits(1, 100))
    wire.reply = lambda _, entries: reply(bench, entries)
    route = bench.route(wire)
    return bench, wire, lambda name: bench.publish(route, name)


def slow(bench: Bench, entries: Sequence[Entry]) -> list[Any]:
    bench.clock.now += 0.9
    return delivered(Wire(), entries)


def dead(bench: Bench, entries: Sequence[Entry]) -> list[Any]:
    bench.clock.now += 0.3
    raise ConnectTimeoutError(endpoint_url="http://127.0.0.1")


def is_full(future: Any) -> bool:
    return future.done() and isinstance(future.exception(0), publisher.BufferFull)


def test_a_buffer_that_moves_loses_nothing() -> None:
    bench, _, send = bench_of(slow)
    futures = [send(f"{i}") for i in range(50)]
    bench.hand.settle()
    assert all(future.result(0) for future in futures)
    bench.assert_at_rest()


def test_answers_that_refuse_are_progress() -> None:
    def throttled(bench: Bench, entries: Sequence[Entry]) -> list[Any]:
        bench.clock.now += 0.9
        return [EntryError("Throttling", "later", False)] * len(entries)

    bench, _, send = bench_of(throttled, delivery_timeout=7)
    first = bench.clock.now
    futures = [send(f"{i}") for i in range(3)]
    assert not is_full(futures[-1])  # held until one of them had ended
    assert bench.clock.now - first >= 5
    bench.hand.settle()
    bench.assert_at_rest()


def test_a_dead_service_costs_one_max_block() -> None:
    bench, _, send = bench_of(dead)
    began = bench.clock.now
    kept = [send("a"), send("b")]
    assert is_full(send("held"))
    assert 1.0 <= bench.clock.now - began < 5
    began = bench.clock.now
    assert all(is_full(send(f"{i}")) for i in range(100))
    assert bench.clock.now == began
    assert not any(future.done() for future in kept)
    bench.hand.settle()
    bench.assert_at_rest()


def test_expiry_and_cancel_are_no_progress() -> None:
    bench, _, send = bench_of(dead, delivery_timeout=3)
    futures = [send("a"), send("b")]
    assert is_full(send("held"))
    bench.hand.settle()
    assert not any(future.cancelled() for future in futures)  # they expired: there is room
    futures = [send("c"), send("d")]
    bench.hand.step()
    began = bench.clock.now
    assert is_full(send("at once"))
    assert futures[1].cancel()
    assert not is_full(send("in its place"))
    assert is_full(send("at once again"))
    assert bench.clock.now == began
    bench.hand.settle()
    bench.assert_at_rest()


def test_callers_are_held_again_once_a_service_has_answered() -> None:
    bench, wire, send = bench_of(dead)
    futures = [send("a"), send("b")]
    assert is_full(send("lost"))
    wire.reply = lambda _, entries: slow(bench, entries)
    bench.hand.settle()
    futures += [send(f"{i}") for i in range(10)]
    bench.hand.settle()
    assert all(future.result(0) for future in futures)
    bench.assert_at_rest()


def test_to_make_the_client_is_no_silence() -> None:
    bench, wire, send = bench_of(slow)
    wire.making = True
    futures = [send("a"), send("b")]
    bench.hand.step()
    making = bench.hand.on_wire.pop()  # its worker is at it for 30 s
    bench.core.scheduler.alarm = bench.clock.now + 30

    def made() -> None:
        wire.making = False
        bench.hand.on_wire.append(making)

    run, began = bench.hand.run, bench.clock.now

    def until_made(timeout: float | None, done: Callable[[], bool]) -> bool:
        if wire.making and bench.clock.now >= began + 30:
            made()
        return run(timeout, done)

    bench.hand.run = until_made  # type: ignore[method-assign]
    futures.append(send("held all that time"))
    bench.hand.settle()
    assert bench.clock.now - began >= 30
    assert all(future.result(0) for future in futures)
    bench.assert_at_rest()


@pytest.mark.parametrize("max_block", [100.0, None])
def test_nobody_is_held_beyond_delivery_timeout(max_block: float | None) -> None:
    bench, wire, send = bench_of(dead, max_block=max_block, delivery_timeout=20)
    wire.making = True
    futures = [send("a"), send("b")]
    bench.hand.step()
    stuck = bench.hand.on_wire.pop()  # a worker that does not come back
    impatient = futures[0].route.lane.route(bench.core.delivery("sns", {"delivery_timeout": 5}))
    began = bench.clock.now
    assert is_full(bench.publish(impatient, "held"))
    assert bench.clock.now - began == pytest.approx(5)
    bench.hand.on_wire.append(stuck)
    bench.hand.settle()
    bench.assert_at_rest()


def test_views_of_a_process_whose_endpoint_hangs_pay_once(endpoint: Endpoint) -> None:
    with (
        Gate(endpoint.port, "stall") as gate,
        publishing(max_messages=4, max_workers=2) as made,
        ThreadPoolExecutor(4) as pool,
    ):
        sns = client_of(made, "sns", f"http://127.0.0.1:{gate.port}")
        waiting = [publish(sns, f"m-{i}") for i in range(4)]
        _ = sns.meta  # its boto3 client is made
        watch = Watch()
        first = [pool.submit(publish, sns, f"held {i}") for i in range(4)]
        assert all(is_full(each.result(SOON)) for each in first)
        assert watch.seconds >= 0.9
        core: Any = made._core
        gave_up = core.patience.gave_up
        lost = [publish(sns, f"at once {i}") for i in range(500)]
        assert all(map(is_full, lost))
        assert core.patience.gave_up == gave_up  # none of them waited its time out
        gate.open()
        for future in waiting:
            assert future.result(SOON)
        more = [publish(sns, f"again {i}") for i in range(100)]
        assert all(future.result(SOON) for future in more)
    assert len(set(texts(endpoint.stored()))) == 104


class SlowSession(boto3.Session):
    """An application's session that takes its time to make a client."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def client(self, *args: Any, **kwargs: Any) -> Any:
        self.gate.wait(SOON)
        return super().client(*args, **kwargs)


def test_a_client_that_takes_longer_than_max_block_loses_nothing(endpoint: Endpoint) -> None:
    session = SlowSession()
    with publishing(max_messages=2, max_block=0.2) as made, ThreadPoolExecutor(1) as pool:
        sns = client_of(made, "sns", endpoint.url, session=session)
        futures = [publish(sns, "a"), publish(sns, "b")]
        held = pool.submit(publish, sns, "held")
        watch = Watch()
        until(lambda: watch.seconds > 0.8)
        assert not held.done()
        session.gate.set()
        futures.append(held.result(SOON))
        assert all(future.result(SOON) for future in futures)
    assert sorted(texts(endpoint.stored())) == ["a", "b", "held"]
