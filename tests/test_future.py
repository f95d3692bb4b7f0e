"""The light future does all that the standard library's does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import logging
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, Future, InvalidStateError
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from publisher import ForkedProcess, PublishFuture
from publisher._engine.message import Message
from publisher._engine.state import LOCK

from .hand import Bench, Wire

pytestmark = pytest.mark.every_python(
    "it takes the place of concurrent.futures.Future, whose inside differs by version"
)

SOON = 20
ERROR = ValueError("no")


@pytest.fixture
def bench() -> Bench:
    return Bench(linger=60)


@pytest.fixture
def make(bench: Bench) -> Any:
    route = bench.route(Wire())
    return lambda: bench.publish(route, "m")


def end(bench: Bench, future: Message, value: Any = None, kind: str = "delivered") -> None:
    assert bench.core.settler.settle(
        [future], [{"MessageId": "1"} if value is None else value], kind
    )
    bench.hand.run_calls()


def later(action: Any) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def test_it_is_pending_then_done(bench: Bench, make: Any) -> None:
    future = make()
    assert isinstance(future, Future)
    assert isinstance(future, PublishFuture)
    assert (future.done(), future.running(), future.cancelled()) == (False, False, False)
    assert "pending" in repr(future)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout=0)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.exception(timeout=0.01)
    end(bench, future)
    assert future.done()
    assert future.result() == future.result(0) == {"MessageId": "1"}
    assert future.exception() is None
    assert "delivered" in repr(future)
    assert not future.cancel()


def test_a_failure_is_raised_each_time_and_is_the_same_object(bench: Bench, make: Any) -> None:
    future = make()
    end(bench, future, (lambda one, two: ValueError(one + two), "a", "b"), "failed")
    with pytest.raises(ValueError, match="ab") as first:
        future.result()
    with pytest.raises(ValueError, match="ab") as second:
        future.result()
    assert first.value is second.value is future.exception()
    assert len(second.traceback) <= 3
    assert "failed ValueError" in repr(future)


def test_a_waiting_thread_is_woken(bench: Bench, make: Any) -> None:
    future, results = make(), []
    threads = [later(lambda: results.append(future.result(SOON))) for _ in range(3)]
    for _ in range(1000):
        if future._watch is not None and len(future._watch.waiters) == 3:
            break
        threads[0].join(0.01)
    end(bench, future)
    for thread in threads:
        thread.join(SOON)
    assert results == [{"MessageId": "1"}] * 3
    assert future._watch.waiters == []


def test_cancel(bench: Bench, make: Any) -> None:
    future = make()
    called: list[Any] = []
    future.add_done_callback(called.append)
    assert future.cancel()
    assert future.cancel()
    assert future.cancelled()
    assert future.done()
    bench.hand.run_calls()
    assert called == [future]
    with pytest.raises(CancelledError):
        future.result()
    with pytest.raises(CancelledError):
        future.exception()
    assert "cancelled" in repr(future)
    assert bench.core.flow.messages == 0


def test_only_the_publisher_resolves_it(make: Any) -> None:
    future = make()
    for resolve in (
        lambda: future.set_result({}),
        lambda: future.set_exception(ERROR),
        future.set_running_or_notify_cancel,
    ):
        with pytest.raises(InvalidStateError):
            resolve()


def test_it_can_be_neither_pickled_nor_copied(make: Any) -> None:
    future = make()
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(future)
    for copied in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be copied"):
            copied(future)


def test_callbacks_run_once_in_order_and_later_ones_at_once(bench: Bench, make: Any) -> None:
    future, called = make(), []
    for index in range(3):
        future.add_done_callback(lambda _, index=index: called.append(index))
    end(bench, future)
    assert called == [0, 1, 2]
    future.add_done_callback(lambda _: called.append(3))
    assert called == [0, 1, 2, 3]


def test_a_late_callback_that_raises_is_logged(
    bench: Bench, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    future = make()
    end(bench, future)
    with caplog.at_level(logging.ERROR, "publisher"):
        future.add_done_callback(lambda _: 1 / 0)
    assert "a done callback raised" in caplog.text


class TestTheStandardLibrary:
    @pytest.mark.parametrize("when", ["before", "while"])
    def test_wait(self, bench: Bench, make: Any, when: str) -> None:
        futures = [make() for _ in range(3)]
        plain: Future[Any] = Future()
        plain.set_result(1)

        def finish() -> None:
            end(bench, futures[0])
            end(bench, futures[1], ERROR, "failed")
            futures[2].cancel()

        thread = later(finish) if when == "while" else finish()
        done, rest = concurrent.futures.wait([*futures, plain], timeout=SOON)
        assert done == {*futures, plain}
        assert not rest
        if thread is not None:
            thread.join(SOON)

    def test_wait_for_the_first_exception(self, bench: Bench, make: Any) -> None:
        futures = [make() for _ in range(3)]
        thread = later(lambda: end(bench, futures[1], ERROR, "failed"))
        done, rest = concurrent.futures.wait(
            futures, timeout=SOON, return_when=concurrent.futures.FIRST_EXCEPTION
        )
        assert done == {futures[1]}
        assert len(rest) == 2
        thread.join(SOON)

    def test_as_completed(self, bench: Bench, make: Any) -> None:
        futures = [make() for _ in range(4)]
        seen = []
        end(bench, futures[2])
        for future in concurrent.futures.as_completed(futures, timeout=SOON):
            seen.append(future)
            left = [other for other in futures if not other.done()]
            if left:
                end(bench, left[-1])
        assert seen == [futures[i] for i in (2, 3, 1, 0)]

    def test_as_completed_times_out(self, make: Any) -> None:
        future = make()
        with pytest.raises(concurrent.futures.TimeoutError):
            next(concurrent.futures.as_completed([future], timeout=0.01))
        assert future._watch.waiters == []

    def test_wrap_future(self, bench: Bench, make: Any) -> None:
        good, bad = make(), make()

        async def main() -> Any:
            wrapped = [asyncio.wrap_future(good), asyncio.wrap_future(bad)]
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, end, bench, good)
            await loop.run_in_executor(None, end, bench, bad, ERROR, "failed")
            return await asyncio.gather(*wrapped, return_exceptions=True)

        assert asyncio.run(main()) == [{"MessageId": "1"}, ERROR]

    def test_a_cancelled_wait_cancels_the_message_and_a_shielded_one_does_not(
        self, make: Any
    ) -> None:
        bare, shielded = make(), make()

        async def main() -> None:
            for waiting in (
                asyncio.wrap_future(bare),
                asyncio.shield(asyncio.wrap_future(shielded)),
            ):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(waiting, 0.01)

        asyncio.run(main())
        assert bare.cancelled()
        assert not shielded.cancelled()


class TestInTheChildOfAFork:
    def test_a_live_future_has_ended_there(self, make: Any) -> None:
        future, called = make(), []
        with mock.patch.object(os, "getpid", return_value=-1):
            assert future.done()
            assert not future.running()
            assert not future.cancel()
            assert isinstance(future.exception(), ForkedProcess)
            with pytest.raises(ForkedProcess):
                future.result()
            assert concurrent.futures.wait([future], 0).done == {future}
            future.add_done_callback(called.append)
        assert called == [future]
        assert not future.done()
        assert future.cancel()

    def test_an_ended_one_keeps_its_outcome(self, bench: Bench, make: Any) -> None:
        future = make()
        end(bench, future)
        with mock.patch.object(os, "getpid", return_value=-1):
            assert future.result(0) == {"MessageId": "1"}

    def test_a_lock_that_another_thread_held_is_renewed(self) -> None:
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with LOCK.rlock:
                held.set()
                release.wait(SOON)

        thread = later(hold)
        held.wait(SOON)
        read, write = os.pipe()
        pid = os.fork()
        if not pid:  # pragma: no cover - another process
            other = Bench(linger=60)
            future = other.publish(other.route(), "m")
            os.write(write, b"ended" if future.cancel() else b"alive")
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as answer:
            assert answer.read() == "ended"
        os.waitpid(pid, 0)
        release.set()
        thread.join(SOON)


def test_waits_for_sets_that_share_a_foreign_future_do_not_block_each_other() -> None:
    # wait() locks the futures of a set in the order of their ids: were ours to share a lock, two
    # threads could each hold what the other wants.
    program = """
