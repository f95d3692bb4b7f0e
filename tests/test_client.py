"""The drop-in client: code written for boto3 runs with `.result()` added."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import dataclasses
import logging
import pickle
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
import tenacity
from botocore.config import Config

import publisher
from publisher._aws import targets as _targets
from publisher._engine.contract import Limits
from publisher.testing import capture
from tests.hand import Bench, Entry, Wire, delivered
from tests.servers import Answer, Endpoint, Error, Moto, Request
from tests.servers.wire import shard_of
from tests.support import (
    SESSION,
    SOON,
    STREAM,
    TOPIC,
    client,
    client_of,
    codes,
    publish,
    publish_all,
    publish_together,
    publishing,
    texts,
    tries,
    until,
)

pytestmark = pytest.mark.every_python(
    "the operations, responses and exceptions of boto3's clients differ by version"
)

SERVICES = ("sns", "kinesis")
RECORDS = [{"Data": b"record", "PartitionKey": "key"}]
ENTRIES = [{"Id": "first", "Message": "message"}]


def shape(value: Any) -> Any:
    """What of a response is the same at every call."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


# Responses


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("sns", "publish", {"TopicArn": TOPIC, "Message": "message"}),
        ("sns", "publish", {"PhoneNumber": "+15550100", "Message": "message"}),
        ("sns", "publish_batch", {"TopicArn": TOPIC, "PublishBatchRequestEntries": ENTRIES}),
        ("sns", "create_topic", {"Name": "orders"}),
        ("sns", "list_topics", {}),
        ("kinesis", "put_record", {"StreamName": STREAM, **RECORDS[0]}),
        ("kinesis", "put_records", {"StreamName": STREAM, "Records": RECORDS}),
        ("kinesis", "list_streams", {}),
    ],
)
def test_responses_have_boto3s_shape(
    endpoint: Endpoint, service: str, operation: str, params: dict[str, Any]
) -> None:
    wanted = shape(getattr(endpoint.client(service), operation)(**params))
    with client(service, endpoint.url) as ours:
        found = shape(getattr(ours, operation)(**params).result(SOON))
    # The wire carries a batch: its answer has another length, which is all that may differ.
    assert found == wanted


def test_a_fifo_topics_sequence_number_is_passed_on(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url) as sns:
        response = publish(
            sns, "m", TOPIC + ".fifo", MessageGroupId="g", MessageDeduplicationId="d"
        ).result(SOON)
    assert response["SequenceNumber"]


def test_a_batch_of_any_length_is_answered_in_the_callers_order_and_ids(endpoint: Endpoint) -> None:
    entries = [{"Id": f"mine-{i}", "Message": f"{i}"} for i in range(37)]
    with client("sns", endpoint.url) as sns:
        response = sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=entries).result(
            SOON
        )
    assert [entry["Id"] for entry in response["Successful"]] == [e["Id"] for e in entries]
    assert response["Failed"] == []
    assert {len(request.entries) for request in endpoint.requests} == {10, 7}
    sent = {entry.id for entry in endpoint.entries}
    assert sent == {str(i) for i in range(10)}  # never the caller's: over 37 they may repeat


def test_put_records_of_any_length(endpoint: Endpoint) -> None:
    records = [{"Data": b"%d" % i, "PartitionKey": f"{i}"} for i in range(1_201)]
    with client("kinesis", endpoint.url) as kinesis:
        response = kinesis.put_records(StreamName=STREAM, Records=records).result(SOON)
    assert response["FailedRecordCount"] == 0
    assert len(response["Records"]) == 1_201
    stored = {entry.data: entry for entry in endpoint.stored()}
    assert len(stored) == 1_201
    # each record's answer is its own
    for i, record in enumerate(response["Records"]):
        assert record["ShardId"] == f"shardId-{shard_of(stored[b'%d' % i], 4):012}"
    assert len({record["SequenceNumber"] for record in response["Records"]}) == 1_201


@pytest.mark.parametrize("service", SERVICES)
def test_hooks_that_read_outcomes_do_not_change_a_batchs_response(
    endpoint: Endpoint, service: str
) -> None:
    class Hook(publisher.Hook):
        def on_delivered(self, event: publisher.Event) -> None:
            assert event.response

        def on_failed(self, event: publisher.Event) -> None:
            assert event.exception

    endpoint.script(Answer(failures={1: "AccessDeniedException"}))
    with publishing(hooks=[Hook()]) as made:
        ours = client_of(made, service, endpoint.url)
        future = publish_all(ours, ["a", "b", "c"])
        concurrent.futures.wait([future], SOON)
        made.close(SOON)  # the hooks have run
        response = future.result(0)
    kept = {key: value for key, value in response.items() if key != "ResponseMetadata"}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
    if service == "sns":
        assert [entry["Id"] for entry in kept["Successful"]] == ["0", "2"]
        assert [(e["Id"], e["Code"]) for e in kept["Failed"]] == [("1", "AccessDeniedException")]
    else:
        assert kept["FailedRecordCount"] == 1
        found = [record.get("ErrorCode") for record in kept["Records"]]
        assert found == [None, "AccessDeniedException", None]


