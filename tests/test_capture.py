"""Nothing that is accepted inside a capture or inside moto's mock reaches the network after it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config
from moto import mock_aws
from moto.sns.models import sns_backends

import publisher
from publisher._aws.connection import Connection
from publisher.testing import ALWAYS, Faults, MockEnded, capture
from tests.servers import Endpoint

pytestmark = pytest.mark.every_python(
    "moto's mock works through botocore's events and boto3's default session"
)

TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"
STREAM = "clicks"


@pytest.fixture
def publishers() -> Iterator[Callable[..., publisher.Publisher]]:
    """Makes publishers; they are closed with the test."""
    made = []

    def make(**options: Any) -> publisher.Publisher:
        made.append(publisher.Publisher(**options))
        return made[-1]

    yield make
    for one in made:
        one.close(5)


def on_the_network(one: publisher.Publisher, endpoint: Endpoint, service: str = "sns") -> Any:
    """A client whose requests go to AWS's own addresses, by way of the endpoint as an HTTP proxy.

    moto takes those requests while a mock is active; the endpoint gets any other.
    """
    config = Config(proxies={"http": endpoint.url})
    return one.client(service, use_ssl=False, config=config)


def send_one(one: publisher.Publisher, endpoint: Endpoint) -> None:
    """The proof that a test of silence can fail: a message of now does reach the network."""
    sent = on_the_network(one, endpoint).publish(TopicArn=TOPIC, Message="after").result(10)
    assert sent["MessageId"]
    assert [entry.data for entry in endpoint.stored("sns")] == [b"after"]


def test_capture_keeps_everything_in_the_process(
    endpoint: Endpoint, publishers: Callable[..., publisher.Publisher]
) -> None:
    one = publishers(linger=0)
    before = on_the_network(one, endpoint)  # made before: it is captured too
    with capture():
        futures = [before.publish(TopicArn=TOPIC, Message=str(n)) for n in range(20)]
        kinesis = on_the_network(one, endpoint, "kinesis")
        futures += [
            kinesis.put_record(StreamName=STREAM, Data=b"x", PartitionKey="k") for _ in range(20)
        ]
        futures.append(before.publish(PhoneNumber="+49123", Message="sms"))
        futures.append(before.create_topic(Name="other"))
        assert all(future.done() and not future.exception() for future in futures)
    assert one.flush(5) == 0
    assert endpoint.connections == 0
    send_one(one, endpoint)


def test_what_waits_when_a_capture_ends_is_given_up(
    endpoint: Endpoint, publishers: Callable[..., publisher.Publisher]
) -> None:
    one = publishers(linger=0)
    told: list[Any] = []
    with capture() as captured:
        captured.hold()
        sns = on_the_network(one, endpoint)
        futures = [sns.publish(TopicArn=TOPIC, Message=str(n)) for n in range(25)]
        futures[0].add_done_callback(told.append)
        captured.faults.throttle(ALWAYS)
        captured.advance(1)  # some are tried, and back off
        futures += [sns.publish(TopicArn=TOPIC, Message="unsent")]
        assert not any(future.done() for future in futures)
    assert told == [futures[0]]
    assert {type(future.exception(0)) for future in futures} == {publisher.PublisherClosed}
    assert one.flush(5) == 0
    assert endpoint.connections == 0
    send_one(one, endpoint)


def test_publishing_while_a_capture_ends_stays_in_it_or_fails(
    endpoint: Endpoint, publishers: Callable[..., publisher.Publisher]
) -> None:
    one = publishers(linger=0)
    sns = on_the_network(one, endpoint)
    outcomes: list[Any] = []

    def publish(_: object = None) -> None:
        """What a callback that runs at the very end does."""
        try:
            outcomes.append(sns.publish(TopicArn=TOPIC, Message="late"))
        except publisher.PublisherClosed as error:
            outcomes.append(error)

    with capture() as captured:
        captured.hold()
        sns.publish(TopicArn=TOPIC, Message="first").add_done_callback(publish)
    assert [type(outcome) for outcome in outcomes] == [publisher.PublisherClosed]
    assert one.flush(5) == 0
    assert endpoint.connections == 0
    send_one(one, endpoint)


def topic_in_moto() -> Any:
    """moto's own topic, made anew; what it took stays readable after the mock."""
    region = sns_backends["123456789012"]["us-east-1"]
    region.create_topic("orders")
    return region.topics[TOPIC]


def test_what_moto_accepted_is_delivered_before_the_mock_ends(
    endpoint: Endpoint, publishers: Callable[..., publisher.Publisher]
) -> None:
    one = publishers(linger=600, close_timeout=30)
    with mock_aws():
        topic = topic_in_moto()
        sns = on_the_network(one, endpoint)
        futures = [sns.publish(TopicArn=TOPIC, Message=str(n)) for n in range(25)]
    assert sorted(int(message) for _, message, *_ in topic.sent_notifications) == list(range(25))
    assert all(future.exception(0) is None for future in futures)
    assert endpoint.connections == 0


