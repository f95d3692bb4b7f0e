"""The two ways of a request: botocore's own, and the direct one."""

from __future__ import annotations

from typing import Any

import boto3
import botocore
import pytest

import publisher
from tests.support import SESSION, SOON, client_of, publish

BOTOCORE, DIRECT = "botocore's own way", "the direct way"
WAYS = (BOTOCORE, DIRECT)


def take(way: str, patch: pytest.MonkeyPatch) -> None:
    """Have the clients that are made from now on go this way."""
    without_initializers(patch)
    patch.setenv("BOTO3_PUBLISHER_FAST", "1" if way == DIRECT else "0")


def without_initializers(patch: pytest.MonkeyPatch) -> None:
    """Have nobody listen in the sessions of a test for having been imported by another test.

    Powertools for AWS Lambda registers a handler in every session that is made after its import.
    """
    patch.setattr(botocore, "_INITIALIZERS", [])


def session_of(inner: Any) -> Any:
    """A session of botocore's as boto3's, which reads no model that another has read."""
    inner.register_component("data_loader", SESSION._session.get_component("data_loader"))  # type: ignore[attr-defined]
    return boto3.Session(botocore_session=inner, region_name="us-east-1")


def opened(made: publisher.Publisher, service: str, url: str, **kwargs: Any) -> publisher.Client:
    """A client whose way is open: one message has gone out."""
    client = client_of(made, service, url, **kwargs)
    sent(client, "the first")
    return client


def sent(client: publisher.Client, text: str) -> publisher.PublishFuture:
    """One message that has ended."""
    future: publisher.PublishFuture = publish(client, text)
    future.exception(SOON)
    return future


def count(client: publisher.Client) -> dict[str, int]:
    """How many requests went which way."""
    binding = client._binding
    assert binding is not None
    direct = binding.connection.direct
    return {} if direct is None else direct.count


def went(client: publisher.Client) -> int:
    """How many requests went the direct way."""
    return count(client).get("direct", 0)
