"""Arguments as boto3 takes them: whatever is text, records without keys, what goes alone, names."""

from __future__ import annotations

import enum
import io
import mmap
import pickle
import tempfile
from typing import Any

import botocore.exceptions
import pytest

import publisher
from publisher.services._keys import needs_key
from tests.servers import Endpoint
from tests.support import FIFO_TOPIC, SOON, STREAM, TOPIC, client, client_of, publishing

pytestmark = pytest.mark.every_python(
    "what boto3 takes for an argument, and its model refuses, differs by version"
)

LONE = "squirrel\ud800"
MEBI = 1024 * 1024


class Name(str, enum.Enum):
    TOPIC = TOPIC
    FIFO = FIFO_TOPIC
    STREAM = STREAM
    GROUP = "one"
    KEY = "user-1"
    HASH = "7"
    SUBJECT = "paid"
    TEXT = "größe"
    REGION = "us-east-1"
    SNS = "sns"


def arn(account: str, region: str = "us-east-1", name: str = STREAM) -> str:
    return f"arn:aws:kinesis:{region}:{account}:stream/{name}"


# Text is text


def test_an_enum_member_is_the_text_that_it_holds(endpoint: Endpoint) -> None:
    with publishing() as made:
        sns = made.client(Name.SNS, region_name=Name.REGION, endpoint_url=endpoint.url)
        kinesis = client_of(made, "kinesis", endpoint.url)
        sns.publish(
            TopicArn=Name.TOPIC,
            Message=Name.TEXT,
            Subject=Name.SUBJECT,
            MessageAttributes={Name.KEY: {"DataType": "String", "StringValue": Name.TEXT}},
        ).result(SOON)
        kinesis.put_record(
            StreamName=Name.STREAM, Data=Name.TEXT, PartitionKey=Name.KEY, ExplicitHashKey=Name.HASH
        ).result(SOON)
        kinesis.put_records(
            StreamName=Name.STREAM, Records=[{"Data": b"", "PartitionKey": Name.KEY}]
        ).result(SOON)
        sns.publish(PhoneNumber="+15550100", Message=Name.TEXT).result(SOON)
        assert set(made.stats().destinations) == {
            *("sns:us-east-1:orders", "sns:us-east-1:Publish", "kinesis:us-east-1:clicks"),
        }
    message, sms = endpoint.stored("sns")
    assert (message.destination, message.data, message.subject) == (TOPIC, "größe".encode(), "paid")
    assert message.attributes == {"user-1": ("String", "größe".encode())}
    assert sms.data == "größe".encode()  # boto3 itself would send "Name.TEXT"
    for record in endpoint.stored("kinesis"):
        assert (record.destination, record.partition_key) == (STREAM, "user-1")


def test_enum_members_keep_the_order_of_their_group(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url) as sns:
        for number in range(12):
            topic, group = [(FIFO_TOPIC, "one"), (Name.FIFO, Name.GROUP)][number % 2]
            sns.publish(
                TopicArn=topic,
                Message=f"{number}",
                MessageGroupId=group,
                MessageDeduplicationId=f"{number}",
            )
    stored = endpoint.stored("sns")
    assert [int(entry.data) for entry in stored] == list(range(12))
    assert {entry.group_id for entry in stored} == {"one"}
    assert max(len(request.entries) for request in endpoint.requests) == 1


# Text that has no UTF-8, and texts that SNS does not take


@pytest.mark.parametrize("given", [True, False], ids=["client=", "ours"])
@pytest.mark.parametrize(
    "params",
    [
        {"MessageGroupId": LONE},
        {"MessageDeduplicationId": LONE},
        {"MessageStructure": LONE},
        {"Subject": LONE},
        {"TopicArn": None, "PhoneNumber": "+15550100", "Message": LONE},
        {"TopicArn": None, "PhoneNumber": LONE},
        {"TopicArn": TOPIC + "\ud800"},
    ],
    ids="+".join,
)
@pytest.mark.filterwarnings("ignore:client= is used as it is")
def test_a_lone_surrogate_is_refused_at_the_call(
    endpoint: Endpoint, params: dict[str, Any], given: bool
) -> None:
    with publishing() as made:
        if given:
            sns: Any = made.client("sns", client=endpoint.client("sns"))
        else:
            sns = client_of(made, "sns", endpoint.url)
        before = sns.publish(TopicArn=FIFO_TOPIC, Message="a", MessageGroupId="g")
        merged = {"TopicArn": FIFO_TOPIC, "Message": "m", **params}
        with pytest.raises(publisher.InvalidMessage) as raised:
            sns.publish(**{name: value for name, value in merged.items() if value is not None})
        after = sns.publish(TopicArn=FIFO_TOPIC, Message="b", MessageGroupId="g")
        assert before.result(SOON)["MessageId"] != after.result(SOON)["MessageId"]
        assert made.stats().total.accepted == 2
    assert "squirrel" not in f"{raised.value}{raised.value.__context__!r}"