class Gate:
    """Holds whoever comes through until the test opens it."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, **_: Any) -> None:
        self.reached.set()
        self.opened.wait(10)


def await_workers() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("publisher-worker"):
            thread.join(10)


def test_what_backs_off_when_a_mock_ends_is_given_up(
    endpoint: Endpoint, publishers: Callable[..., publisher.Publisher]
) -> None:
    one = publishers(linger=0, close_timeout=0.2)
    sns = on_the_network(one, endpoint)
    faults = Faults()
    with mock_aws():
        topic = topic_in_moto()
        faults.attach(sns)
        faults.throttle(ALWAYS)
        futures = [sns.publish(TopicArn=TOPIC, Message=str(n)) for n in range(15)]
    assert {type(future.exception(5)) for future in futures} == {publisher.PublisherClosed}
    assert not topic.sent_notifications
    assert endpoint.connections == 0
    send_one(one, endpoint)


@pytest.mark.parametrize("used_before", [True, False])
def test_a_request_that_is_on_its_way_when_a_mock_ends_is_not_sent(
    endpoint: Endpoint, publishers: Callable[..., publisher.Publisher], used_before: bool
) -> None:
    one = publishers(linger=0, close_timeout=0.2)
    sns = on_the_network(one, endpoint)
    gate = Gate()
    if used_before:
        assert sns.meta.region_name  # its boto3 client is made
    with mock_aws():
        topic = topic_in_moto()
        # between the two places where the mock's end is looked for
        sns.meta.events.register("request-created.sns.PublishBatch", gate)
        future = sns.publish(TopicArn=TOPIC, Message="stuck")
        assert gate.reached.wait(10)
    gate.opened.set()
    assert isinstance(future.exception(5), publisher.PublisherClosed)
    await_workers()
    assert not topic.sent_notifications
    assert endpoint.connections == 0
    send_one(one, endpoint)


def test_a_client_that_is_still_being_made_when_a_mock_ends_sends_nothing(
    endpoint: Endpoint,
    publishers: Callable[..., publisher.Publisher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = publishers(linger=0, close_timeout=0.2)
    gate = Gate()
    make = Connection._make

    def make_slowly(self: Connection, wait: float) -> Any:
        gate()
        return make(self, wait)

    with mock_aws():
        topic = topic_in_moto()
        monkeypatch.setattr(Connection, "_make", make_slowly)
        future = on_the_network(one, endpoint).publish(TopicArn=TOPIC, Message="stuck")
        assert gate.reached.wait(10)
    gate.opened.set()
    assert isinstance(future.exception(5), publisher.PublisherClosed)
    await_workers()
    assert not topic.sent_notifications
    assert endpoint.connections == 0
    send_one(one, endpoint)


def test_a_message_of_the_mock_meets_a_final_error_after_it(
    endpoint: Endpoint, publishers: Callable[..., publisher.Publisher]
) -> None:
    """Where something keeps moto's end from being noticed, the client made inside refuses."""
    one = publishers(linger=0)
    with mock_aws():
        topic_in_moto()
        sns = on_the_network(one, endpoint)
        sns.publish(TopicArn=TOPIC, Message="inside").result(10)
        client, core = sns._binding.connection.get(), one._core
    with pytest.raises(MockEnded):
        client.publish(TopicArn=TOPIC, Message="after")
    assert one._core is not core
    assert endpoint.connections == 0
    send_one(one, endpoint)
    with mock_aws():
        topic = topic_in_moto()
        sns.publish(TopicArn=TOPIC, Message="inside again").result(10)
    assert [message for _, message, *_ in topic.sent_notifications] == ["inside again"]
    assert endpoint.count("sns") == 1


def test_a_mock_is_left_in_order_by_who_never_imports_the_test_kit(endpoint: Endpoint) -> None:
    script = f"""
        import sys
        from botocore.config import Config
        from moto import mock_aws
        from moto.sns.models import sns_backends
        import publisher

        made = publisher.Publisher(linger=600, close_timeout=30)
        config = Config(proxies={{"http": {endpoint.url!r}}})
        sns = made.client("sns", "us-east-1", use_ssl=False, config=config)
        with mock_aws():
            region = sns_backends["123456789012"]["us-east-1"]
            region.create_topic("orders")
            topic = region.topics[{TOPIC!r}]
            future = sns.publish(TopicArn={TOPIC!r}, Message="inside")
            core = made._core
        assert future.exception(0) is None
        assert [message for _, message, *_ in topic.sent_notifications] == ["inside"]
        assert made._core is not core
        assert "publisher.testing" not in sys.modules
        future = sns.publish(TopicArn={TOPIC!r}, Message="after")
        made.close(30)
        print(type(future.exception(0)).__name__)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("NoneType\n", "")
    assert [entry.data for entry in endpoint.stored("sns")] == [b"after"]


def test_a_capture_inside_moto_delivers_into_it_at_once(
    endpoint: Endpoint, publishers: Callable[..., publisher.Publisher]
) -> None:
    one = publishers(linger=0)
    sns = on_the_network(one, endpoint)
    with mock_aws(), capture() as captured:
        topic = topic_in_moto()
        assert sns.publish(TopicArn=TOPIC, Message="now").done()
        assert [message for _, message, *_ in topic.sent_notifications] == ["now"]
        captured.hold()
        held = sns.publish(TopicArn=TOPIC, Message="held")
    assert isinstance(held.exception(0), publisher.PublisherClosed)
    with capture() as captured:
        with mock_aws():
            topic = topic_in_moto()
            sns.publish(TopicArn=TOPIC, Message="inside")
            captured.hold()
            sns.publish(TopicArn=TOPIC, Message="after")
        captured.resolve()
        with mock_aws():
            again = topic_in_moto()
            sns.publish(TopicArn=TOPIC, Message="another mock")
            captured.resolve()
        captured.assert_all_delivered()
    assert [message for _, message, *_ in topic.sent_notifications] == ["inside"]
    assert [message for _, message, *_ in again.sent_notifications] == ["another mock"]
    assert endpoint.connections == 0
    send_one(one, endpoint)
