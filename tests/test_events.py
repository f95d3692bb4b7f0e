"""EventBridge: calls share requests, and each gets the answer for its own entries."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

import publisher
from publisher.testing import capture
from tests.servers import Answer, Endpoint, Error, Moto, Request
from tests.support import SOON, client, client_of, publishing, tries

ENDPOINT = "abcde.veo"


def event(number: int | str = 0, **more: Any) -> dict[str, Any]:
    detail = json.dumps({"number": number})
    return {"Source": "shop", "DetailType": "paid", "Detail": detail, **more}


def put(events: Any, *numbers: int, **more: Any) -> Any:
    return events.put_events(Entries=[event(number, **more) for number in numbers])


def numbers_in(entries: Any) -> list[int]:
    return [json.loads(entry.data)["number"] for entry in entries]


class Bus(NamedTuple):
    """A bus of moto's, and the queue behind it."""

    name: str
    queue: str

    def drain(self, server: Moto) -> Counter[int]:
        """The numbers of the events that came through."""
        found: Counter[int] = Counter()
        sqs = server.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            found.update(json.loads(each["Body"])["detail"]["number"] for each in messages)
            sqs.delete_message_batch(
                QueueUrl=self.queue,
                Entries=[
                    {"Id": str(i), "ReceiptHandle": each["ReceiptHandle"]}
                    for i, each in enumerate(messages)
                ],
            )
        return found


@pytest.fixture
def bus(moto_server: Moto) -> Iterator[Bus]:
    name = f"bus-{uuid.uuid4().hex}"
    events, sqs = moto_server.client("events"), moto_server.client("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
    events.create_event_bus(Name=name)
    events.put_rule(Name=name, EventBusName=name, EventPattern='{"source": ["shop"]}')
    events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "q", "Arn": arn}])
    yield Bus(name, queue)
    sqs.delete_queue(QueueUrl=queue)


# what arrives


def test_events_arrive_once(moto_server: Moto, bus: Bus) -> None:
    with publishing(max_workers=2) as made:
        events = client_of(made, "events", moto_server.url)
        calls = [put(events, number, EventBusName=bus.name) for number in range(30)]
        whole = put(events, *range(30, 60), EventBusName=bus.name)
        for call in calls:
            answer = call.result(SOON)
            assert (answer["FailedEntryCount"], len(answer["Entries"])) == (0, 1)
            assert answer["Entries"][0]["EventId"]
        assert len(whole.result(SOON)["Entries"]) == 30
        ledger = made.stats().destinations[f"events:us-east-1:{bus.name}"]
    assert (ledger.accepted, ledger.delivered, ledger.outstanding) == (60, 60, 0)
    assert ledger.requests < 12
    assert bus.drain(moto_server) == dict.fromkeys(range(60), 1)


def test_an_entry_that_the_service_refuses_raises_nothing(moto_server: Moto, bus: Bus) -> None:
    """As with boto3: also where it is the only one of its call."""
    with client("events", moto_server.url) as events:
        alone = events.put_events(Entries=[event(EventBusName=bus.name) | {"Detail": "{"}])
        good = put(events, 1, EventBusName=bus.name)
        mixed = events.put_events(
            Entries=[event(2, EventBusName=bus.name), {"EventBusName": bus.name}]
        )
        answer = alone.result(SOON)
        assert answer["FailedEntryCount"] == 1
        assert answer["Entries"] == [
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        ]
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert good.result(SOON)["FailedEntryCount"] == 0
        answer = mixed.result(SOON)
        assert answer["FailedEntryCount"] == 1
        assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [None, "InvalidArgument"]
        total = events._publisher.stats().total
    assert (total.accepted, total.delivered, total.failed) == (4, 2, 2)
    assert set(total.failed_by_code) == {"MalformedDetail", "InvalidArgument"}
    assert bus.drain(moto_server) == {1: 1, 2: 1}


# requests


def test_calls_share_requests(endpoint: Endpoint) -> None:
    with client("events", endpoint.url, linger=60) as events:
        calls = [put(events, number, number + 1) for number in range(0, 20, 2)]
        events._publisher.flush(SOON)
        for call in calls:
            assert call.result(SOON)["FailedEntryCount"] == 0
    assert sorted(len(request.entries) for request in endpoint.requests) == [10, 10]
    assert sorted(numbers_in(endpoint.stored())) == list(range(20))


