"""FIFO topics: order within a group, across retries and partial failures; ids that never change."""

from __future__ import annotations

import concurrent.futures
import itertools
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

import publisher
from tests.servers import Answer, Endpoint, Error, Failure, FaultProxy, Moto, Request, Topic
from tests.support import FIFO_TOPIC, SOON, client, client_of, codes, publishing, texts, tries

pytestmark = pytest.mark.every_python(
    "threads race here, and where the GIL changes hands is each Python's own"
)

GROUPS, EACH = 7, 12


def send(
    sns: publisher.Client, group: int | str, number: int, topic: str = FIFO_TOPIC, **more: Any
) -> publisher.PublishFuture:
    body = f"{group}:{number}"
    fields = {"MessageDeduplicationId": f"dedup-{body}", **more}
    return sns.publish(TopicArn=topic, Message=body, MessageGroupId=f"{group}", **fields)


def by_group(bodies: list[str]) -> dict[str, list[int]]:
    found = defaultdict(list)
    for body in bodies:
        group, _, number = body.rpartition(":")
        found[group].append(int(number))
    return dict(found)


def assert_one_entry_of_a_group_on_the_wire(requests: list[Request]) -> None:
    """Never two in one request, never two requests at once."""
    assert all(request.finished for request in requests)
    busy: dict[str | None, float] = {}
    for request in sorted(requests, key=lambda request: request.arrived):
        groups = [entry.group_id for entry in request.entries]
        assert len(groups) == len(set(groups))
        for group in groups:
            assert busy.get(group, 0) <= request.arrived
            busy[group] = request.finished or 0


def assert_ids_never_change(requests: list[Request]) -> Counter[str]:
    """How often each body was on the wire."""
    seen: dict[str, str | None] = {}
    count: Counter[str] = Counter()
    for request in requests:
        for entry in request.entries:
            body = entry.data.decode()
            count[body] += 1
            assert seen.setdefault(body, entry.deduplication_id) == entry.deduplication_id
    return count


def failing(seed: int, rate: float = 0.25) -> Callable[[Request], Answer | None]:
    """Entries fail at random, and some requests as a whole."""
    dice = random.Random(seed)
    lock = threading.Lock()

    def script(request: Request) -> Answer | None:
        if request.operation != "PublishBatch":
            return None
        with lock:
            whole = dice.random()
            failed = [i for i in range(len(request.entries)) if dice.random() < rate]
        if whole < 0.05:
            return Answer(error=Error(500, "InternalFailure"))
        if whole < 0.1:
            return Answer(reset="before")
        return Answer(failures=dict.fromkeys(failed, "InternalError"))

    return script


def drained(topic: Topic, count: int) -> list[str]:
    return [message.body for message in topic.drain(count)]


@pytest.mark.parametrize("seed", [1, 2])
def test_order_in_a_group_across_retries_and_partial_failures(
    moto_server: Moto, proxy: Callable[..., FaultProxy], seed: int
) -> None:
    topic, faults = moto_server.topic(fifo=True), proxy(moto_server.url)
    faults.script(failing(seed))
    with client("sns", faults.url) as sns:
        futures = [send(sns, g, i, topic.arn) for i in range(EACH) for g in range(GROUPS)]
        for future in futures:
            assert future.result(SOON)["MessageId"]
    faults.wait_for(lambda: all(request.finished for request in faults.requests))
    assert_one_entry_of_a_group_on_the_wire(faults.requests)
    assert max(assert_ids_never_change(faults.requests).values()) > 1  # there were retries
    wanted = {f"{group}": list(range(EACH)) for group in range(GROUPS)}
    assert by_group(texts(faults.stored())) == wanted
    assert by_group(drained(topic, GROUPS * EACH)) == wanted


def test_a_lost_answer_is_de_duplicated_by_the_service(
    moto_server: Moto, proxy: Callable[..., FaultProxy]
) -> None:
    """Stored, the answer lost, sent again with the same id: once in the queue, in order."""
    topic, faults = moto_server.topic(fifo=True), proxy(moto_server.url)
    faults.script(
        lambda request: (
            Answer(reset="after")
            if request.operation == "PublishBatch" and request.number % 3 == 1
            else None
        )
    )
    with client("sns", faults.url) as sns:
        futures = [send(sns, g, i, topic.arn) for i in range(6) for g in range(3)]
        for future in futures:
            future.result(SOON)
    assert len(faults.stored()) > 18
    assert_ids_never_change(faults.requests)
    assert by_group(drained(topic, 18)) == {f"{group}": list(range(6)) for group in range(3)}