@pytest.mark.parametrize("text", ["s" * 101, "a\nb", "a\tb", "a\x7f", "a\x85"])
def test_a_subject_that_sns_does_not_take_is_refused(endpoint: Endpoint, text: str) -> None:
    with client("sns", endpoint.url) as sns:
        with pytest.raises(publisher.InvalidMessage, match=r"Subject.*API_Publish") as raised:
            sns.publish(TopicArn=TOPIC, Message="m", Subject=text)
        assert isinstance(raised.value, botocore.exceptions.ClientError)
        sns.publish(TopicArn=TOPIC, Message="m", Subject="ü" * 100).result(SOON)


@pytest.mark.parametrize("name", ["MessageGroupId", "MessageDeduplicationId"])
def test_an_id_may_have_128_characters(endpoint: Endpoint, name: str) -> None:
    with client("sns", endpoint.url) as sns:
        with pytest.raises(publisher.InvalidMessage, match=rf"{name}.*129 characters.*128"):
            sns.publish(TopicArn=TOPIC, Message="m", **{name: "i" * 129})
        sns.publish(TopicArn=TOPIC, Message="m", **{name: "i" * 128}).result(SOON)


# What boto3 sends and the service refuses


def record(**more: Any) -> dict[str, Any]:
    return {"Data": b"d", "PartitionKey": "k", **more}


def entry(**more: Any) -> dict[str, Any]:
    return {"Id": "1", "Message": "m", **more}


def topic(**params: Any) -> dict[str, Any]:
    return {"TopicArn": TOPIC, "Message": "m", **params}


def entries(*each: Any, **params: Any) -> dict[str, Any]:
    return {"TopicArn": TOPIC, "PublishBatchRequestEntries": list(each), **params}


def stream(**params: Any) -> dict[str, Any]:
    return {"StreamName": STREAM, **record(**params)}


def records(*each: Any) -> dict[str, Any]:
    return {"StreamName": STREAM, "Records": list(each)}


@pytest.mark.parametrize(
    ("operation", "code", "params"),
    [
        ("publish", "InvalidParameter", topic(TopicArn="")),
        ("publish", "InvalidParameter", topic(Message="m" * (MEBI + 1))),
        ("publish", "InvalidParameter", topic(Subject="a\n")),
        ("publish_batch", "InvalidParameter", entries(entry(), TopicArn="x")),
        ("publish_batch", "InvalidParameter", entries(entry(Subject="\n"))),
        ("publish_batch", "EmptyBatchRequest", entries()),
        ("publish_batch", "BatchEntryIdsNotDistinct", entries(entry(), entry())),
        ("publish_batch", "InvalidBatchEntryId", entries(entry(Id="!"))),
        ("put_record", "ValidationException", stream(PartitionKey="k" * 300)),
        ("put_record", "ValidationException", stream(Data=bytes(10 * MEBI))),
        ("put_record", "ValidationException", stream(StreamName="a b")),
        ("put_record", "ValidationException", {"StreamARN": "x", **record()}),
        ("put_record", "ValidationException", stream(ExplicitHashKey="x")),
        ("put_record", "InvalidArgumentException", stream(ExplicitHashKey=f"{2**128}")),
        ("put_records", "ValidationException", records(record(PartitionKey="k" * 300))),
    ],
)
def test_what_the_service_would_refuse_is_a_client_error_too(
    endpoint: Endpoint, operation: str, code: str, params: dict[str, Any]
) -> None:
    service = "sns" if operation.startswith("publish") else "kinesis"
    with (
        client(service, endpoint.url) as made,
        pytest.raises(botocore.exceptions.ClientError) as raised,
    ):
        getattr(made, operation)(**params)
    error: Any = raised.value
    assert isinstance(error, publisher.InvalidMessage)
    assert error.response["Error"]["Code"] == code
    assert error.response["Error"]["Message"] in str(error)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error.operation_name == "".join(part.capitalize() for part in operation.split("_"))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
    assert again.response == error.response
    assert endpoint.requests == []


def test_what_boto3_would_not_send_is_no_client_error(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url) as sns:
        for params in ({"TopicArn": TOPIC}, {"TopicArn": TOPIC, "Message": 7}):
            with pytest.raises(botocore.exceptions.ParamValidationError) as raised:
                sns.publish(**params)
            assert not isinstance(raised.value, botocore.exceptions.ClientError)


