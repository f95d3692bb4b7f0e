"""SQS: what arrives behind moto and in which order, and what is refused at the call."""

from __future__ import annotations

import hashlib
import random
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

import publisher
from publisher.services import load
from publisher.testing import as_json, capture
from tests.servers import Answer, Endpoint, Error, Failure, FaultProxy, Moto, Request
from tests.support import (
    FIFO_QUEUE,
    QUEUE,
    SOON,
    client,
    client_of,
    codes,
    publishing,
    texts,
    tries,
)

pytestmark = pytest.mark.every_python(
    "SQS's protocol is another in older botocores, and threads race for the order"
)

ATTRIBUTES = {
    "n": {"DataType": "String", "StringValue": "v\u00e9"},
    "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    "i": {"DataType": "Number.int", "StringValue": "7"},
}
TRACE = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be"}}
VALUES = ("StringValue", "BinaryValue")
GROUPS, EACH = 7, 12


def queue(server: Moto, *, fifo: bool = False) -> str:
    more = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
    name = f"queue-{uuid.uuid4().hex}" + (".fifo" if fifo else "")
    return str(server.client("sqs").create_queue(QueueName=name, Attributes=more)["QueueUrl"])


def received(server: Moto, url: str, count: int) -> list[dict[str, Any]]:
    """Everything in the queue, in its order; one message more would be found, too."""
    sqs, found = server.client("sqs"), []
    while True:
        some = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        ).get("Messages", [])
        if not some:
            break
        found += some
        for one in some:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    assert len(found) == count
    return found


def by_group(bodies: Sequence[str]) -> dict[str, list[int]]:
    found = defaultdict(list)
    for body in bodies:
        group, _, number = body.rpartition(":")
        found[group].append(int(number))
    return dict(found)


# -- what arrives


def test_messages_arrive_once_with_all_that_belongs_to_them(moto_server: Moto) -> None:
    url = queue(moto_server)
    with publishing(max_workers=1) as made:
        sqs = client_of(made, "sqs", moto_server.url)
        futures = [
            sqs.send_message(
                QueueUrl=url,
                MessageBody=f"m{i} \u00e9\U0001f600\n\t<&>",
                MessageAttributes=ATTRIBUTES,
            )
            for i in range(30)
        ]
        answers = [future.result(SOON) for future in futures]
        ledger = made.stats().destinations[f"sqs:us-east-1:{url.rpartition('/')[2]}"]
    assert (ledger.delivered, ledger.requests, ledger.outstanding) == (30, 3, 0)
    assert ledger.bytes_sent == sum(
        len(f"m{i} \u00e9\U0001f600\n\t<&>".encode()) + 31 for i in range(30)
    )
    messages = received(moto_server, url, 30)
    assert {one["MessageId"] for one in messages} == {one["MessageId"] for one in answers}
    one = messages[0]
    kept = {
        name: {part: value for part, value in each.items() if part in ("DataType", *VALUES)}
        for name, each in one["MessageAttributes"].items()
    }
    assert kept == ATTRIBUTES


def test_an_answer_is_boto3s_with_its_digests(moto_server: Moto) -> None:
    url = queue(moto_server)
    params = {"QueueUrl": url, "MessageBody": "\u00e9", "MessageAttributes": ATTRIBUTES}
    theirs = moto_server.client("sqs").send_message(**params)
    with client("sqs", moto_server.url) as sqs:
        ours = sqs.send_message(**params).result(SOON)
        entries = [{"Id": "mine", "MessageBody": "\u00e9", "MessageAttributes": ATTRIBUTES}]
        whole = sqs.send_message_batch(QueueUrl=url, Entries=entries).result(SOON)
    assert ours.keys() == theirs.keys()
    for name in ("MD5OfMessageBody", "MD5OfMessageAttributes"):
        assert ours[name] == theirs[name] == whole["Successful"][0][name]
    assert ours["MD5OfMessageBody"] == hashlib.md5("\u00e9".encode()).hexdigest()


def test_a_batch_of_any_length_keeps_the_callers_ids_and_order(moto_server: Moto) -> None:
    url = queue(moto_server)
    entries = [{"Id": f"mine-{i}", "MessageBody": f"{i}"} for i in range(47)]
    with client("sqs", moto_server.url) as sqs:
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries).result(SOON)
    assert [one["Id"] for one in answer["Successful"]] == [one["Id"] for one in entries]
    assert answer["Failed"] == []
    assert Counter(m["Body"] for m in received(moto_server, url, 47)) == Counter(
        map(str, range(47))
    )