# Every operation, arguments, exceptions


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_of_boto3_is_there(endpoint: Endpoint, service: str) -> None:
    boto = endpoint.client(service)
    with client(service, endpoint.url) as ours:
        for operation in boto.meta.method_to_api_mapping:
            assert callable(getattr(ours, operation)), operation
            with pytest.raises(TypeError):
                getattr(ours, operation)("positional")
        missing = [name for name in dir(boto) if not name.startswith("_") and name not in dir(ours)]
        assert not missing
        with pytest.raises(AttributeError):
            ours.publish_everything  # noqa: B018


def test_operations_take_boto3s_arguments_and_run_on_the_pool(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url) as sns:
        arn = sns.create_topic(Name="made", Attributes={"DisplayName": "M"}).result(SOON)[
            "TopicArn"
        ]
        attributes = sns.get_topic_attributes(TopicArn=arn).result(SOON)["Attributes"]
        future = sns.list_topics()
        assert future.result(SOON)["Topics"] == [{"TopicArn": arn}]
    assert attributes["DisplayName"] == "M"
    assert codes(future) == [None]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_operations_are_retried_by_the_same_policy(endpoint: Endpoint, status: int) -> None:
    def script(request: Any) -> Answer | None:
        return Answer(error=Error(status, "Throttling")) if request.number == 1 else None

    endpoint.script(script)
    with client("sns", endpoint.url) as sns:
        future = sns.list_topics()
        assert future.result(SOON)["Topics"] == []
    assert codes(future) == ["Throttling", None]


@pytest.mark.parametrize(("status", "code"), [(400, "ResourceInUseException"), (409, "Odd")])
def test_what_an_operation_is_told_is_not_retried(
    endpoint: Endpoint, status: int, code: str
) -> None:
    """Only throttling, 5xx and connection errors are; the rest is an answer."""
    endpoint.script(Answer(error=Error(status, code)))
    with client("kinesis", endpoint.url) as kinesis:
        future = kinesis.create_stream(StreamName="s", ShardCount=1)
        error = future.exception(SOON)
        assert type(error) is kinesis.exceptions.from_code(code)
    assert codes(future) == [code]


def test_modelled_exceptions_of_the_clients_own_classes(endpoint: Endpoint) -> None:
    with publishing() as made:
        sns, kinesis = (client_of(made, name, endpoint.url) for name in SERVICES)
        sns.delete_topic(TopicArn=TOPIC).result(SOON)
        kinesis.delete_stream(StreamName=STREAM).result(SOON)
        with pytest.raises(sns.exceptions.NotFoundException) as not_found:
            publish(sns, "m").result(SOON)
        assert not_found.value.operation_name == "Publish"
        assert not_found.value.response["Error"]["Message"] == "Topic does not exist"
        assert not_found.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        assert "reached max retries" not in str(not_found.value)
        with pytest.raises(kinesis.exceptions.ResourceNotFoundException) as no_stream:
            publish(kinesis, "m").result(SOON)
        assert no_stream.value.operation_name == "PutRecord"
        with pytest.raises(sns.exceptions.NotFoundException) as whole:
            sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=ENTRIES).result(SOON)
        assert whole.value.operation_name == "PublishBatch"
        with pytest.raises(sns.exceptions.NotFoundException) as other:
            sns.get_topic_attributes(TopicArn=TOPIC).result(SOON)
        assert other.value.operation_name == "GetTopicAttributes"


def test_each_message_gets_an_exception_of_its_own_without_our_frames(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(404, "NotFound")))
    with client("sns", endpoint.url) as sns:
        first, second = publish(sns, "1"), publish(sns, "2")
        errors = [first.exception(SOON), second.exception(SOON)]
    assert errors[0] is not errors[1]
    assert errors[0] is first.exception()
    assert errors[0].__traceback__ is None
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        first.result()
    files = {entry.path.name for entry in raised.traceback}
    assert files == {"test_client.py", "future.py"}