# Kinesis: records without a key, large ones, other objects that hold bytes


def test_records_without_a_key_are_batched_where_botocore_knows_them(endpoint: Endpoint) -> None:
    with client("kinesis", endpoint.url) as kinesis:
        if needs_key():
            with pytest.raises(publisher.InvalidMessage, match="PartitionKey"):
                kinesis.put_record(StreamName=STREAM, Data=b"d")
            return
        kinesis.put_record(StreamName=STREAM, Data=b"0")
        kinesis.put_record(StreamName=STREAM, Data=b"1", ExplicitHashKey="7")
        kinesis.put_record(StreamName=STREAM, Data=b"2", PartitionKey="k")
        assert kinesis.close(SOON) == 0
        kinesis.put_records(**records({"Data": b"3"}, {"Data": b"4", "PartitionKey": "k"}))
        assert kinesis.close(SOON) == 0
    assert [request.operation for request in endpoint.requests] == ["PutRecords"] * 2
    found = [(each.data, each.partition_key, each.explicit_hash_key) for each in endpoint.stored()]
    assert found == [
        *((b"0", None, None), (b"1", None, "7"), (b"2", "k", None)),
        *((b"3", None, None), (b"4", "k", None)),
    ]


@pytest.mark.parametrize("how", ["put_record", "put_records"])
def test_a_record_over_1_mebibyte_travels_alone(endpoint: Endpoint, how: str) -> None:
    sizes = [10, MEBI - 1, MEBI, 10, MEBI + 5, 10]  # and a key of one byte each
    records = [{"Data": bytes(size), "PartitionKey": "k"} for size in sizes]
    with client("kinesis", endpoint.url, linger=5) as kinesis:
        if how == "put_records":
            kinesis.put_records(StreamName=STREAM, Records=records)
        else:
            for each in records:
                kinesis.put_record(StreamName=STREAM, **each)
        assert kinesis.close(SOON) == 0
    alone = [request.entries[0].size for request in endpoint.requests if len(request.entries) == 1]
    assert {MEBI + 1, MEBI + 6} <= set(alone)
    for request in endpoint.requests:
        assert len(request.entries) == 1 or max(each.size for each in request.entries) <= MEBI
    assert sorted(len(each.data) for each in endpoint.stored()) == sorted(sizes)
    assert len(endpoint.requests) <= 5


def test_a_full_request_with_a_large_record_is_sent_in_parts(endpoint: Endpoint) -> None:
    records = [{"Data": b"x", "PartitionKey": "k"} for _ in range(1000)]
    records[700] = {"Data": bytes(MEBI), "PartitionKey": "k"}
    with client("kinesis", endpoint.url) as kinesis:
        answer = kinesis.put_records(StreamName=STREAM, Records=records).result(SOON)
        assert answer["FailedRecordCount"] == 0
    large = [
        request for request in endpoint.requests if max(e.size for e in request.entries) > MEBI
    ]
    assert [len(request.entries) for request in large] == [1]
    assert len(endpoint.stored()) == 1000


def test_an_sns_message_over_256_kibibytes_travels_alone(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url, linger=5) as sns:
        for size in (10, 256 * 1024 + 1, 10, MEBI):
            sns.publish(TopicArn=TOPIC, Message="m" * size)
        assert sns.close(SOON) == 0
    for request in endpoint.requests:
        assert len(request.entries) == 1 or sum(e.size for e in request.entries) <= 256 * 1024
    assert len(endpoint.stored()) == 4


def test_a_mapped_file_is_sent_as_boto3_sends_it(endpoint: Endpoint) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"mapped\x00bytes")
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0)
        mapped.read(3)  # boto3 sends all of it, wherever it was read to
        with publishing() as made:
            kinesis = client_of(made, "kinesis", endpoint.url)
            sns = client_of(made, "sns", endpoint.url)
            sent = [
                kinesis.put_record(StreamName=STREAM, Data=mapped, PartitionKey="k"),
                kinesis.put_records(StreamName=STREAM, Records=[record(Data=mapped)]),
                sns.publish(
                    TopicArn=TOPIC,
                    Message="m",
                    MessageAttributes={"a": {"DataType": "Binary", "BinaryValue": mapped}},
                ),
            ]
            mapped.close()
            for future in sent:
                future.result(SOON)
            for refused in (mapped, io.BytesIO(b"squirrel"), 7):
                with pytest.raises(publisher.InvalidMessage, match=r"Data must be bytes.*mmap"):
                    kinesis.put_record(StreamName=STREAM, Data=refused, PartitionKey="k")
        endpoint.client("kinesis").put_record(StreamName=STREAM, Data=b"", PartitionKey="k")
    assert [each.data for each in endpoint.stored("kinesis")] == [b"mapped\x00bytes"] * 2 + [b""]
    (message,) = endpoint.stored("sns")
    assert message.attributes == {"a": ("Binary", b"mapped\x00bytes")}