import concurrent.futures as cf, sys, threading
from tests.hand import Bench
sys.setswitchinterval(1e-6)
bench = Bench(linger=100, max_messages=100000)
route = bench.route()
mixed, shared = [], None
while shared is None:  # where they lie in memory is the allocator's to say
    mixed += [bench.publish(route, f"m{i}") if i % 2 else cf.Future() for i in range(2000)]
    ours = sorted((one for one in mixed if type(one) is not cf.Future), key=id)
    first, last = ours[0], ours[-1]
    between = [one for one in mixed if type(one) is cf.Future and id(first) < id(one) < id(last)]
    shared = between[0] if between else None
barrier = threading.Barrier(2)
def wait(futures):
    barrier.wait(20)
    for _ in range(3000):
        cf.wait(futures, timeout=0)
sets = ([first, shared], [shared, last])
threads = [threading.Thread(target=wait, args=(one,), daemon=True) for one in sets]
for thread in threads: thread.start()
for thread in threads: thread.join(40)
print("stuck" if any(thread.is_alive() for thread in threads) else "free", flush=True)
"""
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program + "import os; os._exit(0)"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
        check=False,
    )
    assert done.stdout.strip() == "free", done.stderr


class Asked:
    """A lock that says when somebody wants it, and is had when the test says so."""

    def __init__(self) -> None:
        self.wanted, self.free = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self.wanted.set()
        assert self.free.wait(SOON)

    def __exit__(self, *_: object) -> None:
        pass


def test_whose_end_waits_for_a_wait_keeps_nobody_from_the_account(bench: Bench, make: Any) -> None:
    # The thread inside wait() may be interrupted by a signal handler that publishes: it must find
    # every lock but that of the future free.
    future = make()
    held: Any = Asked()
    future._watching().lock = held
    ending = later(lambda: bench.core.settler.settle([future], [{}], "delivered"))
    assert held.wanted.wait(SOON)
    locks = (bench.core.account.lock, bench.core.flow.lock, LOCK.making)
    had = [lock.acquire(blocking=False) for lock in locks]
    held.free.set()
    for lock in (lock for lock, taken in zip(locks, had, strict=True) if taken):
        lock.release()
    ending.join(SOON)
    assert had == [True, True, True]
    assert future.done()


def test_a_new_destination_waits_for_no_lock(bench: Bench) -> None:
    # A signal handler that publishes to one may have interrupted a thread that holds what another
    # waits for under the account's lock.
    account = bench.core.account
    found: list[Any] = []

    def look() -> None:
        found.append(account.is_owner("sns:eu-west-1:new", "1"))
        found.append(account.counters("new", lambda: "new"))

    with account.lock:
        later(look).join(SOON)
        seen = list(found)
    assert seen == [True, account.counters("new", lambda: "other")]