def test_each_call_has_the_answer_for_its_own_entries(endpoint: Endpoint) -> None:
    def script(request: Request) -> Answer:
        odd = [i for i, n in enumerate(numbers_in(request.entries)) if n % 2]
        return Answer(failures=dict.fromkeys(odd, "NotAuthorizedForSourceException"))

    endpoint.script(script)
    with client("events", endpoint.url, linger=60) as events:
        calls = {numbers: put(events, *numbers) for numbers in [(1,), (2, 3, 4), (5, 7), (6,)]}
        events._publisher.flush(SOON)
        for numbers, call in calls.items():
            answer = call.result(SOON)
            odd = [number % 2 == 1 for number in numbers]
            assert answer["FailedEntryCount"] == sum(odd)
            assert ["ErrorCode" in entry for entry in answer["Entries"]] == odd
            assert ["EventId" in entry for entry in answer["Entries"]] == [not each for each in odd]
    assert endpoint.request_count == 1


def test_only_what_failed_is_sent_again(endpoint: Endpoint) -> None:
    first = {3: "InternalFailure", 5: "ThrottlingException"}
    endpoint.script(lambda request: Answer(failures=first) if request.number == 1 else None)
    with client("events", endpoint.url) as events:
        call = put(events, *range(10))
        assert call.result(SOON)["FailedEntryCount"] == 0
        assert {attempt.error_code for attempt in call.attempts} == {
            "InternalFailure",
            "ThrottlingException",
            None,
        }
    assert numbers_in(endpoint.requests[0].entries) == list(range(10))
    assert sorted(numbers_in(entry for one in endpoint.requests[1:] for entry in one.entries)) == [
        3,
        5,
    ]


def test_a_call_to_several_buses_gathers_their_answers(endpoint: Endpoint) -> None:
    arn = "arn:aws:events:us-east-1:123456789012:event-bus/invoices"
    buses = ["orders", arn, None, "orders", "default"]
    entries = [
        event(number, **({"EventBusName": bus} if bus else {})) for number, bus in enumerate(buses)
    ]
    endpoint.script(
        lambda request: (
            Answer(failures={0: "MalformedDetail"}) if request.destination == arn else None
        )
    )
    with publishing() as made:
        events = client_of(made, "events", endpoint.url)
        answer = events.put_events(Entries=entries).result(SOON)
        assert answer["FailedEntryCount"] == 1
        codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
        assert codes == [None, "MalformedDetail", None, None, None]
        accepted = {name: one.accepted for name, one in made.stats().destinations.items()}
    assert accepted == {
        "events:us-east-1:orders": 2,
        "events:us-east-1:invoices": 1,
        "events:us-east-1:default": 2,
    }
    assert sorted(len(request.entries) for request in endpoint.requests) == [1, 2, 2]
    for request in endpoint.requests:
        assert len({entry.event.get("EventBusName", "default") for entry in request.entries}) == 1
    assert sorted(numbers_in(endpoint.stored())) == [0, 2, 3, 4]


def test_many_entries_to_several_buses_keep_the_callers_order(endpoint: Endpoint) -> None:
    endpoint.script(
        lambda request: Answer(
            failures={
                i: "MalformedDetail"
                for i, n in enumerate(numbers_in(request.entries))
                if n % 7 == 0
            }
        )
    )
    entries = [event(number, EventBusName=f"bus-{number // 13 % 3}") for number in range(100)]
    with client("events", endpoint.url) as events:
        answer = events.put_events(Entries=entries).result(SOON)
    failed = [i for i, entry in enumerate(answer["Entries"]) if "ErrorCode" in entry]
    assert failed == list(range(0, 100, 7))
    assert answer["FailedEntryCount"] == len(failed)


def test_an_event_of_over_a_million_bytes_goes_alone() -> None:
    large, small = event("x" * 1_000_000), event(1)
    largest = {"Source": "", "DetailType": "", "Detail": "x" * 1_048_576}
    with Endpoint(strict=False) as endpoint, client("events", endpoint.url, linger=60) as events:
        calls = [events.put_events(Entries=[one]) for one in (small, small, large, largest)]
        events._publisher.flush(SOON)
        assert all(call.result(SOON)["FailedEntryCount"] == 0 for call in calls)
        assert sorted(len(request.entries) for request in endpoint.requests) == [1, 1, 2]
        with pytest.raises(publisher.InvalidMessage, match="1,048,577 bytes; at most 1,048,576"):
            events.put_events(Entries=[{**largest, "Source": "s"}])


