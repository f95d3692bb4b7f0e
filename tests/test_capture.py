"""Nothing that is accepted inside a capture or inside moto's mock reaches the network after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config
from moto import mock_aws
from moto.sns.models import sns_backends

import publisher
from publisher.testing import MockEnded, capture
from tests.servers import Endpoint

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
    assert [entry.message for entry in endpoint.stored("sns")] == ["after"]


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
