"""flush_on_return: delivered before the handler returns, within the time that is left."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from publisher.contrib.aws_lambda import flush_on_return
from tests.contrib.processes import EXAMPLES, Running
from tests.servers import Answer, Endpoint, Moto
from tests.support import TOPIC, client_of, publishing

LINGER = 60.0  # seconds: nothing goes out in a test unless it is flushed


class Context:
    """What Lambda passes; Powertools reads its other attributes."""

    function_name = "orders"
    memory_limit_in_mb = 128
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:orders"
    aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def publish(endpoint: Endpoint) -> Iterator[Callable[[str], Any]]:
    with publishing(linger=LINGER, delivery_timeout=120) as made:
        sns = client_of(made, "sns", endpoint.url)
        yield lambda text: sns.publish(TopicArn=TOPIC, Message=text)


def test_all_is_delivered_when_the_handler_returns(
    publish: Callable[[str], Any], endpoint: Endpoint
) -> None:
    @flush_on_return
    def handler(event: Any, context: Any) -> Any:
        """Orders."""
        for i in range(event["count"]):
            publish(f"order {i}")
        return {"published": event["count"]}

    assert handler({"count": 25}, Context()) == {"published": 25}
    assert endpoint.count("sns") == 25
    assert handler.__name__ == "handler"
    assert handler.__doc__ == "Orders."


def test_also_when_it_raises(publish: Callable[[str], Any], endpoint: Endpoint) -> None:
    @flush_on_return(margin=1.0)
    def handler(event: Any, context: Any) -> None:
        publish("sent")
        raise KeyError("the handler's own")

    with pytest.raises(KeyError, match="the handler's own"):
        handler({}, Context())
    assert endpoint.count("sns") == 1


def test_every_publisher_of_the_process_is_flushed(endpoint: Endpoint) -> None:
    with publishing(linger=LINGER) as first, publishing(linger=LINGER) as second:

        @flush_on_return
        def handler(event: Any, context: Any) -> None:
            for each in (first, second):
                client_of(each, "sns", endpoint.url).publish(TopicArn=TOPIC, Message="x")

        handler({}, Context())
        assert endpoint.count("sns") == 2


def test_what_its_callbacks_publish_is_delivered_too(
    publish: Callable[[str], Any], endpoint: Endpoint
) -> None:
    def receipt(left: int) -> Callable[[Any], None]:
        def go_on(future: Any) -> None:
            future.result(0)
            if left:
                publish(f"receipt {left}").add_done_callback(receipt(left - 1))

        return go_on

    @flush_on_return
    def handler(event: Any, context: Any) -> None:
        publish("order").add_done_callback(receipt(3))

    handler({}, Context())
    assert endpoint.count("sns") == 4


def test_a_thread_that_publishes_without_end_does_not_hold_it(
    publish: Callable[[str], Any], endpoint: Endpoint
) -> None:
    stop, published = threading.Event(), threading.Semaphore(0)

    def go_on() -> None:
        while not stop.wait(0.001):
            publish("of another thread")
            published.release()

    thread = threading.Thread(target=go_on)

    @flush_on_return
    def handler(event: Any, context: Any) -> None:
        thread.start()
        assert published.acquire(timeout=20)
        publish("order")

    began = time.monotonic()
    try:
        handler({}, Context(seconds=100))
    finally:
        stop.set()
        thread.join(20)
    assert time.monotonic() - began < 60


def test_the_remaining_time_less_the_margin_bounds_it(
    publish: Callable[[str], Any], endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    held = threading.Event()
    endpoint.script(Answer(hold=held))

    @flush_on_return(margin=19.5)
    def handler(event: Any, context: Any) -> Any:
        return publish("late")

    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "publisher"):
        future = handler({}, Context(seconds=20.0))
    took = time.monotonic() - began
    assert 0.4 < took < 19
    assert not future.done()
    assert "1 message was not delivered within the invocation" in caplog.text
    assert "late" not in caplog.text.replace("not delivered", "")
    held.set()  # thawed: the message goes on
    assert future.result(20)["MessageId"]


def test_no_time_left_sends_without_waiting(
    publish: Callable[[str], Any], endpoint: Endpoint
) -> None:
    @flush_on_return(margin=5)
    def handler(event: Any, context: Any) -> Any:
        return publish("x")

    future = handler({}, Context(seconds=1.0))
    assert future.result(20)["MessageId"]  # its linger of a minute did not hold it


def test_without_a_context_the_deadlines_bound_it(
    publish: Callable[[str], Any], endpoint: Endpoint
) -> None:
    for context in (None, MagicMock(), Mock(), object()):
        assert flush_on_return(lambda event, context: publish("x"))({}, context).done()


@pytest.mark.parametrize("margin", [-1, float("nan"), float("inf")])
def test_an_impossible_margin_raises_where_it_is_written(margin: float) -> None:
    with pytest.raises(ValueError, match="margin must be a number of seconds, 0 or more"):
        flush_on_return(margin=margin)


@pytest.mark.parametrize("margin", ["1", True, None])
def test_a_margin_that_is_no_number_raises(margin: Any) -> None:
    with pytest.raises(TypeError, match="margin must be a number of seconds"):
        flush_on_return(margin=margin)


def test_a_coroutine_function_is_no_handler() -> None:
    async def handler(event: Any, context: Any) -> None: ...

    with pytest.raises(TypeError, match="decorates a function"):
        flush_on_return(handler)


@pytest.mark.parametrize("outermost", [True, False])
def test_beside_powertools(
    outermost: bool, endpoint: Endpoint, need: Callable[[str], Path], publish: Callable[[str], Any]
) -> None:
    need("aws_lambda_powertools")
    from aws_lambda_powertools import Logger

    powertools = Logger(service="orders").inject_lambda_context(clear_state=True)

    def handler(event: Any, context: Any) -> Any:
        publish("order")
        return {"ok": True}

    decorated = (
        flush_on_return(powertools(handler)) if outermost else powertools(flush_on_return(handler))
    )
    assert decorated({"key": 1}, Context()) == {"ok": True}
    assert endpoint.count("sns") == 1


def test_the_example_delivers_before_the_sandbox_is_frozen(
    start: Callable[..., Running], moto_server: Moto, need: Callable[[str], Path]
) -> None:
    """Under AWS's own runtime client; the process is stopped as soon as it has answered."""
    python = need("awslambdaric") / "python"
    topic = moto_server.topic()
    events = [json.dumps({"orders": [1, 2, 3]}), json.dumps({"orders": [4]})]
    process = start(
        [python, "local.py", *events],
        cwd=EXAMPLES / "lambda_app",
        AWS_ENDPOINT_URL=moto_server.url,
        TOPIC_ARN=topic.arn,
    )
    assert process.wait() == 0, process.text
    assert process.text.split("\n")[:2] == ['{"published": 3}', '{"published": 1}'], process.text
    assert sorted(one.body for one in topic.drain(4)) == [f"order {i} paid" for i in range(1, 5)]