@pytest.mark.parametrize("service", SERVICES)
def test_exceptions_pickle_and_futures_refuse_to(endpoint: Endpoint, service: str) -> None:
    endpoint.script(Answer(error=Error(500, "InternalFailure")))
    with publishing(retry=publisher.retry_policy(stop=tenacity.stop_after_attempt(1))) as made:
        ours = client_of(made, service, endpoint.url)
        future = publish(ours, "m")
        error = future.exception(SOON)
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)
        assert again.response["Error"] == error.response["Error"]
        assert isinstance(again, publisher.RetriesExhausted)
        for value in (future, ours):
            with pytest.raises(TypeError):
                pickle.dumps(value)
        with pytest.raises(TypeError):
            copy.copy(future)


@pytest.mark.parametrize(
    "call",
    [
        lambda sns: sns.publish(TopicArn=TOPIC),
        lambda sns: sns.publish(TopicArn=TOPIC, Message="m", Unknown="x"),
        lambda sns: sns.create_topic(),
        lambda sns: sns.create_topic(Name=7),
        lambda sns: sns.create_topic(Name="a", Unknown=1),
        lambda sns: sns.publish(PhoneNumber=15550100, Message="m"),
    ],
)
def test_parameters_are_checked_at_the_call_as_boto3_does(endpoint: Endpoint, call: Any) -> None:
    with client("sns", endpoint.url) as sns:
        with pytest.raises(botocore.exceptions.ParamValidationError) as ours:
            call(sns)
        with pytest.raises(botocore.exceptions.ParamValidationError):
            call(endpoint.client("sns"))
    assert isinstance(ours.value, publisher.InvalidMessage)
    assert isinstance(ours.value, ValueError)
    assert endpoint.requests == []


def test_what_passes_through(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url) as sns:
        sns.create_topic(Name="a").result(SOON)
        assert sns.meta.service_model.service_name == "sns"
        assert sns.can_paginate("list_topics")
        assert not sns.can_paginate("publish")
        pages = list(sns.get_paginator("list_topics").paginate())
        assert len(pages[0]["Topics"]) == 1
        assert sns.waiter_names == []
        assert "Signature" in sns.generate_presigned_url("list_topics")


def test_waiters(moto_server: Moto) -> None:
    # With a short time-out it would be tried again on a busy machine, and be there already.
    with client("kinesis", moto_server.url, read_timeout=SOON) as kinesis:
        kinesis.create_stream(StreamName="waited-for", ShardCount=1).result(SOON)
        kinesis.get_waiter("stream_exists").wait(StreamName="waited-for")


def test_streaming_operations_say_so(endpoint: Endpoint) -> None:
    with client("kinesis", endpoint.url) as kinesis, pytest.raises(NotImplementedError) as error:
        kinesis.subscribe_to_shard(
            ConsumerARN="arn", ShardId="s", StartingPosition={"Type": "LATEST"}
        )
    assert "subscribe_to_shard" in str(error.value)


# What goes alone


def test_an_sms_and_a_mobile_endpoint_go_alone(endpoint: Endpoint) -> None:
    mobile = "arn:aws:sns:us-east-1:000000000000:endpoint/GCM/app/1234"
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        patient = sns.with_options(linger=60)
        futures = [
            sns.publish(PhoneNumber="+15550100", Message="sms"),
            sns.publish(TargetArn=mobile, Message="mobile"),
            patient.publish(TargetArn=TOPIC, Message="a topic by its other name"),
            publish(patient, "topic"),
        ]
        made.flush(SOON)
        for future in futures:
            assert future.result(SOON)["MessageId"]
    assert sorted(request.operation for request in endpoint.requests) == [
        "Publish",
        "Publish",
        "PublishBatch",
    ]
    keys = made.stats().destinations
    assert set(keys) == {"sns:us-east-1:Publish", "sns:us-east-1:orders"}
    assert "15550100" not in repr(made.stats())
    assert keys["sns:us-east-1:Publish"].delivered == 2


def test_what_the_table_does_not_know_is_looked_up_in_botocores_model(endpoint: Endpoint) -> None:
    """Known there, the call goes alone; unknown, it raises."""
    with client("kinesis", endpoint.url) as kinesis:
        known = kinesis.meta.service_model.operation_model("PutRecord").input_shape.members
        (name,) = [name for name in known if name == "SequenceNumberForOrdering"]
        kinesis.put_record(StreamName=STREAM, Data=b"d", PartitionKey="k", **{name: "1"}).result(
            SOON
        )
        assert [request.operation for request in endpoint.requests] == ["PutRecord"]
        with pytest.raises(publisher.InvalidMessage, match="Nonsense"):
            kinesis.put_record(StreamName=STREAM, Data=b"d", PartitionKey="k", Nonsense=1)