@pytest.mark.parametrize(
    "host", ["https://sqs.eu-west-1.amazonaws.com", "http://localhost:9324", ""]
)
def test_a_request_goes_to_the_clients_endpoint_whatever_the_queues_url_says(
    moto_server: Moto, host: str
) -> None:
    name = queue(moto_server).rpartition("/")[2]
    url = f"{host}/123456789012/{name}" if host else name
    with client("sqs", moto_server.url) as sqs:
        answer = sqs.send_message(QueueUrl=url, MessageBody="m").result(SOON)
    assert answer["MessageId"]
    moto_server.client("sqs").send_message(QueueUrl=url, MessageBody="m")  # as with boto3


def test_a_delay_and_a_trace_travel_and_do_not_count(endpoint: Endpoint) -> None:
    """moto forgets the trace of a message in a batch, boto3's own too."""
    with publishing() as made:
        sqs = client_of(made, "sqs", endpoint.url)
        sqs.send_message(
            QueueUrl=QUEUE, MessageBody="m", DelaySeconds=7, MessageSystemAttributes=TRACE
        ).result(SOON)
        assert made.stats().total.bytes_sent == 1
    (entry,) = endpoint.stored()
    assert (entry.delay, entry.trace) == (7, "Root=1-5759e988-bd862e3fe1be")


# -- order


def failing(seed: int) -> Callable[[Request], Answer | None]:
    """Entries fail at random, and some requests as a whole."""
    dice, lock = random.Random(seed), threading.Lock()

    def script(request: Request) -> Answer | None:
        with lock:
            whole = dice.random()
            failed = [i for i in range(len(request.entries)) if dice.random() < 0.25]
        if whole < 0.05:
            return Answer(error=Error(500, "InternalFailure"))
        if whole < 0.1:
            return Answer(reset="before")
        return Answer(failures=dict.fromkeys(failed, "InternalError"))

    return script


@pytest.mark.parametrize("seed", [1, 2])
def test_a_fifo_queue_keeps_the_order_of_each_group_under_failures(
    moto_server: Moto, proxy: Callable[..., FaultProxy], seed: int
) -> None:
    url, faults = queue(moto_server, fifo=True), proxy(moto_server.url)
    faults.script(failing(seed))
    with client("sqs", faults.url) as sqs:
        futures = [
            sqs.send_message(QueueUrl=url, MessageBody=f"{group}:{number}", MessageGroupId=group)
            for number in range(EACH)
            for group in map(str, range(GROUPS))
        ]
        for future in futures:
            assert future.result(SOON)["MessageId"]
    faults.wait_for(lambda: all(request.finished for request in faults.requests))
    for request in faults.requests:  # at most one entry of a group is on the wire
        groups = [entry.group_id for entry in request.entries]
        assert len(groups) == len(set(groups))
    carried = Counter(texts(faults.entries))
    assert max(carried.values()) > 1  # there were retries
    wanted = {f"{group}": list(range(EACH)) for group in range(GROUPS)}
    assert by_group(texts(faults.stored())) == wanted
    bodies = [one["Body"] for one in received(moto_server, url, GROUPS * EACH)]
    assert by_group(bodies) == wanted


def test_a_group_on_a_standard_queue_orders_nothing(endpoint: Endpoint) -> None:
    """There it is for fair queueing: its messages share requests."""
    with client("sqs", endpoint.url, linger=60) as sqs:
        futures = [
            sqs.send_message(QueueUrl=QUEUE, MessageBody=f"{i}", MessageGroupId="one")
            for i in range(10)
        ]
        for future in futures:
            future.result(SOON)
    (request,) = endpoint.requests
    assert {entry.group_id for entry in request.entries} == {"one"}


# -- what fails


def test_what_failed_is_sent_again_alone(
    moto_server: Moto, proxy: Callable[..., FaultProxy]
) -> None:
    url, front = queue(moto_server), proxy(moto_server.url)

    def script(request: Request) -> Answer | None:
        places = range(0, len(request.entries), 3) if request.number <= 5 else ()
        return Answer(failures=dict.fromkeys(places, "InternalError"))

    front.script(script)
    entries = [{"Id": f"{i}", "MessageBody": f"{i}"} for i in range(100)]
    with client("sqs", front.url) as sqs:
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries).result(SOON)
    assert len(answer["Successful"]) == 100
    bodies = Counter(one["Body"] for one in received(moto_server, url, 100))
    assert set(bodies.values()) == {1}
    assert len(front.entries) > 100


