"""Operations that are no messages are in no account and no loss; requests and errors are told."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import publisher
from publisher.contrib.opentelemetry import MetricsHook

from .servers import Answer, Endpoint, Error
from .support import FAST, SOON, TOPIC, assert_balanced, client_of, publish, publishing
from .test_hooks import Recorder

pytestmark = pytest.mark.every_python("boto3's operations, and their errors, differ by version")

GONE = Answer(error=Error(404, "NotFound", "Topic does not exist"))


def test_they_are_in_no_account_and_no_loss(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "publisher")
    endpoint.script(GONE)
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        with pytest.raises(sns.exceptions.NotFoundException):
            sns.get_topic_attributes(TopicArn=TOPIC).result(SOON)
        endpoint.script(None)
        assert sns.list_topics().result(SOON)["Topics"] == []
        assert list(sns.get_paginator("list_topics").paginate())
        kinesis = client_of(made, "kinesis", endpoint.url)
        assert kinesis.list_streams().result(SOON)["StreamNames"] == []
        assert made.stats() == publisher.Stats(publisher.Ledger(), {})
        made.flush(SOON)
    (line,) = caplog.records
    assert line.levelno == logging.INFO
    assert line.getMessage() == (
        "1 call of sns:us-east-1:GetTopicAttributes failed: NotFound, no such destination in"
        " us-east-1: wrong region, name or account (suppressed 0)"
    )
    assert (line.event, line.messages) == ("publisher.call_failed", 0)


def test_flush_waits_for_them(endpoint: Endpoint) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    with publishing() as made:
        future = client_of(made, "sns", endpoint.url).list_topics()
        endpoint.wait_for(lambda: endpoint.request_count)
        assert made.flush(0) == 1
        hold.set()
        assert made.flush(SOON) == 0
        assert future.done()
        assert future.result(0)["Topics"] == []


def test_hooks_are_told_of_their_requests_alone(endpoint: Endpoint) -> None:
    recorder = Recorder()
    throttled = Answer(error=Error(400, "Throttling", "slow down"))
    answers = iter([throttled, GONE])
    endpoint.script(lambda _: next(answers, None))
    with publishing(hooks=[recorder]) as made:
        sns = client_of(made, "sns", endpoint.url)
        with pytest.raises(ClientError):
            sns.get_topic_attributes(TopicArn=TOPIC).result(SOON)
        made._core.runtime.wait_for_calls(SOON)  # type: ignore[union-attr]  # it is in use
        publish(sns, "m").result(SOON)
    *others, accepted, sent, delivered = recorder.events
    assert [name for name, _ in others] == ["on_sent", "on_sent"]
    assert [event.messages for _, event in others] == [0, 0]
    assert [event.errors for _, event in others] == [{"Throttling": 1}, {"NotFound": 1}]
    assert {event.destination for _, event in others} == {"sns:us-east-1:GetTopicAttributes"}
    assert [name for name, _ in (accepted, sent, delivered)] == [
        "on_accepted",
        "on_sent",
        "on_delivered",
    ]
    assert sent[1].messages == 1


def test_opentelemetry_counts_no_messages_of_theirs(endpoint: Endpoint) -> None:
    reader = InMemoryMetricReader()
    answers = iter([GONE])
    endpoint.script(lambda _: next(answers, None))
    with publishing(hooks=[MetricsHook(MeterProvider([reader]))]) as made:
        sns = client_of(made, "sns", endpoint.url)
        assert sns.get_topic_attributes(TopicArn=TOPIC).exception(SOON)
        sns.list_topics().result(SOON)
    data: Any = reader.get_metrics_data()
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert metric.name == "messaging.client.operation.duration"
    assert {
        (point.attributes["messaging.operation.name"], point.attributes.get("error.type"))
        for point in metric.data.data_points
    } == {("get_topic_attributes", "NotFound"), ("list_topics", None)}


def test_one_that_is_given_up_is_no_loss(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    made = publisher.Publisher(**FAST)
    sns = client_of(made, "sns", endpoint.url)
    future = sns.list_topics()
    endpoint.wait_for(lambda: endpoint.request_count)
    assert made.close(0) == publisher.Ledger()
    assert isinstance(future.exception(SOON), publisher.PublisherClosed)
    made._core.runtime.wait_for_calls(SOON)  # type: ignore[union-attr]  # it was used
    assert caplog.records == []
    hold.set()


@pytest.mark.parametrize(
    "call",
    [
        lambda sns: sns.publish(PhoneNumber="+15550100", Message="sms"),
        lambda sns: sns.publish(
            TargetArn="arn:aws:sns:us-east-1:000000000000:endpoint/GCM/app/1", Message="mobile"
        ),
    ],
)
def test_messages_that_no_batch_carries_are_messages(endpoint: Endpoint, call: Any) -> None:
    with publishing() as made:
        call(client_of(made, "sns", endpoint.url)).result(SOON)
        assert made.stats().destinations["sns:us-east-1:Publish"].delivered == 1
        assert_balanced(made.stats())