# The futures with the standard library


def test_futures_work_with_wait_as_completed_and_asyncio(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url) as sns:
        futures = [publish(sns, f"{i}") for i in range(25)]
        done, pending = concurrent.futures.wait(futures, SOON)
        assert (len(done), len(pending)) == (25, 0)
        futures = [publish(sns, f"{i}") for i in range(25)]
        assert set(concurrent.futures.as_completed(futures, SOON)) == set(futures)

        async def main() -> list[Any]:
            wrapped = [asyncio.wrap_future(publish(sns, f"{i}")) for i in range(25)]
            return await asyncio.wait_for(asyncio.gather(*wrapped), SOON)

        assert len({response["MessageId"] for response in asyncio.run(main())}) == 25


def test_cancel_succeeds_until_the_first_request(endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.script(lambda request: Answer(hold=gate) if request.number == 1 else None)
    with client("sns", endpoint.url, max_workers=1, linger=0) as sns:
        sent = publish(sns, "sent")
        endpoint.wait_for(lambda: endpoint.request_count)
        waiting = [publish(sns, f"{i}") for i in range(3)]
        assert not sent.cancel()
        assert waiting[1].cancel()
        assert waiting[1].cancelled()
        with pytest.raises(concurrent.futures.CancelledError):
            waiting[1].result(0)
        gate.set()
        for future in (sent, waiting[0], waiting[2]):
            future.result(SOON)
            assert not future.cancel()
    assert sorted(texts(endpoint.stored())) == ["0", "2", "sent"]


# The client call


def test_equal_arguments_give_the_same_object() -> None:
    with publishing() as made:
        assert made.client("sns") is made.client("sns")
        assert made.client("sns") is not made.client("kinesis")
        west = made.client("sns", region_name="eu-west-1")
        assert west is made.client("sns", region_name="eu-west-1")
        assert west is not made.client("sns", region_name="eu-west-2")
        first, second = Config(read_timeout=7), Config(read_timeout=7)
        assert first != second
        assert made.client("sns", config=first) is made.client("sns", config=second)
        assert made.client("sns", config=first) is not made.client(
            "sns", config=Config(read_timeout=8)
        )
        deep = [Config(proxies={"http": "a", "https": "b"}, s3={"x": 1}) for _ in range(2)]
        assert made.client("sns", config=deep[0]) is made.client("sns", config=deep[1])
        session = boto3.Session(region_name="eu-west-1")
        assert made.client("sns", session=session) is made.client("sns", session=session)
        assert made.client("sns", session=session) is not made.client(
            "sns", session=boto3.Session(region_name="eu-west-1")
        )
        secret = {"aws_access_key_id": "AKIDSECRET", "aws_secret_access_key": "squirrel"}
        assert made.client("sns", **secret) is made.client("sns", **secret)
        assert made.client("sns", **secret) is not made.client(
            "sns", **{**secret, "aws_secret_access_key": "other"}
        )
        shown = repr(list(made._clients)) + repr(made.client("sns", **secret))
        assert "squirrel" not in shown
        assert "AKIDSECRET" not in shown


def test_an_identity_is_not_reused_by_another_object() -> None:
    with publishing() as made:
        seen = []
        for _ in range(5):
            session = boto3.Session(region_name="eu-west-1")
            seen.append(made.client("sns", session=session))
            del session
        assert len(set(seen)) == 5


def test_views_of_equal_options_share_a_way_in(endpoint: Endpoint) -> None:
    with client("sns", endpoint.url) as sns:
        for _ in range(5):
            view = sns.with_options(delivery_timeout=5)
            assert view.publish(PhoneNumber="+15550100", Message="sms").result(SOON)["MessageId"]
            assert publish(view, "topic").result(SOON)["MessageId"]
        assert sns._binding is not None
        assert [len(lane.routes) for lane in sns._binding.lanes.values()] == [1, 1]


def test_making_a_client_starts_nothing(endpoint: Endpoint) -> None:
    before = set(threading.enumerate())
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        sns.with_options(linger=1)
        assert made.flush(1) == 0
        assert set(threading.enumerate()) <= before
        assert endpoint.connections == 0


def test_a_busy_client_is_not_forgotten_for_want_of_room(endpoint: Endpoint) -> None:
    gate = threading.Event()
    endpoint.script(Answer(hold=gate))
    with publishing() as made:
        busy = client_of(made, "sns", endpoint.url)
        future = publish(busy, "m")
        for _ in range(100):
            made.client("sns", session=boto3.Session(region_name="us-east-1"))
        assert len(made._clients) <= 33
        assert client_of(made, "sns", endpoint.url) is busy
        gate.set()
        future.result(SOON)


def test_an_unknown_service_is_told_the_supported_ones() -> None:
    with publishing() as made, pytest.raises(ValueError, match="'sns', 'sqs', 'kinesis'") as error:
        made.client("s3")
    assert "'s3'" in str(error.value)


def test_an_unknown_argument_of_the_client_call() -> None:
    with publishing() as made, pytest.raises(TypeError, match="regoin_name"):
        made.client("sns", regoin_name="eu-west-1")


def test_a_session_is_used(endpoint: Endpoint) -> None:
    session = boto3.Session("AKIDOFSESSION", "secret", region_name="eu-central-1")
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url, session=session)
        publish(sns, "m").result(SOON)
        assert set(made.stats().destinations) == {"sns:us-east-1:orders"}  # the ARN's
    assert "AKIDOFSESSION" in endpoint.requests[0].headers["authorization"]
    with publishing() as made, pytest.raises(TypeError, match=r"boto3\.Session, not str"):
        made.client("sns", session="default")