def test_its_senders_fault_is_final(endpoint: Endpoint) -> None:
    endpoint.script(Answer(failures={1: Failure("InvalidMessageContents", "no", True)}))
    with client("sqs", endpoint.url, retry=tries(3)) as sqs:
        entries = [{"Id": name, "MessageBody": name} for name in "abc"]
        answer = sqs.send_message_batch(QueueUrl=QUEUE, Entries=entries).result(SOON)
    assert [one["Id"] for one in answer["Successful"]] == ["a", "c"]
    wrong = {"Id": "b", "Code": "InvalidMessageContents", "Message": "no", "SenderFault": True}
    assert answer["Failed"] == [wrong]
    assert endpoint.request_count == 1


def test_a_missing_queue_is_boto3s_exception(moto_server: Moto) -> None:
    missing = "https://sqs.us-east-1.amazonaws.com/123456789012/nobody-made-it"
    with client("sqs", moto_server.url) as sqs:
        future = sqs.send_message(QueueUrl=missing, MessageBody="m")
        error: Any = future.exception(SOON)
        assert isinstance(error, sqs.exceptions.QueueDoesNotExist)
    assert codes(future) == ["AWS.SimpleQueueService.NonExistentQueue"]
    theirs = moto_server.client("sqs")
    with pytest.raises(theirs.exceptions.QueueDoesNotExist) as raised:
        theirs.send_message(QueueUrl=missing, MessageBody="m")
    assert error.response["Error"] == raised.value.response["Error"]
    assert error.operation_name == raised.value.operation_name


def test_an_entry_that_a_whole_request_is_refused_for_is_found(endpoint: Endpoint) -> None:
    def script(request: Request) -> Answer | None:
        if any(entry.data == b"poison" for entry in request.entries):
            return Answer(error=Error(400, "InvalidMessageContents"))
        return None

    endpoint.script(script)
    with client("sqs", endpoint.url, linger=60) as sqs:
        futures = [
            sqs.send_message(QueueUrl=QUEUE, MessageBody="poison" if i == 3 else f"{i}")
            for i in range(10)
        ]
        errors = [future.exception(SOON) for future in futures]
    assert [error is not None for error in errors] == [i == 3 for i in range(10)]


# -- at the call


def call(**params: Any) -> dict[str, Any]:
    return {"QueueUrl": QUEUE, "MessageBody": "m", **params}


def attribute(name: str = "n", **parts: Any) -> dict[str, Any]:
    return {"MessageAttributes": {name: {"DataType": "String", "StringValue": "v", **parts}}}


