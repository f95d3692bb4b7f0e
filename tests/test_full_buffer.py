"""At the bound: the four behaviours of on_full, and who is held for how long."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import publisher
from publisher._engine.state import LOCK
from tests.servers import Answer, Endpoint
from tests.support import (
    SOON,
    TOPIC,
    Watch,
    assert_balanced,
    client_of,
    publish,
    publish_all,
    publishing,
    texts,
    until,
)

pytestmark = pytest.mark.every_python(
    "callers are held by locks, signals and event loops of each Python"
)


@contextlib.contextmanager
def full(
    endpoint: Endpoint, on_the_wire: int = 1, waiting: int = 2, **options: Any
) -> Iterator[tuple[publisher.Client, list[publisher.PublishFuture], threading.Event]]:
    """A full buffer: so many messages are held on the wire, one a request, and so many wait."""
    gate = threading.Event()
    endpoint.script(Answer(hold=gate))
    bound = on_the_wire + waiting
    with publishing(
        **{"max_messages": bound, "max_workers": on_the_wire, "linger": 0, **options}
    ) as made:
        sns = client_of(made, "sns", endpoint.url)
        futures = []
        for i in range(on_the_wire):
            futures.append(publish(sns, f"sent {i}"))
            endpoint.wait_for(lambda count=i + 1: endpoint.request_count == count)
        futures += [publish(sns, f"waits {i}") for i in range(waiting)]
        assert made._core is not None
        assert made._core.flow.messages == bound
        try:
            yield sns, futures, gate
        finally:
            gate.set()


def assert_buffer_full(future: publisher.PublishFuture) -> None:
    assert future.done()
    error = future.exception(0)
    assert isinstance(error, publisher.BufferFull)
    assert "max_messages" in str(error)
    assert "max_bytes" in str(error)
    assert future.attempts == ()
    assert not future.cancel()


def test_block_holds_the_caller_for_max_block(endpoint: Endpoint) -> None:
    with full(endpoint, on_full="block", max_block=0.2) as (sns, futures, gate):
        watch = Watch()
        late = publish(sns, "late")
        assert 0.2 <= watch.seconds < 5
        assert_buffer_full(late)
        gate.set()
        for future in futures:
            future.result(SOON)
        assert publish(sns, "room again").result(SOON)["MessageId"]
        ledger = sns._publisher.stats().total
    assert (ledger.accepted, ledger.delivered, ledger.dropped) == (5, 4, 1)
    assert ledger.dropped_by_reason["buffer_full"] == 1
    assert "late" not in texts(endpoint.entries)


def test_block_lets_the_caller_in_as_soon_as_there_is_room(endpoint: Endpoint) -> None:
    with (
        full(endpoint, on_full="block", max_block=None) as (sns, futures, gate),
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        flow = sns._publisher._core.flow  # type: ignore[union-attr]
        held = [pool.submit(publish, sns, f"held {i}") for i in range(4)]
        until(lambda: flow.waiting == 4)
        assert not any(each.done() for each in held)
        gate.set()
        for each in held:
            assert each.result(SOON).result(SOON)["MessageId"]
        for future in futures:
            future.result(SOON)
    assert len(texts(endpoint.stored())) == 7


@pytest.mark.parametrize("max_block", [60, None])
def test_a_thread_with_a_running_event_loop_is_never_held(
    endpoint: Endpoint, max_block: float | None
) -> None:
    with full(endpoint, on_full="block", max_block=max_block) as (sns, _, _):

        async def view() -> float:
            watch = Watch()
            assert_buffer_full(publish(sns, "from a loop"))
            whole = publish_all(sns, ["a", "b"])  # nothing of it could be sent: it raises
            assert isinstance(whole.exception(0), publisher.BufferFull)
            return watch.seconds

        assert asyncio.run(view()) < SOON / 2


def test_whom_an_event_loop_keeps_from_waiting_has_nothing_sent_before_its_time(
    endpoint: Endpoint,
) -> None:
    with publishing(max_messages=2, linger=SOON, delivery_timeout=4 * SOON) as made:
        sns = client_of(made, "sns", endpoint.url)
        waits = [publish(sns, f"waits {i}") for i in range(2)]

        async def view() -> None:
            assert_buffer_full(publish(sns, "from a loop"))

        asyncio.run(view())
        core = waits[0].route.lane.core  # type: ignore[attr-defined]
        with core.tracker.lock:
            assert not core.scheduler._hurried
            assert waits[0].route.lane.flush_until < 0  # type: ignore[attr-defined]


def test_drop_drops_the_newest(endpoint: Endpoint) -> None:
    with full(endpoint, on_full="drop", max_block=60) as (sns, futures, gate):
        watch = Watch()
        dropped = [publish(sns, f"new {i}") for i in range(10)]
        assert watch.seconds < SOON
        for future in dropped:
            assert_buffer_full(future)
        gate.set()
        for future in futures:
            assert future.result(SOON)["MessageId"]
        assert sns._publisher.stats().total.dropped == 10
    assert sorted(texts(endpoint.stored())) == ["sent 0", "waits 0", "waits 1"]


def test_drop_oldest_drops_no_more_than_it_needs_while_others_are_held(endpoint: Endpoint) -> None:
    with (
        full(endpoint, on_full="drop_oldest", waiting=50) as (sns, futures, gate),
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        flow = sns._publisher._core.flow  # type: ignore[union-attr]
        held = pool.submit(publish_all, sns, [f"entry {i}" for i in range(100)])
        # Not the ticket for a whole request, which is soon given up.
        until(lambda: [ticket.count for ticket in list(flow._queue)] == [1])
        fresh = [publish(sns, f"new {i}") for i in range(5)]
        assert sns._publisher.stats().total.dropped == 5
        for future in futures[1:6]:
            assert_buffer_full(future)
        gate.set()
        for future in [*futures[6:], *fresh, held.result(SOON)]:
            future.result(SOON)


def test_drop_oldest_drops_the_oldest_unsent(endpoint: Endpoint) -> None:
    with full(endpoint, on_full="drop_oldest", waiting=3) as (sns, futures, gate):
        new = [publish(sns, f"new {i}") for i in range(2)]
        other = publish(sns, "other", TOPIC + "-other")
        for future in futures[1:]:
            assert_buffer_full(future)
        gate.set()
        for future in (futures[0], *new, other):
            assert future.result(SOON)["MessageId"]
    assert sorted(texts(endpoint.stored())) == ["new 0", "new 1", "other", "sent 0"]


def test_drop_oldest_drops_the_newest_where_none_is_unsent(endpoint: Endpoint) -> None:
    with full(endpoint, on_the_wire=2, waiting=0, on_full="drop_oldest") as (sns, futures, gate):
        assert_buffer_full(publish(sns, "new"))
        gate.set()
        for future in futures:
            future.result(SOON)


def test_raise_raises_and_accepts_nothing(endpoint: Endpoint) -> None:
    with full(endpoint, on_full="raise") as (sns, futures, gate):
        for _ in range(3):
            with pytest.raises(publisher.BufferFull, match="max_messages=3"):
                publish(sns, "new")
        assert sns._publisher.stats().total.accepted == 3
        gate.set()
        for future in futures:
            future.result(SOON)


@pytest.mark.parametrize("on_full", ["drop", "raise", "drop_oldest", "block"])
def test_the_bound_on_bytes(endpoint: Endpoint, on_full: str) -> None:
    with full(endpoint, on_full=on_full, max_messages=1000, max_bytes=25, max_block=0) as (
        sns,
        futures,
        gate,
    ):
        # "sent 0", "waits 0", "waits 1" are 20 bytes: 5 are left
        assert not publish(sns, "12345").done()
        if on_full == "raise":
            with pytest.raises(publisher.BufferFull):
                publish(sns, "1")
        elif on_full == "drop_oldest":
            accepted = publish(sns, "x" * 14)  # costs both that wait
            assert not accepted.done()
            for future in futures[1:]:
                assert_buffer_full(future)
        else:
            assert_buffer_full(publish(sns, "1"))
        ledger = sns._publisher.stats().total
        assert ledger.outstanding_bytes <= 25
        gate.set()


@pytest.mark.parametrize("on_full", ["block", "drop", "drop_oldest", "raise"])
def test_a_batch_call_is_held_until_all_are_in(endpoint: Endpoint, on_full: str) -> None:
    """Whatever on_full says: a batch of the caller's is larger than any bound may be."""
    with publishing(on_full=on_full, max_messages=3, max_block=0) as made:
        kinesis = client_of(made, "kinesis", endpoint.url)
        response = publish_all(kinesis, [f"{i}" for i in range(50)]).result(SOON)
        assert response["FailedRecordCount"] == 0
    assert sorted(map(int, texts(endpoint.stored()))) == list(range(50))