def test_the_region_in_a_key_is_filled_in_once_it_is_known(endpoint: Endpoint) -> None:
    with publishing() as made:
        sns = made.client("sns", endpoint_url=endpoint.url)
        publish(sns, "m").result(SOON)
        assert set(made.stats().destinations) == {"sns:us-east-1:orders"}


def test_the_warning_about_a_ready_client_shows_who_passed_it(endpoint: Endpoint) -> None:
    with publishing() as made:
        for make in (made.client, publisher.client):
            with pytest.warns(UserWarning, match="used as it is") as caught:
                make("sns", client=endpoint.client("sns"))
            assert [each.filename for each in caught] == [__file__]


def test_a_ready_client_is_used_as_it_is(endpoint: Endpoint) -> None:
    boto = endpoint.client("sns", config=Config(user_agent_extra="mine/1.0"))
    events: list[str] = []
    boto.meta.events.register(
        "before-call.sns.*", lambda **found: events.append(found["event_name"])
    )
    config = vars(boto.meta.config).copy()
    with publishing() as made:
        with pytest.warns(UserWarning, match="used as it is") as caught:
            sns = made.client("sns", client=boto)
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert made.client("sns", client=boto) is sns  # one warning
        publish(sns, "m").result(SOON)
        assert sns.exceptions is boto.exceptions
        for arguments in (
            {"region_name": "eu-west-1"},
            {"session": SESSION},
            {"config": Config()},
        ):
            with pytest.raises(ValueError, match=next(iter(arguments))):
                made.client("sns", client=boto, **arguments)
        with pytest.raises(ValueError, match="'sns', not of 'kinesis'"):
            made.client("kinesis", client=boto)
        with pytest.raises(TypeError, match="boto3 client"):
            made.client("sns", client=object())
    assert events == ["before-call.sns.PublishBatch"]
    assert vars(boto.meta.config) == config
    assert "mine/1.0" in endpoint.requests[0].headers["user-agent"]


def test_a_users_config_wins_but_for_retries_and_the_pool(endpoint: Endpoint) -> None:
    with publishing(read_timeout=5, connect_timeout=2, max_workers=12) as made:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sns = client_of(made, "sns", endpoint.url, config=Config(read_timeout=3))
            plain = client_of(made, "sns", endpoint.url)
            config = sns.meta.config
            publish(sns, "m").result(SOON)
        assert (config.read_timeout, config.connect_timeout) == (3, 2)
        assert config.retries["total_max_attempts"] == 1
        assert config.max_pool_connections >= 12
        assert plain.meta.config.read_timeout == 5


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (Config(retries={"max_attempts": 5}), "total_max_attempts"),
        (Config(retries={"total_max_attempts": 3, "mode": "standard"}), "total_max_attempts"),
        (Config(max_pool_connections=2), "max_pool_connections"),
    ],
)
def test_one_warning_where_a_users_config_is_overridden(
    endpoint: Endpoint, config: Config, name: str
) -> None:
    endpoint.script(lambda request: Answer(error=Error(500, "X")) if request.number == 1 else None)
    with publishing() as made:
        with pytest.warns(UserWarning, match=name) as caught:
            sns = client_of(made, "sns", endpoint.url, config=config)
        assert len(caught) == 1
        assert caught[0].filename.startswith(str(Path(__file__).parent))
        # pytest's filters make any further warning an error, in the worker too
        assert client_of(made, "sns", endpoint.url, config=config) is sns
        future = publish(sns, "m")
        future.result(SOON)
        assert codes(future) == ["X", None]  # the retry was ours
        assert sns.meta.config.retries["total_max_attempts"] == 1
        assert sns.meta.config.max_pool_connections >= 10