REFUSED = {
    "a body of nothing": (call(MessageBody=""), "MissingParameter", "empty"),
    "a NUL": (call(MessageBody="ab\x00"), "InvalidMessageContents", "at 2 that XML"),
    "an escape": (call(MessageBody="\x1b[1m"), "InvalidMessageContents", "at 0 that XML"),
    "no character": (call(MessageBody="\uffff"), "InvalidMessageContents", "at 0 that XML"),
    "a delay too long": (call(DelaySeconds=901), "InvalidParameterValue", "0 to 900"),
    "a delay below zero": (call(DelaySeconds=-1), "InvalidParameterValue", "0 to 900"),
    "a group too long": (call(MessageGroupId="g" * 129), "InvalidParameterValue", "1 to 128"),
    "a group of nothing": (call(MessageGroupId=""), "InvalidParameterValue", "1 to 128"),
    "a group with a blank": (call(MessageGroupId="a b"), "InvalidParameterValue", "punctuation"),
    "an id that is not ASCII": (
        call(MessageDeduplicationId="\u00e9"),
        "InvalidParameterValue",
        "punctuation",
    ),
    "eleven attributes": (
        call(MessageAttributes={f"n{i}": ATTRIBUTES["i"] for i in range(11)}),
        "InvalidParameterValue",
        "at most 10",
    ),
    "a name of AWS's": (call(**attribute("aWs.n")), "InvalidParameterValue", "begin with AWS."),
    "a name with two periods": (
        call(**attribute("a..b")),
        "InvalidParameterValue",
        "single periods",
    ),
    "a name that ends in one": (call(**attribute("a.")), "InvalidParameterValue", "single periods"),
    "a name with a blank": (call(**attribute("a b")), "InvalidParameterValue", "letters, digits"),
    "a type of its own": (call(**attribute(DataType="Text")), "InvalidParameterValue", "DataType"),
    "a value of nothing": (
        call(**attribute(StringValue="")),
        "InvalidParameterValue",
        "StringValue that is not empty",
    ),
    "a value with a NUL": (
        call(**attribute(StringValue="\x00")),
        "InvalidMessageContents",
        "StringValue",
    ),
    "a system attribute of its own": (
        call(MessageSystemAttributes={"Mine": TRACE["AWSTraceHeader"]}),
        "InvalidParameterValue",
        "AWSTraceHeader",
    ),
    "more than a mebibyte": (
        call(MessageBody="m" * 1024 * 1024, **attribute()),
        "InvalidParameterValue",
        "1,048,584 bytes with its attributes; at most 1,048,576",
    ),
    "no name in the URL": (call(QueueUrl="https://host/1/"), "InvalidAddress", "queue's name"),
    "a name too long": (call(QueueUrl="q" * 81), "InvalidAddress", "1 to 80"),
    "a topic": (
        call(QueueUrl="arn:aws:sns:us-east-1:000000000000:orders"),
        "InvalidAddress",
        "queue's name",
    ),
    "no group for a FIFO queue": (call(QueueUrl=FIFO_QUEUE), "MissingParameter", "MessageGroupId"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_sqs_refuses_is_refused_at_the_call(endpoint: Endpoint, name: str) -> None:
    params, code, words = REFUSED[name]
    with client("sqs", endpoint.url) as sqs:
        with pytest.raises(publisher.InvalidMessage) as raised:
            sqs.send_message(**params)
        assert isinstance(raised.value, ClientError)
        assert raised.value.response["Error"]["Code"] == code
        assert words in str(raised.value)
        assert "https://docs.aws.amazon.com/AWSSimpleQueueService/" in str(raised.value)
        entry = {name: value for name, value in params.items() if name != "QueueUrl"}
        entries = [{"Id": "a", "MessageBody": "m", "MessageGroupId": "g"}, {"Id": "b", **entry}]
        with pytest.raises(publisher.InvalidMessage, match=words) as raised:
            sqs.send_message_batch(QueueUrl=params["QueueUrl"], Entries=entries)
        if code != "InvalidAddress":
            assert "Entries[1]" in str(raised.value)
    assert endpoint.request_count == 0


BAD_BATCHES = {
    "nothing": ([], "EmptyBatchRequest"),
    "an Id with a blank": ([{"Id": "a b", "MessageBody": "m"}], "InvalidBatchEntryId"),
    "an Id too long": ([{"Id": "a" * 81, "MessageBody": "m"}], "InvalidBatchEntryId"),
    "an Id twice": ([{"Id": "a", "MessageBody": "m"}] * 2, "BatchEntryIdsNotDistinct"),
}


@pytest.mark.parametrize("name", BAD_BATCHES)
def test_a_bad_batch_is_refused_with_the_services_code(endpoint: Endpoint, name: str) -> None:
    entries, code = BAD_BATCHES[name]
    with client("sqs", endpoint.url) as sqs, pytest.raises(publisher.InvalidMessage) as raised:
        sqs.send_message_batch(QueueUrl=QUEUE, Entries=entries)
    assert isinstance(raised.value, ClientError)
    assert raised.value.response["Error"]["Code"] == f"AWS.SimpleQueueService.{code}"


@pytest.mark.parametrize(
    "params",
    [
        {"MessageBody": "m"},
        {"QueueUrl": QUEUE},
        call(MessageBody=b"bytes"),
        call(MessageBody=7),
        call(DelaySeconds="7"),
        call(DelaySeconds=1.5),
        call(MessageAttributes=[]),
        call(MessageAttributes={"n": {"StringValue": "v"}}),
        call(MessageSystemAttributes=7),
        call(MessageBody="\ud800"),
        call(SomethingNew=1),
    ],
)
def test_what_boto3_does_not_send_raises_as_bad_parameters(
    endpoint: Endpoint, params: dict[str, Any]
) -> None:
    with client("sqs", endpoint.url) as sqs, pytest.raises(publisher.InvalidMessage) as raised:
        sqs.send_message(**params)
    assert not isinstance(raised.value, ClientError)


def test_every_character_that_xml_has_is_taken(endpoint: Endpoint) -> None:
    body = "".join(
        map(chr, [9, 10, 13, *range(32, 0x300), 0xD7FF, 0xE000, 0xFFFD, 0x10000, 0x10FFFF])
    )
    with client("sqs", endpoint.url) as sqs:
        sqs.send_message(QueueUrl=QUEUE, MessageBody=body).result(SOON)
    assert texts(endpoint.stored()) == [body]


@pytest.mark.parametrize("name", ["a", "a" * 256, "a.b-c_1", "\u00f6ther", "aws", "xaws.b"])
def test_names_of_attributes(endpoint: Endpoint, name: str) -> None:
    with client("sqs", endpoint.url) as sqs:
        sqs.send_message(**call(**attribute(name))).result(SOON)
    assert set(endpoint.stored()[0].attributes) == {name}


@pytest.mark.parametrize("code", [*range(32), 127])
def test_of_the_control_characters_three_are_taken_and_delete(code: int) -> None:
    """XML 1.0 discourages delete, and has it."""
    accept = load("sqs").accept
    for body in (f"ab{chr(code)}", f"\u00e9{chr(code)}"):
        if code in (9, 10, 13, 127):
            assert accept(call(MessageBody=body)) is not None
        else:
            with pytest.raises(publisher.InvalidMessage, match=f"at {len(body) - 1} that XML"):
                accept(call(MessageBody=body))


def test_a_request_is_filled_to_the_byte() -> None:
    """A mebibyte for all messages of a request, attributes counted, the trace not."""
    largest = "m" * (1024 * 1024 - 8)
    with Endpoint(strict=True) as endpoint, client("sqs", endpoint.url, linger=60) as sqs:
        futures = [
            sqs.send_message(
                **call(MessageBody=largest, MessageSystemAttributes=TRACE, **attribute())
            ),
            *(sqs.send_message(**call(MessageBody="m" * (512 * 1024))) for _ in range(2)),
            sqs.send_message(**call()),
        ]
        for future in futures:
            future.result(SOON)
    sizes = sorted(sum(entry.size for entry in request.entries) for request in endpoint.requests)
    assert sizes == [1, 1024 * 1024, 1024 * 1024]


def test_queues_of_two_accounts_have_two_names() -> None:
    with publishing() as made:
        sqs = client_of(made, "sqs", "http://127.0.0.1:9", region_name="us-east-1")
        for account in ("000000000000", "111111111111"):
            future = sqs.send_message(QueueUrl=QUEUE.replace("0" * 12, account), MessageBody="m")
            future.cancel()
        names = set(made.stats().destinations)
    assert names == {"sqs:us-east-1:jobs", "sqs:us-east-1:jobs@111111111111"}


# -- in tests


def test_captured_messages_are_answered_as_sqs_would() -> None:
    with capture() as published:
        sqs = publisher.client("sqs", region_name="us-east-1")
        future = sqs.send_message(
            QueueUrl=FIFO_QUEUE, MessageBody='{"order": 17}', MessageGroupId="17",
            MessageAttributes=ATTRIBUTES,
        )  # fmt: skip
        answer = future.result(SOON)
        published.assert_sent("sqs", QueueUrl=FIFO_QUEUE, MessageBody=as_json({"order": 17}))
    assert answer["SequenceNumber"]
    assert answer["MD5OfMessageBody"] == hashlib.md5(b'{"order": 17}').hexdigest()


def test_the_digest_of_attributes_is_that_of_the_service(moto_server: Moto) -> None:
    params = {"MessageBody": "m", "MessageAttributes": ATTRIBUTES}
    url = queue(moto_server)
    theirs = moto_server.client("sqs").send_message(QueueUrl=url, **params)
    with capture():
        ours = publisher.client("sqs", region_name="us-east-1").send_message(QueueUrl=url, **params)
        assert ours.result(SOON)["MD5OfMessageAttributes"] == theirs["MD5OfMessageAttributes"]


def test_faults_of_the_test_kit_reach_it() -> None:
    with capture() as published:
        published.faults.throttle(1, service="sqs")
        future = publisher.client("sqs", region_name="us-east-1").send_message(**call())
        future.result(SOON)
    assert codes(future) == ["RequestThrottled", None]


def test_messages_stay_inside_mocks_of_moto() -> None:
    with mock_aws():
        url = boto3.client("sqs", "us-east-1").create_queue(QueueName="mocked")["QueueUrl"]
        with publishing() as made:
            sqs = made.client("sqs", region_name="us-east-1")
            sqs.send_message(QueueUrl=url, MessageBody="m").result(SOON)
        (one,) = boto3.client("sqs", "us-east-1").receive_message(QueueUrl=url)["Messages"]
    assert one["Body"] == "m"