def test_no_id_is_invented_for_a_content_based_topic() -> None:
    with Endpoint(strict=True) as endpoint, client("sns", endpoint.url) as sns:
        attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
        created = sns.create_topic(Name="content.fifo", Attributes=attributes)
        arn = created.result(SOON)["TopicArn"]
        endpoint.script(failing(3))
        futures = [
            sns.publish(TopicArn=arn, Message=f"{g}:{i}", MessageGroupId=f"{g}")
            for i in range(6)
            for g in range(3)
        ]
        for future in futures:
            future.result(SOON)
        assert {entry.deduplication_id for entry in endpoint.entries} == {None}
        assert by_group(texts(endpoint.stored())) == {
            f"{group}": list(range(6)) for group in range(3)
        }


def test_groups_do_not_wait_for_each_other(endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.script(
        lambda request: Answer(hold=gate) if "slow:0" in texts(request.entries) else None
    )
    with client("sns", endpoint.url, linger=0) as sns:
        slow = [send(sns, "slow", i) for i in range(3)]
        endpoint.wait_for(lambda: endpoint.request_count)
        # the lane counts groups in tens: with a second ten there is a second request. They come in
        # together: the last few of a slow caller would have no ten to go with.
        entries = [
            {"Id": f"{g}-{i}", "Message": f"quick-{g}:{i}", "MessageGroupId": f"quick-{g}"}
            for i in range(3)
            for g in range(20)
        ]
        quick = sns.publish_batch(TopicArn=FIFO_TOPIC, PublishBatchRequestEntries=entries)
        assert len(quick.result(SOON)["Successful"]) == 60
        assert not any(future.done() for future in slow)
        gate.set()
        for future in slow:
            future.result(SOON)
    assert by_group(texts(endpoint.stored()))["slow"] == [0, 1, 2]


def test_a_backoff_holds_its_own_group_only(endpoint: Endpoint) -> None:
    failed = threading.Event()

    def script(request: Request) -> Answer | None:
        bodies = texts(request.entries)
        if "bad:0" in bodies and not failed.is_set():
            return Answer(failures={bodies.index("bad:0"): "InternalError"})
        return None

    endpoint.script(script)
    policy = publisher.retry_policy(wait=lambda _: 0.5)
    with client("sns", endpoint.url, retry=policy) as sns:
        bad = [send(sns, "bad", i) for i in range(3)]
        good = [send(sns, "good", i) for i in range(10)]
        for future in good:
            future.result(SOON)
            assert codes(future) == [None]
        assert not bad[1].done()
        failed.set()
        for future in bad:
            future.result(SOON)
    assert by_group(texts(endpoint.stored())) == {"bad": [0, 1, 2], "good": list(range(10))}


def test_what_is_refused_or_cancelled_leaves_a_gap_never_a_reordering(endpoint: Endpoint) -> None:
    def script(request: Request) -> Answer:
        return Answer(
            failures={
                i: Failure("InvalidParameter", "no", sender_fault=True)
                for i, body in enumerate(texts(request.entries))
                if body.endswith(":2")
            }
        )

    gate = threading.Event()
    endpoint.script(lambda request: Answer(hold=gate) if request.number == 1 else script(request))
    with client("sns", endpoint.url, linger=0) as sns:
        futures = [[send(sns, g, i) for i in range(6)] for g in range(3)]
        endpoint.wait_for(lambda: endpoint.request_count)
        cancelled = {g for g in range(3) if futures[g][4].cancel()}
        gate.set()
        for group in futures:
            concurrent.futures.wait(group, SOON)
    assert cancelled == {0, 1, 2}
    assert all(group[2].exception(0) is not None for group in futures)
    assert by_group(texts(endpoint.stored())) == {f"{g}": [0, 1, 3, 5] for g in range(3)}


def test_an_expired_message_leaves_a_gap(endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.script(lambda request: Answer(hold=gate) if request.number == 1 else None)
    with client("sns", endpoint.url, linger=0) as sns:
        first = send(sns, "g", 0)
        endpoint.wait_for(lambda: endpoint.request_count)
        late = send(sns.with_options(delivery_timeout=0.1), "g", 1)
        last = send(sns, "g", 2)
        error = late.exception(SOON)
        assert isinstance(error, publisher.DeliveryTimeout)
        assert not error.outcome_unknown
        gate.set()
        assert first.result(SOON)["SequenceNumber"]
        assert last.result(SOON)["SequenceNumber"]
    assert texts(endpoint.stored()) == ["g:0", "g:2"]


def test_order_of_acceptance_holds_across_views(endpoint: Endpoint) -> None:
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        views = [sns.with_options(linger=linger) for linger in (0, 0.05, 0.3)]
        futures = [send(views[i % 3], "g", i) for i in range(12)]
        for future in futures:
            future.result(SOON)
    assert by_group(texts(endpoint.stored())) == {"g": list(range(12))}


def test_batches_of_the_callers_keep_their_order_too(endpoint: Endpoint) -> None:
    endpoint.script(failing(4))
    entries = [
        {
            "Id": f"{group}-{i}",
            "Message": f"{group}:{i}",
            "MessageGroupId": f"{group}",
            "MessageDeduplicationId": f"{group}-{i}",
        }
        for i in range(10)
        for group in range(3)
    ]
    with client("sns", endpoint.url) as sns:
        response = sns.publish_batch(
            TopicArn=FIFO_TOPIC, PublishBatchRequestEntries=entries
        ).result(SOON)
    assert len(response["Successful"]) == 30
    assert by_group(texts(endpoint.stored())) == {f"{g}": list(range(10)) for g in range(3)}


def test_many_threads_each_with_a_group_of_its_own(endpoint: Endpoint) -> None:
    endpoint.script(failing(5, rate=0.1))
    with client("sns", endpoint.url, max_workers=4, linger=0.005) as sns:

        def work(group: int) -> list[publisher.PublishFuture]:
            return [send(sns, group, i) for i in range(20)]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for futures in pool.map(work, range(8)):
                for future in futures:
                    future.result(SOON)
    assert by_group(texts(endpoint.stored())) == {f"{g}": list(range(20)) for g in range(8)}
    endpoint.wait_for(lambda: all(request.finished for request in endpoint.requests))
    assert_one_entry_of_a_group_on_the_wire(endpoint.requests)


def test_a_message_group_on_a_standard_topic_orders_nothing(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url, linger=60) as sns:  # ten are a whole request
        futures = [
            sns.publish(TopicArn=FIFO_TOPIC.removesuffix(".fifo"), Message="m", MessageGroupId="g")
            for _ in range(10)
        ]
        for future in futures:
            future.result(SOON)
    assert [len(request.entries) for request in endpoint.requests] == [10]


def test_a_failure_that_may_be_stored_does_not_let_the_next_one_overtake(
    endpoint: Endpoint,
) -> None:
    """The request is given up after a time-out: its group waits until it has really returned."""
    gate = threading.Event()
    endpoint.script(lambda request: Answer(hold=gate) if request.number == 1 else None)
    with client("sns", endpoint.url, linger=0, read_timeout=1, retry=tries(9)) as sns:
        futures = [send(sns, "g", i) for i in range(3)]
        for future in futures:
            future.result(SOON)
        gate.set()
    assert codes(futures[0])[0] == "ReadTimeoutError"
    stored = texts(endpoint.stored())
    assert stored.count("g:0") >= 2
    assert [text for text, _ in itertools.groupby(stored)] == ["g:0", "g:1", "g:2"]


def test_views_share_a_topic_s_lane_however_many_topics_there_are(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many topics the idle ones are forgotten: by the views of the client, too."""
    monkeypatch.setattr("publisher._lanes.MAX_ROUTES", 50)
    gate = threading.Event()
    with publishing(linger=0) as made:
        sns = client_of(made, "sns", endpoint.url)
        view = sns.with_options(delivery_timeout=19)
        send(view, "g", 0).result(SOON)
        for number in range(51):
            if number == 50:
                made.flush(SOON)  # or those topics are not idle
            sns.publish(TopicArn=f"{FIFO_TOPIC.removesuffix('.fifo')}{number}", Message="m")
        made.flush(SOON)
        seen = endpoint.request_count
        endpoint.script(Answer(hold=gate))
        futures = [send(view, "g", 1), send(sns, "g", 2), send(view, "g", 3)]
        endpoint.wait_for(lambda: endpoint.request_count > seen)
        assert [future.running() for future in futures] == [True, False, False]
        endpoint.script(None)
        gate.set()
        for future in futures:
            future.result(SOON)
    stored = [text for text in texts(endpoint.stored()) if text.startswith("g:")]
    assert stored == ["g:0", "g:1", "g:2", "g:3"]
    endpoint.wait_for(lambda: all(request.finished for request in endpoint.requests))
    ordered = [request for request in endpoint.requests if request.destination == FIFO_TOPIC]
    assert_one_entry_of_a_group_on_the_wire(ordered)