def test_views_with_other_options(endpoint: Endpoint) -> None:
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        now, later = sns.with_options(linger=0), sns.with_options(linger=30)
        assert publish(now, "now").result(SOON)["MessageId"]
        assert sns.meta is now.meta  # one boto3 client
        lingering = publish(later, "later")
        publish(sns, "m", TOPIC + "-other").result(SOON)  # by now the dispatcher has seen it linger
        assert publish(now, "now").result(SOON)["MessageId"]
        assert made.flush(SOON) == 0
        assert lingering.done()
        both = later.with_options(linger=0)
        publish(both, "again").result(SOON)
        endpoint.script(Answer(error=Error(500, "InternalFailure")))
        once = sns.with_options(
            linger=0, retry=publisher.retry_policy(stop=tenacity.stop_after_attempt(1))
        )
        assert isinstance(publish(once, "m").exception(SOON), publisher.RetriesExhausted)
        brief = sns.with_options(linger=0, delivery_timeout=0.2)
        assert isinstance(publish(brief, "m").exception(SOON), publisher.DeliveryTimeout)
        for wrong in ({"linger": -1}, {"delivery_timeout": 0}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                sns.with_options(**wrong)
        with pytest.raises(TypeError, match="tenacity"):
            sns.with_options(retry=3)
        with pytest.raises(TypeError):
            sns.with_options(max_workers=3)


def test_closing_a_client_flushes_that_clients_lanes(endpoint: Endpoint) -> None:
    with publishing(linger=60) as made:
        sns, kinesis = (client_of(made, name, endpoint.url) for name in SERVICES)
        other = publish(kinesis, "other")
        futures = [publish(sns, "1"), publish(sns.with_options(linger=50), "2")]
        assert sns.close(SOON) == 0
        assert all(future.done() for future in futures)
        assert not other.done()
        again = publish(sns, "3")  # nothing was torn down
        assert sns.close(SOON) == 0
        assert again.result(0)["MessageId"]


# A role that may not use the batch twin


def refusing(*operations: str) -> Callable[[Request], Answer | None]:
    def script(request: Request) -> Answer | None:
        if request.operation in operations:
            return Answer(error=Error(403, "AccessDeniedException"))
        return None

    return script


def test_single_operations_where_the_batch_twin_is_refused(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.script(refusing("PutRecords"))
    with client("kinesis", endpoint.url) as ours:
        with caplog.at_level(logging.WARNING, "publisher"):
            futures = [publish(ours, f"{i}") for i in range(15)]
            for future in futures:
                assert future.result(SOON)["ResponseMetadata"]["HTTPStatusCode"] == 200
            publish(ours, "later").result(SOON)
            many = publish_all(ours, ["a", "b"]).result(SOON)
        assert set(many) - {"EncryptionType"} == {
            *("Records", "FailedRecordCount", "ResponseMetadata")
        }
        lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(lines) == 1
        assert "kinesis:PutRecords" in lines[0].getMessage()
    assert sorted(texts(endpoint.stored())) == sorted([*map(str, range(15)), "later", "a", "b"])
    assert endpoint.requests[-1].operation == "PutRecord"
    assert set(codes(futures[0])) == {"AccessDeniedException", None}
    assert futures[0].attempts[0].split


def test_the_batch_twin_is_tried_again_after_a_while(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A permission takes a while to spread; until it has, nothing is lost."""
    assert 0 < _targets._SINGLES_FOR < 60
    monkeypatch.setattr(_targets, "_SINGLES_FOR", 0.05)
    endpoint.script(refusing("PutRecords"))
    with client("kinesis", endpoint.url) as ours:
        publish(ours, "refused").result(SOON)

        def tried_again() -> bool:
            publish(ours, "refused").result(SOON)
            return [one.operation for one in endpoint.requests].count("PutRecords") > 2

        until(tried_again)
        endpoint.script(None)

        def allowed() -> bool:
            publish(ours, "one").result(SOON)
            return endpoint.requests[-1].operation == "PutRecords"

        until(allowed)
        before = endpoint.request_count
        publish_all(ours, [f"{i}" for i in range(1_000)]).result(SOON)
        assert endpoint.request_count - before <= 3
    stored = Counter(texts(endpoint.stored()))
    assert {stored[f"{i}"] for i in range(1_000)} == {1}
    warned = [one for one in caplog.records if "kinesis:PutRecords" in one.getMessage()]
    assert len(warned) == 1


def test_what_needs_the_same_permission_is_not_tried_in_place_of_the_other(
    endpoint: Endpoint,
) -> None:
    endpoint.script(refusing("PublishBatch"))
    with client("sns", endpoint.url) as sns:
        for future in publish_together(sns, [f"{i}" for i in range(10)]):
            assert isinstance(future.exception(SOON), botocore.exceptions.ClientError)
            assert codes(future) == ["AccessDeniedException"]
        endpoint.script(None)  # the permission has spread
        for future in publish_together(sns, [f"{i}" for i in range(10)]):
            assert future.result(SOON)
    assert [one.operation for one in endpoint.requests] == ["PublishBatch"] * 2


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_that_may_do_neither_is_told_so(endpoint: Endpoint, service: str) -> None:
    endpoint.script(Answer(error=Error(403, "AccessDeniedException")))
    with client(service, endpoint.url) as ours:
        futures = [publish(ours, f"{i}") for i in range(15)]
        for future in futures:
            error = future.exception(SOON)
            assert isinstance(error, botocore.exceptions.ClientError)
            assert error.response["Error"]["Code"] == "AccessDeniedException"
            assert not isinstance(error, publisher.RetriesExhausted)
    assert endpoint.stored() == []
    assert endpoint.request_count <= 2 * 15 + 2


def test_batches_taken_before_the_change_are_sent_one_by_one_too() -> None:
    class Changing(Wire):
        def change_to_single(self, code: str) -> bool:
            self._sends, self.limits = self.operation, Limits(1, 100)
            return True

    def refuse(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
        if len(entries) > 1:
            response: Any = {"Error": {"Code": "AuthorizationError", "Message": "no"}}
            raise botocore.exceptions.ClientError(response, "PublishBatch")
        return delivered(wire, entries)

    bench, wire = Bench(max_workers=3), Changing()
    wire.reply = refuse
    route = bench.route(wire)
    futures = [bench.publish(route, f"m{i}") for i in range(30)]
    bench.hand.step()
    assert [len(request.messages) for request in bench.hand.on_wire] == [10, 10, 10]
    bench.hand.settle()
    assert wire.acknowledged.total() == 30
    assert {tuple(codes(future)) for future in futures} == {("AuthorizationError", None)}
    bench.assert_at_rest()


def batches_refused(first: Answer) -> Callable[[Request], Answer | None]:
    """The role may use the single operation only, whose first request is answered like this."""
    odd = iter([first])

    def script(request: Request) -> Answer | None:
        if request.operation == "PutRecords":
            return Answer(error=Error(403, "AccessDeniedException"))
        return next(odd, None)

    return script


def test_a_single_operation_that_got_no_answer_is_tried_again(endpoint: Endpoint) -> None:
    endpoint.script(batches_refused(Answer(reset="before")))
    with client("kinesis", endpoint.url) as kinesis:
        future = publish(kinesis, "m")
        assert set(future.result(SOON)) >= {"SequenceNumber", "ShardId"}
        many = publish_all(kinesis, ["a", "b"]).result(SOON)["Records"]
        assert all(set(each) == {"SequenceNumber", "ShardId"} for each in many)
    assert codes(future) in (
        ["ConnectionClosedError", None],
        ["AccessDeniedException", "ConnectionClosedError", None],
    )


@pytest.mark.parametrize("body", [b"{}", b"<html>", b""])
def test_a_single_operation_whose_answer_says_nothing_is_tried_again(
    endpoint: Endpoint, body: bytes
) -> None:
    endpoint.script(batches_refused(Answer(body=body)))
    with client("kinesis", endpoint.url) as kinesis:
        future = publish(kinesis, "m")
        assert future.result(SOON)["SequenceNumber"]
        first, second, third = future.attempts
        assert (first.error_code, third.error_code) == ("AccessDeniedException", None)
        assert second.error_code
        assert second.outcome_unknown


# Failing to make the boto3 client


def test_failing_to_make_the_client_goes_on_the_futures(endpoint: Endpoint) -> None:
    class Other:
        """Makes clients by rules of its own, that nobody else can know."""

        def client(self, *_: Any, **__: Any) -> Any:
            raise botocore.exceptions.NoRegionError

    with publishing(retry=tries(1)) as made:
        sns = made.client("sns", endpoint_url=endpoint.url, session=Other())
        futures = [publish(sns, f"{i}") for i in range(30)]
        for future in futures:
            assert isinstance(future.exception(SOON), botocore.exceptions.NoRegionError)
        assert len({id(future.exception()) for future in futures}) == 30
        assert set(made.stats().destinations) == {"sns:us-east-1:orders"}


def test_a_client_that_takes_long_to_make_holds_up_no_other(endpoint: Endpoint) -> None:
    """A `credential_process` may wait for somebody's phone."""
    making, made_at_last = threading.Event(), threading.Event()

    class Slow(boto3.Session):
        def client(self, *args: Any, **kwargs: Any) -> Any:
            making.set()
            assert made_at_last.wait(SOON)
            return super().client(*args, **kwargs)

    slow = Slow(aws_access_key_id="a", aws_secret_access_key="s", region_name="us-east-1")
    with publishing(delivery_timeout=60) as made, publishing(delivery_timeout=60) as other:
        waits = client_of(made, "sns", endpoint.url, session=slow).publish(
            TopicArn=TOPIC, Message="m"
        )
        assert making.wait(SOON)
        for one in (made, other):
            sns = client_of(one, "sns", endpoint.url)
            assert sns.publish(TopicArn=TOPIC, Message="m").result(SOON)["MessageId"]
        assert not waits.done()
        made_at_last.set()
        assert waits.result(SOON)["MessageId"]


def test_sessions_and_clients_of_other_kinds_than_boto3s(endpoint: Endpoint) -> None:
    """Wrappers that people write: all that is asked of them is what boto3's would do."""

    @dataclasses.dataclass
    class Role:  # equal by value: it has no hash
        name: str

        def client(self, *args: Any, **kwargs: Any) -> Any:
            return SESSION.client(*args, **kwargs)

    @dataclasses.dataclass
    class Wrapped:
        inner: Any

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    wrapped = Wrapped(endpoint.client("sns"))
    with publishing() as made:
        with pytest.warns(UserWarning, match="used as it is"):
            clients = [
                client_of(made, "sns", endpoint.url, session=Role("r"), region_name="us-east-1"),
                made.client("sns", client=wrapped),
            ]
        for one in clients:
            assert one.publish(TopicArn=TOPIC, Message="m").result(SOON)["MessageId"]
        with capture() as captured:
            for one in clients:
                assert one.publish(TopicArn=TOPIC, Message="m").result(SOON)["MessageId"]
            assert len(captured) == 2


def test_no_boto3_client_is_made_in_the_callers_thread(endpoint: Endpoint) -> None:
    made_in: list[str] = []

    class Session(boto3.Session):
        def client(self, *args: Any, **kwargs: Any) -> Any:
            made_in.append(threading.current_thread().name)
            return super().client(*args, **kwargs)

    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url, session=Session())
        futures = [publish(sns, f"{i}") for i in range(100)]
        for future in futures:
            future.result(SOON)
    assert len(made_in) == 1
    assert made_in[0].startswith("publisher-worker")


def test_code_written_for_boto3(endpoint: Endpoint) -> None:
    """A function of a user's, run with either client."""

    def pay(sns: Any, wait: Any) -> str:
        try:
            response = wait(sns.publish(TopicArn=TOPIC, Message="paid", Subject="s"))
        except sns.exceptions.NotFoundException as error:
            return str(error.response["Error"]["Code"])
        except botocore.exceptions.ParamValidationError:
            return "invalid"
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
        return "sent" if response["MessageId"] else ""

    boto = endpoint.client("sns")
    with client("sns", endpoint.url) as ours:
        for prepare, wanted in (
            (lambda: None, "sent"),
            (lambda: boto.delete_topic(TopicArn=TOPIC), "NotFound"),
        ):
            prepare()
            assert pay(boto, lambda response: response) == wanted
            assert pay(ours, lambda future: future.result(SOON)) == wanted


def test_a_client_that_cannot_be_made_ends_its_messages() -> None:
    with publisher.Publisher(retry=tries(1)) as mine:
        # A port that there is none of: boto3 looks no closer than this.
        url = "http://localhost:99999"
        broken = mine.client("kinesis", region_name="us-east-1", endpoint_url=url)
        future = broken.put_record(StreamName="clicks", Data=b"x", PartitionKey="k")
        assert isinstance(future.exception(SOON), ValueError)
        (attempt,) = future.attempts
        assert not attempt.outcome_unknown
