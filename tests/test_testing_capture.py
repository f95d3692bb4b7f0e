"""What happens inside a capture: the code of production, on a clock of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from concurrent.futures import TimeoutError as NotYet
from typing import Any

import pytest
from botocore.exceptions import ClientError

import publisher
from publisher.services._keys import needs_key
from publisher.testing import ALWAYS, Capture, capture
from tests.servers import Endpoint

pytestmark = pytest.mark.every_python(
    "its clock stands in for the waits of futures and event loops of each Python"
)

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"


@pytest.fixture
def captured() -> Iterator[Capture]:
    with capture() as captured:
        yield captured


@pytest.fixture
def one(captured: Capture) -> Iterator[publisher.Publisher]:
    with publisher.Publisher() as made:
        yield made


def publish(one: publisher.Publisher, text: str = "m", **params: Any) -> Any:
    return one.client("sns").publish(TopicArn=TOPIC, Message=text, **params)


# -- at once


def test_everything_has_ended_when_the_call_returns(one: publisher.Publisher) -> None:
    told: list[str] = []
    before = set(threading.enumerate())
    future = publish(one)
    assert future.done()
    future.add_done_callback(lambda _: told.append(threading.current_thread().name))
    assert told == [threading.current_thread().name]
    assert wait([future]).done == {future}
    assert list(as_completed([future])) == [future]
    assert one.flush(0) == 0
    assert one.stats().total.delivered == 1
    assert set(threading.enumerate()) <= before


def test_a_record_without_a_partition_key_is_stored(one: publisher.Publisher) -> None:
    made = one.client("kinesis")
    if needs_key():  # this botocore asks for it
        with pytest.raises(publisher.InvalidMessage):
            made.put_record(StreamName="clicks", Data=b"x")
        return
    assert made.put_record(StreamName="clicks", Data=b"x").result()["ShardId"]
    answer = made.put_records(StreamName="clicks", Records=[{"Data": b"x"}]).result()
    assert answer["FailedRecordCount"] == 0


def test_a_response_has_boto3s_shape(one: publisher.Publisher) -> None:
    response = publish(one).result()
    assert set(response) == {"MessageId", "ResponseMetadata"}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
    fifo = one.client("sns").publish(
        TopicArn=f"{TOPIC}.fifo", Message="m", MessageGroupId="1", MessageDeduplicationId="1"
    )
    assert fifo.result()["SequenceNumber"]
    answer = one.client("kinesis").put_record(StreamName="s", Data=b"", PartitionKey="1").result()
    assert answer["ShardId"].startswith("shardId-")
    assert answer["SequenceNumber"].isdigit()


def test_validation_limits_and_exceptions_are_those_of_production(
    captured: Capture, one: publisher.Publisher
) -> None:
    sns = one.client("sns")
    for wrong in ({"Message": b""}, {"Message": "x" * 1_100_000}, {"Mesage": "x"}, {}):
        with pytest.raises(publisher.InvalidMessage):
            sns.publish(TopicArn=TOPIC, **wrong)
    with pytest.raises(publisher.InvalidMessage):
        sns.create_topic(Nam="orders")
    captured.assert_nothing_sent()
    captured.faults.reject(1, "NotFound")
    future = publish(one)
    with pytest.raises(sns.exceptions.NotFoundException):
        future.result()
    captured.faults.reject(ALWAYS, "Throttled")
    with pytest.raises(ClientError):
        sns.with_options(retry=publisher.retry_policy(stop=lambda _: True)).publish(
            TopicArn=TOPIC, Message="m"
        ).result()


def test_other_operations_are_answered_with_nothing_and_recorded(
    captured: Capture, one: publisher.Publisher
) -> None:
    response = one.client("sns").create_topic(Name="orders").result()
    assert set(response) == {"ResponseMetadata"}
    captured.assert_sent("sns", "create_topic", Name="orders")
    assert one.client("sns").can_paginate("list_topics")


def test_hooks_are_told_and_callbacks_may_publish(captured: Capture) -> None:
    told: list[str] = []

    class Hook(publisher.Hook):
        def on_delivered(self, event: publisher.Event) -> None:
            told.append(event.params["Message"])
            if event.params["Message"] == "first":
                assert one.flush() == 0  # on the callbacks' thread it does not wait
                assert publish(one, "second").result()["MessageId"]

    with publisher.Publisher(hooks=[Hook()]) as one:
        publish(one, "first")
        assert told == ["first", "second"]
        publish(one, "third").add_done_callback(lambda _: one.close())
        with pytest.raises(publisher.PublisherClosed):
            publish(one)
    assert [message["Message"] for message in captured.messages] == ["first", "second", "third"]


def test_a_raising_callback_is_contained(
    captured: Capture, one: publisher.Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    captured.hold()
    future = publish(one)
    future.add_done_callback(lambda _: 1 / 0)
    captured.resolve()
    assert future.result()
    assert "ZeroDivisionError" in caplog.text


def test_threads_publish_at_the_same_time(captured: Capture, one: publisher.Publisher) -> None:
    captured.faults.fail(10)

    def burst(thread: int) -> bool:
        futures = [publish(one, f"{thread} {n}") for n in range(100)]
        return all(future.done() for future in futures)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(burst, range(8)))
    captured.assert_sent("sns", count=800)
    captured.assert_all_delivered()
    assert one.stats().total.retries == 10


def test_an_event_loop_may_publish_and_await(one: publisher.Publisher) -> None:
    async def main() -> Any:
        return await asyncio.wait_for(asyncio.wrap_future(publish(one)), 10)

    assert asyncio.run(main())["MessageId"]


# -- time


def test_two_minutes_take_no_time(captured: Capture, one: publisher.Publisher) -> None:
    began, virtual = time.monotonic(), captured.now
    captured.faults.time_out(ALWAYS)
    future = publish(one)
    assert isinstance(future.exception(), publisher.DeliveryTimeout)
    assert 100 < captured.now - virtual < 140
    assert future.attempts[-1].started - future.attempts[0].started > 60
    assert time.monotonic() - began < 10  # a fraction of a second, on a quiet machine


def test_lingering_retries_and_deadlines_come_in_their_time(
    captured: Capture, one: publisher.Publisher
) -> None:
    captured.hold()
    sns = one.client("sns").with_options(linger=2, delivery_timeout=30)
    future = sns.publish(TopicArn=TOPIC, Message="m")
    captured.advance(1.9)
    assert not future.attempts
    captured.faults.throttle(ALWAYS)
    captured.advance(0.2)
    assert len(future.attempts) == 1
    assert not future.done()
    captured.advance(20)
    assert 2 < len(future.attempts) < 40
    assert not future.done()
    captured.advance(8)
    assert isinstance(future.exception(0), publisher.DeliveryTimeout)


def test_what_is_not_sent_yet_can_be_cancelled(captured: Capture, one: publisher.Publisher) -> None:
    captured.hold()
    first, second = publish(one, "first"), publish(one, "second")
    assert first.cancel()
    captured.resolve()
    assert not second.cancel()
    assert first.cancelled()
    assert second.result()
    assert [message.delivered for message in captured.messages] == [False, True]


# -- while messages are held, waiting is time that passes


def test_waiting_for_a_held_message(captured: Capture, one: publisher.Publisher) -> None:
    captured.hold()
    future, before = publish(one), captured.now
    with pytest.raises(NotYet):
        future.result(timeout=5)
    assert captured.now - before == pytest.approx(5, abs=0.1)
    assert future.running()  # sent meanwhile, and not answered
    assert one.flush(3) == 1
    assert captured.now - before == pytest.approx(8, abs=0.1)
    captured.resolve()
    assert future.result(timeout=5)
    assert one.flush(3) == 0
    assert captured.now - before == pytest.approx(8, abs=0.1)


@pytest.mark.parametrize("batch", [False, True])
def test_waiting_without_end_ends_as_in_production(
    captured: Capture, one: publisher.Publisher, batch: bool
) -> None:
    captured.hold()
    future = (
        one.client("sns").publish_batch(
            TopicArn=TOPIC, PublishBatchRequestEntries=[{"Id": "1", "Message": "m"}]
        )
        if batch
        else publish(one)
    )
    error = future.exception()
    assert isinstance(error, publisher.DeliveryTimeout)
    assert error.outcome_unknown
    captured.resolve()  # a late answer changes nothing
    assert future.exception() is error


def test_another_thread_really_waits_for_a_held_message(
    captured: Capture, one: publisher.Publisher
) -> None:
    published = threading.Event()
    answers: list[Any] = []

    def serve() -> None:
        future = publish(one)
        published.set()
        answers.append(future.result(timeout=20))

    with captured.held():
        server = threading.Thread(target=serve)
        server.start()
        assert published.wait(10)
        assert not captured.messages[0].future.done()
    server.join(10)
    assert answers[0]["MessageId"]


@pytest.mark.parametrize(
    ("on_full", "outcomes"),
    [
        ("drop", [True, True, False]),
        ("drop_oldest", [False, True, True]),
        ("block", [True, True, False]),
    ],
)
def test_a_full_buffer(captured: Capture, on_full: str, outcomes: list[bool]) -> None:
    with publisher.Publisher(max_messages=2, on_full=on_full, linger=1) as one:
        with captured.held():
            before = captured.now
            for n in range(3):
                publish(one, str(n))
        assert [message.delivered for message in captured.messages] == outcomes
        blocked = captured.now - before
        assert (blocked > 0.09) is (on_full == "block")
        with captured.held():
            publish(one), publish(one)
            records = [{"Data": b"x", "PartitionKey": "1"}] * 3
            lost = one.client("kinesis").put_records(StreamName="s", Records=records)
        assert isinstance(lost.exception(), publisher.BufferFull)
    assert one.stats().total.outstanding == 0


def test_more_records_than_the_buffer_holds(captured: Capture) -> None:
    with publisher.Publisher(max_messages=10) as one:
        records = [{"Data": b"x", "PartitionKey": "1"}] * 1_000
        response = one.client("kinesis").put_records(StreamName="s", Records=records).result()
    assert response["FailedRecordCount"] == 0
    captured.assert_sent("kinesis", count=1_000, StreamName="s")


# -- nothing is left behind


def test_a_capture_leaves_every_publisher_as_it_was(endpoint: Endpoint) -> None:
    with publisher.Publisher(linger=0) as one:
        sns = one.client("sns", endpoint_url=endpoint.url)
        sns.publish(TopicArn=TOPIC, Message="before").result(10)
        assert one.flush(10) == 0  # the request is back, not only its answer
        core, default, account = one._core, publisher._default, one.stats().total
        with capture() as captured:
            publisher.configure(delivery_timeout=1)
            publisher.close()
            publisher.configure(delivery_timeout=2)
            assert sns.publish(TopicArn=TOPIC, Message="inside").done()
            with capture() as inner:
                sns.publish(TopicArn=TOPIC, Message="further inside")
            inner.assert_sent("sns", count=1)
            captured.assert_sent("sns", count=1)
            one.close()
            made_inside = publisher.Publisher(linger=0)
            assert made_inside.client("sns").publish(TopicArn=TOPIC, Message="x").done()
        assert publisher._default is default
        assert one._core is core
        assert one.stats().total == account
        sns.publish(TopicArn=TOPIC, Message="after").result(10)
        with made_inside:
            made_inside.client("sns", endpoint_url=endpoint.url).publish(
                TopicArn=TOPIC, Message="real"
            ).result(10)
    assert [entry.data for entry in endpoint.stored()] == [b"before", b"after", b"real"]


def test_a_capture_is_used_once_at_a_time() -> None:
    captured = capture().start()
    with pytest.raises(RuntimeError, match="started already"):
        captured.start()
    captured.stop()
    captured.stop()
    with captured:
        publisher.client("sns").publish(TopicArn=TOPIC, Message="again")
    captured.assert_sent("sns", Message="again")


def test_with_a_local_server_everything_goes_there(endpoint: Endpoint) -> None:
    with capture(endpoint_url=endpoint.url) as captured, publisher.Publisher() as one:
        captured.faults.fail_entries(1)
        sns = one.client("sns", region_name="eu-west-1", endpoint_url="http://example.invalid")
        response = sns.publish_batch(
            TopicArn=TOPIC,
            PublishBatchRequestEntries=[{"Id": str(n), "Message": str(n)} for n in range(3)],
        ).result()
        assert len(response["Successful"]) == 3
        assert one.client("kinesis").create_stream(StreamName="s", ShardCount=2).result()
    assert [entry.data for entry in endpoint.stored()] == [b"0", b"2", b"1"]
    assert endpoint.streams == {"s": 2}


def test_a_callback_of_a_cancelled_message_may_cancel_another(captured: Capture) -> None:
    captured.hold()
    with publisher.Publisher() as one:
        first, second = publish(one, "1"), publish(one, "2")
        answers: list[bool] = []
        first.add_done_callback(lambda _: answers.append(second.cancel()))
        assert first.cancel()
        assert answers == [True]


def test_what_comes_after_resolve_lingers(captured: Capture) -> None:
    captured.hold()
    with publisher.Publisher(linger=2) as one:
        publish(one, "1")
        captured.resolve()
        second = publish(one, "2")
        captured.advance(1)
        assert not second.attempts
        captured.advance(1.5)
        captured.resolve()
        assert second.done()
