"""Every record counted: many threads, one entry in ten failing, on a server that loses none."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.servers import Answer, FaultProxy, Kinesalite, Request, ShardLimit
from tests.support import SOON, client_of, publishing

THREADS, EACH = 16, 6_250
PATIENCE = 120  # seconds; it takes a tenth of that


@pytest.mark.heavy
def test_100_000_records_from_16_threads_with_one_entry_in_ten_failing(
    kinesalite: Kinesalite, proxy: Callable[..., FaultProxy]
) -> None:
    stream = kinesalite.stream(shards=4)
    faults = proxy(kinesalite.url, keep=False)
    dice, lock = random.Random(7), threading.Lock()
    failed = 0

    def script(request: Request) -> Answer:
        nonlocal failed
        count = len(request.entries)
        with lock:
            failing = [index for index in range(count) if dice.random() < 0.1]
            failed += len(failing)
        return Answer(failures=dict.fromkeys(failing, "InternalFailure"))

    faults.script(script)
    with publishing(
        linger=0.05, max_block=None, delivery_timeout=PATIENCE, read_timeout=PATIENCE
    ) as made:
        kinesis = client_of(made, "kinesis", faults.url)

        def work(thread: int) -> None:
            put = kinesis.put_record
            for i in range(EACH):
                put(StreamName=stream, Data=b"%d-%d" % (thread, i), PartitionKey=f"{thread}-{i}")

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, range(THREADS)))
        assert made.flush(PATIENCE) == 0
        ledger = made.stats().total
        assert made._core is not None
        assert (made._core.flow.messages, made._core.flow.bytes) == (0, 0)
    total = THREADS * EACH
    assert (ledger.accepted, ledger.delivered, ledger.outstanding) == (total, total, 0)
    assert ledger.retries == failed  # only what failed was sent again, and all of it
    assert 0.05 * total < failed < 0.2 * total
    assert ledger.requests == faults.request_count
    assert faults.count("kinesis") == total
    arrived = Counter(record["Data"] for record in kinesalite.records(stream))
    assert len(arrived) == total  # none lost
    assert set(arrived.values()) == {1}  # none twice


def test_a_throttled_shard_loses_nothing(
    kinesalite: Kinesalite, proxy: Callable[..., FaultProxy]
) -> None:
    """More than two shards take in a second, through a token bucket for each."""
    stream = kinesalite.stream(shards=2)
    # Hardly anything at first, so that something is throttled however slow this machine is.
    faults = proxy(kinesalite.url, shards=2, shard_limit=ShardLimit(records=0.001))
    with publishing(delivery_timeout=60) as made:
        kinesis = client_of(made, "kinesis", faults.url)
        futures = [
            kinesis.put_record(StreamName=stream, Data=b"%d" % i, PartitionKey=f"{i}")
            for i in range(1_500)
        ]
        faults.wait_for(lambda: faults.requests and faults.requests[0].finished)
        faults.shard_limit = ShardLimit(records=500)
        for future in futures:
            assert future.result(SOON)["SequenceNumber"]
        throttled = [future for future in futures if len(future.attempts) > 1]
        assert throttled
        for future in throttled:
            seen = {attempt.error_code for attempt in future.attempts[:-1]}
            assert seen == {"ProvisionedThroughputExceededException"}
    arrived = Counter(record["Data"] for record in kinesalite.records(stream))
    assert arrived == Counter({b"%d" % i: 1 for i in range(1_500)})