def test_requests_stay_within_a_million_bytes() -> None:
    entries = [{"Detail": "x" * 250_000} for _ in range(9)]
    with Endpoint() as endpoint, client("events", endpoint.url) as events:
        events.put_events(Entries=entries).result(SOON)
        sizes = [sum(entry.size for entry in request.entries) for request in endpoint.requests]
    assert sorted(sizes) == [250_000, 1_000_000, 1_000_000]


def test_a_global_endpoint_goes_alone(endpoint: Endpoint) -> None:
    """SigV4A, and an address of its own, are boto3's to find; it says what it needs for that."""
    with client("events", endpoint.url, retry=tries(1)) as events:
        call = events.put_events(EndpointId=ENDPOINT, Entries=[event(1)])
        error = call.exception(SOON)
        assert error is not None
        assert "MissingDependencyException" in {each.__name__ for each in type(error).__mro__} | {
            type(error.__cause__).__name__
        }
    assert endpoint.request_count == 0


def test_a_whole_request_that_is_refused_raises(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(400, "AccessDeniedException")))
    with client("events", endpoint.url) as events:
        error = put(events, 1).exception(SOON)
    assert isinstance(error, ClientError)
    assert error.response["Error"]["Code"] == "AccessDeniedException"
    assert error.operation_name == "PutEvents"
    assert endpoint.request_count == 1


def test_one_poison_entry_does_not_sink_its_neighbours(endpoint: Endpoint) -> None:
    refused = Answer(error=Error(400, "ValidationException"))
    endpoint.script(lambda request: refused if 3 in numbers_in(request.entries) else None)
    with client("events", endpoint.url, linger=60) as events:
        calls = [put(events, number) for number in range(5)]
        events._publisher.flush(SOON)
        failed = [call.exception(SOON) for call in calls]
    assert [error is not None for error in failed] == [False, False, False, True, False]
    assert sorted(numbers_in(endpoint.stored())) == [0, 1, 2, 4]


# a full buffer


@pytest.fixture
def let_go(endpoint: Endpoint) -> Iterator[Callable[[], None]]:
    """Nothing is answered until this is called."""
    gate = threading.Event()
    endpoint.script(Answer(hold=gate))

    def go() -> None:
        endpoint.script(None)
        gate.set()

    yield go
    go()


def full(events: Any, endpoint: Endpoint, count: int) -> list[Any]:
    calls = [put(events, number) for number in range(count)]
    endpoint.wait_for(lambda: endpoint.request_count)
    return calls


def test_a_small_call_is_dropped_whole(endpoint: Endpoint, let_go: Callable[[], None]) -> None:
    with client("events", endpoint.url, on_full="drop", max_messages=10, linger=0) as events:
        full(events, endpoint, 8)
        call = put(events, 1, 2, 3)
        assert isinstance(call.exception(SOON), publisher.BufferFull)
        fits = put(events, 4, 5)
        assert not fits.done()
        ledger = events._publisher.stats().total
        assert (ledger.dropped, ledger.outstanding) == (3, 10)
        let_go()


def test_a_small_call_raises_whole(endpoint: Endpoint, let_go: Callable[[], None]) -> None:
    with client("events", endpoint.url, on_full="raise", max_messages=10, linger=0) as events:
        full(events, endpoint, 8)
        with pytest.raises(publisher.BufferFull):
            events.put_events(Entries=[event(i, EventBusName=bus) for i, bus in enumerate("aba")])
        assert events._publisher.stats().total.accepted == 8
        let_go()


def test_a_small_call_makes_room_for_all_of_it(
    endpoint: Endpoint, let_go: Callable[[], None]
) -> None:
    with client(
        "events", endpoint.url, on_full="drop_oldest", max_messages=10, linger=60
    ) as events:
        old = [put(events, number) for number in range(8)]
        new = put(events, 20, 21, 22)
        assert [call.done() for call in old] == [True] + [False] * 7
        assert not new.done()
        let_go()


def test_a_small_call_waits_for_all_of_its_room(endpoint: Endpoint) -> None:
    with client("events", endpoint.url, max_messages=10, linger=0, max_workers=2) as events:
        with ThreadPoolExecutor(8) as pool:
            calls = list(pool.map(lambda n: put(events, n, n + 1000, n + 2000), range(200)))
        for call in calls:
            assert call.result(SOON)["FailedEntryCount"] == 0
    assert len(endpoint.stored()) == 600


