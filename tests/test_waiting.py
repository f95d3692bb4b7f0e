"""Who waits for a message ends its linger; who only sends keeps full batches."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import publisher
from tests.hand import Bench, Wire
from tests.servers import Answer, Endpoint, Error
from tests.support import FIFO_TOPIC, SOON, client, publish, publish_all, texts, until

pytestmark = pytest.mark.every_python(
    "who waits stands in concurrent.futures or asyncio, whose inside differs by version"
)

LINGER = 600  # seconds: whoever lingers is not back before the test gives up


async def _await(future: Any) -> Any:
    return await future


WAYS: dict[str, Callable[[Any], Any]] = {
    "result": lambda future: future.result(SOON),
    "exception": lambda future: future.exception(SOON) or future.result(0),
    "await": lambda future: asyncio.run(asyncio.wait_for(_await(future), SOON)),
}


@contextlib.contextmanager
def lingering(service: str, endpoint: Endpoint, **options: Any) -> Iterator[publisher.Client]:
    options = {"linger": LINGER, "delivery_timeout": 2 * LINGER, "close_timeout": 0, **options}
    with client(service, endpoint.url, **options) as made:
        yield made


@pytest.mark.parametrize("service", ["sns", "kinesis"])
@pytest.mark.parametrize("way", WAYS)
def test_who_waits_is_not_held_by_the_linger(endpoint: Endpoint, service: str, way: str) -> None:
    with lingering(service, endpoint) as made:
        company = publish(made, "first")
        future = publish(made, "second")
        assert WAYS[way](future)["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert company.result(0)  # it came along
    assert endpoint.request_count == 1


@pytest.mark.parametrize("way", WAYS)
def test_who_waits_for_a_whole_call_is_not_held_either(endpoint: Endpoint, way: str) -> None:
    with lingering("kinesis", endpoint) as made:
        bodies = [f"{i}" for i in range(501)]  # a full request, and one that would linger
        assert WAYS[way](publish_all(made, bodies))["FailedRecordCount"] == 0
    assert sorted(texts(endpoint.stored())) == sorted(bodies)


def test_who_waits_for_an_ordered_message_is_not_held_either(endpoint: Endpoint) -> None:
    with lingering("sns", endpoint) as made:
        ids = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
        assert publish(made, "in order", FIFO_TOPIC, **ids).result(SOON)["MessageId"]


def test_the_retry_of_who_waits_does_not_linger(endpoint: Endpoint) -> None:
    endpoint.script(_once(Answer(error=Error(503, "ServiceUnavailable"))))
    with lingering("kinesis", endpoint) as made:
        future = publish(made, "again")
        assert future.result(SOON)
        assert len(future.attempts) == 2


def _once(answer: Answer) -> Callable[[Any], Answer]:
    left = [answer]

    def script(_: Any) -> Answer:
        return left.pop() if left else Answer()

    return script


def test_many_who_wait_share_requests_when_no_worker_is_free(endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.script(_once(Answer(hold=gate)))
    with (
        lingering("kinesis", endpoint, max_workers=1) as made,
        concurrent.futures.ThreadPoolExecutor(9) as pool,
    ):
        waiting = [pool.submit(publish(made, "held").result, SOON)]
        endpoint.wait_for(lambda: endpoint.request_count == 1)
        futures = [publish(made, f"{i}") for i in range(8)]
        waiting += [pool.submit(future.result, SOON) for future in futures]
        # Each has said that it waits before the worker is free.
        until(lambda: all(future._watch and future._watch.waiters for future in futures))
        lane = futures[-1].route.lane
        until(lambda: lane.flush_until >= futures[-1].accepted)
        gate.set()
        assert all(each.result(SOON) for each in waiting)
    assert [len(request.entries) for request in endpoint.requests] == [1, 8]


def test_who_only_looks_or_never_waits_keeps_full_batches() -> None:
    bench, wire = Bench(linger=1.0), Wire()
    route = bench.route(wire)
    futures = [bench.publish(route, f"{i}") for i in range(3)]
    for future in futures:
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(0)
        assert not future.done()
    bench.hand.pass_time(0.5)
    assert wire.sent == []
    futures += [bench.publish(route, f"{i}") for i in range(3, 10)]
    bench.hand.settle()
    assert wire.sent == [[f"{i}" for i in range(10)]]
    bench.assert_at_rest()


def test_a_cancelled_wait_leaves_the_message_on_its_way(endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.script(Answer(hold=gate))

    async def view(made: publisher.Client) -> Any:
        first, second = publish(made, "first"), publish(made, "second")
        task = asyncio.ensure_future(_await(first))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_await(second), 0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not first.cancelled()
        assert not second.cancelled()
        gate.set()
        return [await first, await second]

    with lingering("sns", endpoint) as made:
        assert all(response["MessageId"] for response in asyncio.run(view(made)))
    assert sorted(texts(endpoint.stored())) == ["first", "second"]


def test_await_raises_what_result_raises(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(404, "NotFound")))

    async def view(made: publisher.Client) -> None:
        future = publish(made, "lost")
        with pytest.raises(made.exceptions.NotFoundException):
            await future
        with pytest.raises(made.exceptions.NotFoundException):
            await future  # it has ended: again at once
        cancelled = publish(made, "cancelled")
        assert cancelled.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            await cancelled

    with lingering("sns", endpoint) as made:
        asyncio.run(view(made))


def test_a_loop_that_is_closed_before_the_end_troubles_nobody(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    endpoint.script(Answer(hold=gate))
    with lingering("sns", endpoint) as made:
        future = publish(made, "outlives the loop")
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(asyncio.wait_for(_await(future), 0.05))
        gc.collect()
        gate.set()
        assert future.result(SOON)
    assert caplog.records == []


def test_await_elsewhere_says_where_it_works(endpoint: Endpoint) -> None:
    with lingering("sns", endpoint) as made:
        future = publish(made, "no loop")
        with pytest.raises(RuntimeError, match="no running event loop"):
            future.__await__().send(None)
        assert future.result(SOON)
