"""A new destination costs the same, however many there are."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from publisher import Publisher
from tests.hand import Bench, Wire
from tests.servers import Endpoint
from tests.support import assert_balanced, client_of

#: Where the cost grows with the number of destinations, the ratio is far above this.
STEADY = 8


@pytest.fixture(autouse=True)
def _no_garbage_is_collected() -> Iterator[None]:
    """What other tests left behind costs whoever collects it: half a second, at any time."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_the_caller_of_a_new_one_pays_no_more(endpoint: Endpoint) -> None:
    made = Publisher(linger=600, delivery_timeout=2000, close_timeout=0)
    stream = client_of(made, "kinesis", endpoint.url)
    costs = []
    for thousand in range(3):
        began = time.thread_time()
        for i in range(1000):
            stream.put_record(StreamName=f"s-{thousand}-{i}", Data=b"x", PartitionKey="k")
        costs.append(time.thread_time() - began)
    made.close(0)
    assert costs[2] < STEADY * costs[0]
    ledger = made.stats().total
    assert (ledger.accepted, ledger.dropped) == (3000, 3000)
    assert_balanced(made.stats())


@pytest.mark.parametrize("of_a_client", [False, True])
def test_who_waits_in_flush_pays_no_more_for_each(of_a_client: bool) -> None:
    def cost(count: int) -> float:
        bench = Bench(linger=0)
        routes = [bench.route(Wire(f"{i}")) for i in range(count)]
        for route in routes:
            bench.publish(route, "m")
        began = time.thread_time()
        lanes = [route.lane for route in routes] if of_a_client else None
        assert bench.core.flush(None, lanes) == 0
        spent = time.thread_time() - began
        bench.hand.settle()
        bench.assert_at_rest()
        return spent / count

    cost(50)  # what the first one imports
    assert cost(2400) < STEADY * cost(100)


def test_idle_ones_are_forgotten_all_the_same(endpoint: Endpoint) -> None:
    with Publisher(linger=0) as made:
        stream = client_of(made, "kinesis", endpoint.url)
        for part in range(2):
            for i in range(600):
                stream.put_record(StreamName=f"s-{part}-{i}", Data=b"x", PartitionKey="k")
            assert made.flush(60) == 0
        assert stream._binding is not None
        assert len(stream._binding.lanes) <= 1000
        assert made.stats().total.delivered == 1200
