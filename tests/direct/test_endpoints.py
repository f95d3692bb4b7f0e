"""Wherever botocore sends a batch, the direct way sends the next one there, signed for it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from botocore.config import Config

from publisher._aws.connection import Connection
from publisher._aws.fast import encode
from publisher.services import load, names
from tests.direct.ways import went
from tests.servers import Endpoint
from tests.support import SESSION, SOON, TOPIC, client_of, publishing

pytestmark = pytest.mark.every_python(
    "endpoints and signatures are botocore's, whatever its version"
)

BODIES: dict[str, dict[str, Any]] = {
    "sns": {"TopicArn": "arn:aws:sns:{}:123456789012:orders", "Message": "m"},
    "sqs": {"QueueUrl": "https://sqs.{}.amazonaws.com/123456789012/orders", "MessageBody": "m"},
    "kinesis": {"StreamName": "clicks", "Data": b"d", "PartitionKey": "k"},
    "firehose": {"DeliveryStreamName": "clicks", "Record": {"Data": b"d"}},
    "events": {"Source": "s", "DetailType": "t", "Detail": "{}"},
}
STREAM_ARN = "arn:aws:kinesis:{}:123456789012:stream/clicks"
PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("us-east-1", {}),
    "FIPS": ("us-east-2", {"use_fips_endpoint": True}),
    "dual stack": ("eu-west-1", {"use_dualstack_endpoint": True}),
    "China": ("cn-north-1", {}),
    "GovCloud": ("us-gov-west-1", {}),
    "isolated": ("us-iso-east-1", {}),
    "a region that is newer than botocore": ("eu-west-99", {}),
}


class _StoppedError(Exception):
    """The request is complete; it goes nowhere."""


def compared(service: str, params: dict[str, Any], region: str, **kwargs: Any) -> tuple[str, Any]:
    """Where botocore sends a batch, and what the direct way has learnt from that."""
    known = load(service)
    connection = Connection(service, region, kwargs, SESSION, None, {}, 2)
    client = connection.get()
    direct = connection.direct
    if "Source" in params:  # a call that takes several at once
        accepted = known.accept_batch({known.entries_parameter: [params]})
        assert accepted is not None
        (address,), (entry,) = accepted[:2]
    else:
        one = known.accept(params)
        assert one is not None
        address, entry, _ = one
    urls: list[str] = []

    def stop(request: Any, **_: Any) -> None:
        urls.append(request.url)
        raise _StoppedError

    client.meta.events.register("before-send", stop)
    if direct is None:  # an older botocore speaks another protocol to it
        return "", None
    with pytest.raises(_StoppedError):
        getattr(client, known.batch)(
            **encode(known, address, [entry], partial(direct.learn, address))
        )
    assert not direct._unlike
    return urls[0], direct._templates.get(address)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("service", names())
def test_each_endpoint_is_learnt(service: str, place: str) -> None:
    region, options = PLACES[place]
    params = {
        name: value.format(region) if "Arn" in name or "Url" in name else value
        for name, value in BODIES[service].items()
    }
    url, template = compared(service, params, region, config=Config(**options))
    if template is not None:
        assert template.url == url
        assert template._signer._region == region
        assert service != "sns" or ".sns" in f".{template.url.split('/')[2]}"
    else:
        assert (service, url) == ("sqs", "")


@pytest.mark.parametrize("service", names())
def test_each_service_goes_the_direct_way(service: str, endpoint: Endpoint) -> None:
    known = load(service)
    params = {
        name: f"{endpoint.url}/000000000000/orders" if name == "QueueUrl" else value
        for name, value in BODIES[service].items()
    }
    with publishing(linger=0) as made:
        client = client_of(made, service, endpoint.url)
        if "Source" in params:
            params = {known.entries_parameter: [params]}
        if "TopicArn" in params:
            params["TopicArn"] = TOPIC
        answers = [getattr(client, known.single)(**params).result(SOON) for _ in range(3)]
        binding = client._binding
        assert binding is not None
        direct = binding.connection.direct
        # An older botocore speaks another protocol to SQS.
        assert (direct is None and service == "sqs") or went(client) == 2
    assert answers[0].keys() == answers[1].keys() == answers[2].keys()
    first, *others = (answer["ResponseMetadata"] for answer in answers)
    assert all(other.keys() == first.keys() for other in others)


def test_an_address_that_the_stream_decides() -> None:
    """Kinesis has endpoints by account, which botocore takes from an ARN."""
    for region in ("us-east-1", "eu-west-1"):
        params = {"StreamARN": STREAM_ARN.format(region), "Data": b"d", "PartitionKey": "k"}
        url, template = compared("kinesis", params, region)
        assert template.url == url


def test_an_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:4566")
    url, template = compared("sns", BODIES["sns"], "us-east-1")
    assert template.url == url


def test_a_request_that_is_not_signed_is_left_to_botocore() -> None:
    from botocore import UNSIGNED

    known = load("sns")
    kwargs = {"config": Config(signature_version=UNSIGNED)}
    connection = Connection("sns", "us-east-1", kwargs, SESSION, None, {}, 2)
    client, direct = connection.get(), connection.direct
    assert direct is not None

    def stop(**_: Any) -> None:
        raise _StoppedError

    client.meta.events.register("before-send", stop)
    with pytest.raises(_StoppedError):
        client.publish_batch(**encode(known, "arn", ["m"], partial(direct.learn, "arn")))
    ((_, refusal),) = direct._unlike.values()
    assert "there are no credentials" in refusal.reason
