"""Written from docs/testing.md and nothing else."""

import boto3
import pytest
from botocore.exceptions import ParamValidationError
from shop import ORDERS, REMINDERS, app, remind, tasks

import publisher
from publisher.testing import ALWAYS, as_json, call, contains, matching


@pytest.fixture
def client():
    return app.test_client()


def test_a_click_is_recorded(client, published):
    assert client.get("/go/42").status_code == 302

    published.assert_sent(
        "kinesis", StreamName="clicks", Data=as_json({"link": 42}), PartitionKey="42"
    )
    published.assert_nothing_else()


def test_paying_is_announced(client, published):
    client.post("/orders/17/pay")

    published.assert_sent("sns", count=2, TopicArn=ORDERS, Message=contains("17"))
    published.assert_in_order(call("sns", Subject="paid"), call("sns", Subject="packed"))
    published.assert_nothing_else()
    published.assert_all_delivered()


def test_the_view_does_not_wait(client, published):
    with published.held():
        assert client.post("/orders/17/pay").status_code == 202
        assert not any(message.delivered for message in published.messages)

    published.assert_all_delivered()


def test_confirmed(client, published):
    assert client.post("/orders/17/confirm").status_code == 200


def test_not_confirmed_in_time(client, published):
    published.hold()

    assert client.post("/orders/17/confirm").status_code == 202
    assert not published.messages[0].future.done()


def test_records_that_fail_are_sent_again(client, published):
    published.faults.fail_entries(1, 3)

    assert client.post("/import/5").json == {"failed": 0}

    tries = [len(message.future.attempts) for message in published.find("kinesis")]
    assert tries == [1, 2, 1, 2, 1]


def test_records_that_nobody_takes_are_counted(client, published):
    published.faults.fail(ALWAYS, "InternalFailure")

    assert client.post("/import/5").json == {"failed": 5}


def test_an_answer_that_is_too_short_is_not_believed(client, published):
    published.faults.wrong_length(1)

    assert client.post("/import/5").json == {"failed": 0}


def test_a_slow_service_is_asked_again(client, published):
    published.faults.slow(4)
    published.faults.slow(60)

    client.get("/go/1")
    client.get("/go/2")

    first, second = (message.future.attempts for message in published.messages)
    assert [attempt.error_code for attempt in first] == [None]
    assert first[0].duration == pytest.approx(4, abs=0.1)
    assert [attempt.error_code for attempt in second] == ["ReadTimeoutError", None]


def test_after_two_minutes_it_is_given_up(client, published):
    published.faults.time_out(ALWAYS)

    client.get("/go/42")

    error = published.messages[0].future.exception()
    assert isinstance(error, publisher.DeliveryTimeout)
    assert error.outcome_unknown


def test_limits_hold(published):
    with pytest.raises(ParamValidationError):
        publisher.client("sns").publish(TopicArn=ORDERS, Message="x" * 1_100_000)

    published.assert_nothing_sent()


def test_options_do_not_outlive_a_test(published):
    publisher.configure(delivery_timeout=1)
    published.faults.throttle(ALWAYS)

    future = publisher.client("sns").publish(TopicArn=ORDERS, Message="x")

    assert isinstance(future.exception(), publisher.DeliveryTimeout)
    publisher.close()


@pytest.mark.parametrize("eager", [True, False])
def test_the_task_reminds(published, monkeypatch, eager):
    monkeypatch.setitem(tasks.conf, "task_always_eager", True)
    remind.delay(17) if eager else remind.run(17)

    published.assert_sent(
        "sns", count=1, TopicArn=REMINDERS, Message=matching(r"order 17$"), MessageGroupId="17"
    )


def test_the_queue_behind_the_topic_gets_it(client, published_in_moto):
    sns, sqs = boto3.client("sns", "us-east-1"), boto3.client("sqs", "us-east-1")
    assert sns.create_topic(Name="orders")["TopicArn"] == ORDERS
    queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sns.subscribe(
        TopicArn=ORDERS,
        Protocol="sqs",
        Endpoint="arn:aws:sqs:us-east-1:123456789012:orders",
        Attributes={"RawMessageDelivery": "true"},
    )

    client.post("/orders/17/pay")

    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in found] == ["order 17 paid", "order 17 packed"]
