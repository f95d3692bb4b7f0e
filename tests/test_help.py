"""What ``help()``, a notebook and a debugger show."""

from __future__ import annotations

import inspect
import pydoc
from typing import Any

import boto3
import pytest

import publisher
from publisher import services
from tests.servers import Endpoint
from tests.support import SOON, STREAM, TOPIC, client_of, publishing

pytestmark = pytest.mark.every_python("inspect and pydoc show a signature in each Python's own way")

OPERATIONS = [
    (name, operation)
    for name in services.names()
    for operation in (services.load(name).single, services.load(name).batch)
]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_help_shows_the_parameters_of_boto3(name: str, operation: str) -> None:
    with publishing() as made:
        client: Any = made.client(name, region_name="eu-west-1")  # type: ignore[call-overload]
        call = getattr(client, operation)
        theirs = boto3.client(name, region_name="eu-west-1").meta  # the model that boto3 goes by
        model = theirs.service_model.operation_model(theirs.method_to_api_mapping[operation])
        shape: Any = model.input_shape
        signature = inspect.signature(call)
        # An older botocore lacks the newest parameters.
        assert set(shape.members) <= set(signature.parameters)
        assert call.__name__ == operation
        shown = pydoc.render_doc(call, renderer=pydoc.plaintext)
    for parameter, found in signature.parameters.items():
        assert found.kind is inspect.Parameter.KEYWORD_ONLY
        assert f"{parameter} (" in shown
    empty = inspect.Parameter.empty
    due = {each for each in signature.parameters if signature.parameters[each].default is empty}
    assert due == set(shape.required_members) - {"PartitionKey"}  # since streams with AUTO
    assert f"services/{name}/client/{operation}.html" in shown
    assert "_publish_" not in shown


def test_a_future_says_where_to_and_how_far(endpoint: Endpoint) -> None:
    with publishing(linger=60) as made:
        sns = client_of(made, "sns", endpoint.url)
        kinesis = client_of(made, "kinesis", endpoint.url)
        records = [{"Data": b"secret", "PartitionKey": "hidden"}]
        first = sns.publish(TopicArn=TOPIC, Message="secret")
        batch = kinesis.put_records(StreamName=STREAM, Records=records)
        assert str(first) == "<PublishFuture sns:us-east-1:orders pending>"
        assert repr(batch) == "<PublishFuture kinesis:us-east-1:clicks batch pending>"
        withdrawn = sns.publish(TopicArn=TOPIC, Message="secret")
        assert withdrawn.cancel()
        assert str(withdrawn) == "<PublishFuture sns:us-east-1:orders cancelled>"
        other = sns.list_topics()
        assert made.flush(SOON) == 0
        assert str(first) == "<PublishFuture sns:us-east-1:orders delivered>"
        assert str(other).startswith("<PublishFuture sns:us-east-1:ListTopics ")
    assert isinstance(first, publisher.PublishFuture)