# Names of destinations


def test_streams_of_one_name_in_two_accounts_are_two_destinations(endpoint: Endpoint) -> None:
    with publishing() as made:
        kinesis = client_of(made, "kinesis", endpoint.url)
        sns = client_of(made, "sns", endpoint.url)
        other = client_of(
            made, "kinesis", endpoint.url, aws_access_key_id="a", aws_secret_access_key="b"
        )
        for account, how_many in (("111111111111", 1), ("222222222222", 2)):
            for made_client in (kinesis, other):
                for _ in range(how_many):
                    made_client.put_record(StreamARN=arn(account), **record())
            sns.publish(TopicArn=f"arn:aws:sns:us-east-1:{account}:orders", Message="m")
        kinesis.put_record(StreamName=STREAM, **record())
        made.flush(SOON)
        counted = {key: each.delivered for key, each in made.stats().destinations.items()}
    assert counted == {
        "kinesis:us-east-1:clicks": 2,
        "kinesis:us-east-1:clicks@222222222222": 4,
        "kinesis:us-east-1:clicks@own": 1,
        "sns:us-east-1:orders": 1,
        "sns:us-east-1:orders@222222222222": 1,
    }


def test_the_region_of_an_arn_is_in_the_name_of_its_destination(endpoint: Endpoint) -> None:
    class Hook:
        def __init__(self) -> None:
            self.names: set[str] = set()

        def on_accepted(self, event: publisher.Event) -> None:
            self.names.add(event.destination)

        on_sent = on_delivered = on_accepted

    hook = Hook()
    with publishing(hooks=[hook]) as made:
        kinesis = client_of(made, "kinesis", endpoint.url, region_name="us-east-1")
        sns = client_of(made, "sns", endpoint.url, region_name="us-east-1")
        sent = [
            kinesis.put_record(StreamARN=arn("111111111111", "eu-west-1"), **record()),
            sns.publish(TopicArn="arn:aws-cn:sns:cn-north-1:111111111111:orders", Message="m"),
        ]
        for future in sent:
            future.result(SOON)
        names = set(made.stats().destinations)
    assert names == hook.names == {"kinesis:eu-west-1:clicks", "sns:cn-north-1:orders"}


@pytest.mark.parametrize(
    "name", ["s\n2026 CRITICAL lost", "s\x1b[2J", "s\u202e", "a b", "ü", "a/b", "a:b", "x" * 129]
)
def test_a_name_that_no_stream_can_have_is_refused(endpoint: Endpoint, name: str) -> None:
    with publishing() as made:
        kinesis = client_of(made, "kinesis", endpoint.url)
        for where in (
            {"StreamName": name},
            {"StreamARN": arn("111111111111", name=name)},
            {"StreamARN": arn("111111111111", region="e" + name)},
            {"StreamId": name},
        ):
            with pytest.raises(publisher.InvalidMessage, match=r"characters|not of") as raised:
                kinesis.put_record(**where, **record())
            if not (name.isascii() and name.isprintable()):  # a harmless ARN is shown
                assert name not in str(raised.value)
        assert made.stats().destinations == {}


def test_a_topic_arn_has_no_digits_of_other_alphabets(endpoint: Endpoint) -> None:
    with (
        client("sns", endpoint.url) as sns,
        pytest.raises(publisher.InvalidMessage, match="TopicArn"),
    ):
        sns.publish(TopicArn="arn:aws:sns:us-east-1:١٢٣:orders", Message="m")


# Words for who takes a future for a response, or writes no names


def test_a_future_taken_for_a_response_says_what_it_is(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url) as sns:
        future: Any = sns.publish(TopicArn=TOPIC, Message="m")
        with pytest.raises(TypeError, match=r"future of the response.*\.result\(\)"):
            future["MessageId"]
        batch: Any = sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=[entry()])
        with pytest.raises(TypeError, match=r"future of the response.*\.result\(\)"):
            batch["Successful"]


def test_operations_take_keyword_arguments_only_and_say_so(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url) as sns:
        untyped: Any = sns
        for operation in ("publish", "publish_batch", "list_topics"):
            with pytest.raises(TypeError, match=rf"^{operation}\(\) only accepts keyword arg"):
                getattr(untyped, operation)(TOPIC, "text")
            with pytest.raises(TypeError, match=rf"^{operation}\(\) only accepts keyword arg"):
                getattr(endpoint.client("sns"), operation)(TOPIC, "text")
