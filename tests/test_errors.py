"""The exceptions: what catches them, and that they survive a pickle."""

from __future__ import annotations

import errno
import os
import pickle
import re
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

import publisher
from publisher.errors import retries_exhausted, spool_unavailable
from tests.support import publishing

pytestmark = pytest.mark.every_python(
    "the exceptions are made and pickled by botocore and by each Python"
)

THROTTLED = ClientError(
    {
        "Error": {"Code": "Throttling", "Message": "slow down"},
        "ResponseMetadata": {"RequestId": "r-1", "HTTPStatusCode": 400},
    },
    "Publish",
)
ALL = [
    publisher.InvalidMessage("Message must be str, not int"),
    publisher.BufferFull("10 messages are waiting"),
    publisher.SpoolFull("1 GiB is waiting"),
    spool_unavailable("/spool", OSError(errno.ENOSPC, "No space left on device")),
    publisher.StillSpooled(
        "kept on disk", outcome_unknown=True, last_code="Throttling", cause=THROTTLED
    ),
    publisher.DeliveryTimeout(
        "late", outcome_unknown=True, last_code="Throttling", cause=THROTTLED
    ),
    publisher.PublisherClosed("closed"),
    publisher.RetriesExhausted("gave up", last_code="X"),
    publisher.ForkedProcess(),
    retries_exhausted(THROTTLED, tries=3, outcome_unknown=True, last_code="Throttling"),
    retries_exhausted(
        EndpointConnectionError(endpoint_url="https://x"),
        tries=1,
        outcome_unknown=False,
        last_code="EndpointConnectionError",
    ),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_every_exception_survives_a_pickle(error: Any) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert isinstance(copy, publisher.PublisherError)
    for name in ("outcome_unknown", "last_code", "kwargs", "response", "operation_name"):
        assert getattr(copy, name, None) == getattr(error, name, None)
    assert str(copy.__cause__) == str(error.__cause__)
    assert pickle.loads(pickle.dumps(copy)).args == error.args


def test_what_catches_what() -> None:
    assert issubclass(publisher.InvalidMessage, botocore.exceptions.ParamValidationError)
    assert issubclass(publisher.InvalidMessage, ValueError)
    assert issubclass(publisher.PublisherClosed, RuntimeError)
    assert issubclass(publisher.ForkedProcess, RuntimeError)
    for late in (
        publisher.DeliveryTimeout,
        publisher.PublisherClosed,
        publisher.RetriesExhausted,
        publisher.StillSpooled,
    ):
        assert issubclass(late, publisher.DeliveryError)
    assert issubclass(publisher.SpoolFull, publisher.BufferFull)
    assert not issubclass(publisher.SpoolUnavailable, (publisher.DeliveryError, OSError))
    assert not issubclass(publisher.DeliveryTimeout, TimeoutError)


def test_exhausted_retries_are_also_the_last_error() -> None:
    error = retries_exhausted(THROTTLED, tries=3, outcome_unknown=True, last_code="Throttling")
    assert isinstance(error, publisher.RetriesExhausted)
    assert isinstance(error, ClientError)
    assert type(error).__name__ == "ClientError"
    assert error.response["Error"]["Code"] == error.last_code == "Throttling"
    assert error.operation_name == "Publish"
    assert error.__cause__ is THROTTLED
    assert "3 tries" in str(error)
    assert "may have stored" in str(error)


def test_exhausted_retries_of_an_exception_that_cannot_be_combined() -> None:
    class Rigid(BaseException):
        def __init_subclass__(cls) -> None:
            raise TypeError

    error = retries_exhausted(Rigid("x"), tries=1, outcome_unknown=False, last_code="Rigid")
    assert type(error) is publisher.RetriesExhausted
    assert "1 try," in str(error)
    assert isinstance(error.__cause__, Rigid)


def test_a_time_out_of_the_network_is_kept_with_its_attributes() -> None:
    error = retries_exhausted(
        ReadTimeoutError(endpoint_url="https://x"),
        tries=2,
        outcome_unknown=True,
        last_code="ReadTimeoutError",
    )
    assert isinstance(error, ReadTimeoutError)
    assert error.kwargs == {"endpoint_url": "https://x"}


@pytest.mark.parametrize(
    ("number", "said", "remedy"),
    [
        (errno.ENOSPC, "ENOSPC, No space left on device", "free some space"),
        (errno.EROFS, "EROFS", "mount its file system writable"),
        (errno.EACCES, "EACCES", "let the user of this process write there"),
        (errno.ESTALE, "ESTALE", "look into the log of this machine"),
    ],
)
def test_a_spool_that_fails_says_why_and_what_to_do(number: int, said: str, remedy: str) -> None:
    error = OSError(number, os.strerror(number), "/spool/\x1b[31m")
    text = str(spool_unavailable("/spool/\x1b[31m", error))
    assert text.startswith(r"the spool's directory '/spool/\x1b[31m' cannot be used: ")
    assert said in text
    assert remedy in text


def test_a_spool_that_fails_without_a_number_has_the_name_of_the_exception() -> None:
    error = TimeoutError()
    made = spool_unavailable("/spool", error)
    assert "cannot be used: TimeoutError; look" in str(made)
    assert made.__cause__ is error


@pytest.mark.parametrize("address", ["arn:aws:sns:eu-west-1:orders", "arn:aws:sqs:eu-west-1:1:q"])
def test_a_bad_address_is_shown_where_it_is_harmless(address: str) -> None:
    with publishing() as made, pytest.raises(publisher.InvalidMessage, match=re.escape(address)):
        made.client("sns", "eu-west-1").publish(TopicArn=address, Message="secret")
    arn = address.replace("sns", "kinesis")
    with publishing() as made, pytest.raises(publisher.InvalidMessage, match=re.escape(arn)):
        made.client("kinesis", "eu-west-1").put_record(StreamARN=arn, Data=b"", PartitionKey="k")


@pytest.mark.parametrize(
    "address",
    [
        "+4915112345678",
        "arn:aws:sns:eu-west-1:123456789012:endpoint/APNS/shop/0f0f",
        "arn:aws:sns:eu-west-1:\x1b[31m",
        "arn:aws:sns:eu-west-1:ä",
        "arn:aws:sns:" + "x" * 400,
    ],
)
def test_another_bad_address_is_not(address: str) -> None:
    with publishing() as made, pytest.raises(publisher.InvalidMessage) as caught:
        made.client("sns", "eu-west-1").publish(TopicArn=address, Message="secret")
    assert f"str of {len(address)} characters" in str(caught.value)
    assert address[-8:] not in str(caught.value)


def test_a_parameter_that_is_missing_is_named() -> None:
    with publishing() as made, pytest.raises(publisher.InvalidMessage) as caught:
        made.client("sns", "eu-west-1").get_topic_attributes()
    text = "get_topic_attributes(): the parameter TopicArn is missing"
    assert str(caught.value).endswith(text)