def test_what_found_no_room_in_time_is_a_failed_entry(endpoint: Endpoint) -> None:
    with full(endpoint, waiting=0, max_messages=3, max_workers=4) as (sns, _, gate):
        impatient = sns.with_options(delivery_timeout=2)
        future = publish_all(impatient, [f"{i}" for i in range(5)])  # room for two, and no more
        gate.set()
        response = future.result(SOON)
        assert_balanced(sns._publisher.stats())
    failed = {entry["Id"]: entry["Code"] for entry in response["Failed"]}
    assert failed == dict.fromkeys("234", "BufferFull")
    assert {entry["Id"] for entry in response["Successful"]} == {"0", "1"}


def test_a_close_sends_away_who_waits_for_room(endpoint: Endpoint) -> None:
    with (
        full(endpoint, on_full="block", max_block=None) as (sns, futures, gate),
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        made = sns._publisher
        held = pool.submit(publish, sns, "held")
        until(lambda: made._core.flow.waiting == 1)  # type: ignore[union-attr]
        made.close(0)
        with pytest.raises(publisher.PublisherClosed):
            held.result(SOON)
        gate.set()
        outcomes = [future.exception(SOON) for future in futures]
        assert [type(error).__name__ for error in outcomes] == ["PublisherClosed"] * 3
        unknown = [error.outcome_unknown for error in outcomes]  # type: ignore[union-attr]
        assert unknown == [True, False, False]


@contextlib.contextmanager
def signalled_when_held(sns: publisher.Client) -> Iterator[None]:
    """SIGALRM comes 0.1 s after a caller has begun to wait for room."""
    flow = sns._publisher._core.flow  # type: ignore[union-attr]

    def arm() -> None:
        until(lambda: flow.waiting)
        signal.setitimer(signal.ITIMER_REAL, 0.1)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        armed = pool.submit(arm)
        yield
        armed.result(SOON)


def test_an_interrupt_while_held_leaks_no_permit(endpoint: Endpoint) -> None:
    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with full(endpoint, on_full="block", max_block=None) as (sns, futures, gate):
            for call in (lambda: publish(sns, "m"), lambda: publish_all(sns, ["a", "b"])):
                with pytest.raises(KeyboardInterrupt), signalled_when_held(sns):
                    call()
            gate.set()
            for future in futures:
                future.result(SOON)
            assert sns._publisher.flush(SOON) == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_may_publish_into_a_full_buffer(endpoint: Endpoint) -> None:
    """It interrupts a publish() that is held: it drops, and never waits."""
    from_handler: list[publisher.PublishFuture] = []
    before: Any = None
    try:
        with full(endpoint, on_full="block", max_block=1) as (sns, _, gate):

            def handler(number: int, frame: Any) -> None:
                from_handler.append(publish(sns, "from the handler"))

            before = signal.signal(signal.SIGALRM, handler)
            with signalled_when_held(sns):
                assert_buffer_full(publish(sns, "held"))
            gate.set()
        assert_buffer_full(from_handler[0])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_who_holds_the_futures_lock_waits_for_nobody(endpoint: Endpoint) -> None:
    """As a finaliser does that runs while a future is looked at."""

    def inside() -> publisher.PublishFuture:
        with LOCK.rlock:
            return publish(sns, "new")  # type: ignore[no-any-return]

    for on_full in ("block", "drop_oldest"):
        with (
            full(endpoint, on_full=on_full, max_block=None) as (sns, futures, gate),
            concurrent.futures.ThreadPoolExecutor(1) as pool,
        ):
            new = pool.submit(inside).result(SOON)
            assert isinstance(new.exception(SOON), publisher.BufferFull)
            gate.set()
            for future in futures:
                future.result(SOON)
        endpoint.clear()


def test_many_threads_at_the_bound(endpoint: Endpoint) -> None:
    """With room for a few, many get through, none is lost, no bound is exceeded."""
    most = 0

    def script(request: Any) -> None:
        nonlocal most
        assert made._core is not None
        most = max(most, made._core.flow.messages)

    endpoint.script(script)
    with publishing(max_messages=20, max_block=None, max_workers=4) as made:
        kinesis = client_of(made, "kinesis", endpoint.url)

        def work(thread: int) -> list[publisher.PublishFuture]:
            return [publish(kinesis, f"{thread}-{i}") for i in range(100)]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for futures in pool.map(work, range(8)):
                for future in futures:
                    future.result(SOON)
    assert len(set(texts(endpoint.stored()))) == 800
    assert most <= 20 + 8  # without a lock two may pass the comparison together, never many