def test_a_dead_endpoint_holds_a_small_call_for_max_block(
    endpoint: Endpoint, let_go: Callable[[], None]
) -> None:
    with client(
        "events", endpoint.url, max_messages=10, max_block=0.2, delivery_timeout=SOON, linger=0
    ) as events:
        full(events, endpoint, 9)
        call = events.put_events(Entries=[event(i, EventBusName=bus) for i, bus in enumerate("ab")])
        assert isinstance(call.exception(SOON), publisher.BufferFull)
        assert events._publisher.stats().total.dropped_by_reason["buffer_full"] == 2
        let_go()


def test_a_call_larger_than_the_buffer_goes_entry_by_entry(endpoint: Endpoint) -> None:
    with client("events", endpoint.url, max_messages=3) as events:
        assert put(events, *range(8)).result(SOON)["FailedEntryCount"] == 0
    assert sorted(numbers_in(endpoint.stored())) == list(range(8))


def test_a_call_is_cancelled_whole(endpoint: Endpoint) -> None:
    with client("events", endpoint.url, linger=60) as events:
        call = put(events, 1, 2, 3)
        assert call.cancel()
        assert events._publisher.stats().total.cancelled == 3
    assert endpoint.request_count == 0


# the test kit, and what the caller gets wrong


def test_the_test_kit_stands_in_for_it() -> None:
    with publishing(retry=tries(3)) as made, capture() as published:
        events = made.client("events", region_name="us-east-1")
        published.faults.throttle(1)
        call = put(events, 1, 2)
        assert call.result(SOON)["FailedEntryCount"] == 0
        published.faults.fail(1, code="MalformedDetail")
        assert put(events, 3).result(SOON)["FailedEntryCount"] == 1
        found = published.assert_sent("events", "put_events", count=3)
        assert [one.json()["number"] for one in found] == [1, 2, 3]
        published.assert_sent("events", Entries=[event(2)], count=1)
        events.put_events(Entries=[event(i, EventBusName=bus) for i, bus in enumerate("ab")])
        assert len(published) == 5


def test_a_call_goes_into_motos_mock() -> None:
    with mock_aws(), publishing() as made:
        session = boto3.Session()  # made in the mock: it has moto's handler
        sqs, theirs = session.client("sqs"), session.client("events")
        queue = sqs.create_queue(QueueName="behind")["QueueUrl"]
        theirs.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
        arn = "arn:aws:sqs:us-east-1:123456789012:behind"
        theirs.put_targets(Rule="all", Targets=[{"Id": "q", "Arn": arn}])
        events = made.client("events", region_name="us-east-1")
        assert put(events, *range(12)).result(SOON)["FailedEntryCount"] == 0
        found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        assert found["ApproximateNumberOfMessages"] == "12"


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({}, "needs the parameter Entries"),
        ({"Entries": []}, "Entries is empty"),
        ({"Entries": "x"}, "Entries must be a list of dicts, not str"),
        ({"Entries": ["x"]}, r"Entries\[0\] must be a dict, not str"),
        ({"Entries": [event(), event(Else=1)]}, r"Entries\[1\] has unknown parameters: Else"),
        ({"Entries": [event(Source=1)]}, r"Entries\[0\]: Source must be str, not int"),
        ({"Entries": [event(Time="soon")]}, r"Entries\[0\]: Time must be a datetime"),
        ({"Entries": [event(Time="2026-11-29T20:15:00X")]}, "Time must be a datetime"),
        ({"Entries": [event(Time=2**80)]}, "Time must be a datetime"),
        ({"Entries": [event(Resources="x")]}, r"Entries\[0\]: Resources must be a list"),
        ({"Entries": [event(EventBusName="a b")]}, "EventBusName .* must be a bus's ARN"),
        ({"Entries": [event(Detail="\ud800")]}, "lone surrogate"),
        ({"Entries": [event()], "EventBusName": "orders"}, "unknown parameter"),
    ],
)
def test_what_the_caller_got_wrong_raises_at_the_call(
    endpoint: Endpoint, params: dict[str, Any], match: str
) -> None:
    with client("events", endpoint.url) as events:
        with pytest.raises(publisher.InvalidMessage, match=match):
            events.put_events(**params)
        assert events._publisher.stats().total.accepted == 0
    assert endpoint.request_count == 0
