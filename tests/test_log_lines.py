"""What a request logs makes no messages, whatever a logging handler publishes."""

from __future__ import annotations

import gc
import logging
import logging.handlers
import queue
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

import publisher
from publisher.contrib.log_filter import OutsideRequests
from publisher.testing import capture

from .servers import Answer, Endpoint, Error
from .support import SOON, STREAM, TOPIC, client_of, publish, publishing

pytestmark = pytest.mark.every_python(
    "how logging locks, and guards against recursion, differs by version"
)

LOGGED = "arn:aws:sns:us-east-1:000000000000:logged"
application = logging.getLogger("application")


class Publishing(logging.Handler):
    """Publishes each line, by whatever `send` does."""

    def __init__(self, send: Callable[[str], Any]) -> None:
        super().__init__()
        self.send = send
        self.raised: list[BaseException] = []
        self.sent: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.sent.append(self.send(record.getMessage()))
        except Exception as error:  # noqa: BLE001 - none is expected
            self.raised.append(error)


@pytest.fixture
def attach() -> Iterator[Callable[..., Publishing]]:
    """Adds a publishing handler to the root logger, at DEBUG."""
    root = logging.getLogger()
    level, added = root.level, []

    def add(send: Callable[[str], Any], level: int = logging.DEBUG) -> Publishing:
        added.append(Publishing(send))
        root.addHandler(added[0])
        root.setLevel(level)
        return added[0]

    yield add
    root.setLevel(level)
    for handler in added:
        root.removeHandler(handler)


def settle(made: publisher.Publisher) -> publisher.Ledger:
    """Flush twice: whatever messages make messages has made some by then."""
    before = -1
    for _ in range(20):
        made.flush(SOON)
        made._core.runtime.wait_for_calls(SOON)  # type: ignore[union-attr]  # it is in use
        total = made.stats().total
        if total.accepted == before and not total.outstanding:
            return total
        before = total.accepted
    raise AssertionError(f"there is no end to it: {made.stats().total}")


def dropped_lines(total: publisher.Ledger) -> int:
    return total.dropped_by_reason.get("log_line", 0)


def _with_session(made: publisher.Publisher, url: str) -> Callable[[str], Any]:
    session = boto3.Session(region_name="us-east-1")
    return lambda text: made.client("sns", session=session, endpoint_url=url).publish(
        TopicArn=LOGGED, Message=text
    )


WAYS: dict[str, Callable[[publisher.Publisher, str], Callable[[str], Any]]] = {
    "publish": lambda made, url: lambda text: publish(client_of(made, "sns", url), text, LOGGED),
    "put_record": lambda made, url: (
        lambda text: client_of(made, "kinesis", url).put_record(
            StreamName=STREAM, Data=text, PartitionKey="k"
        )
    ),
    "put_records": lambda made, url: (
        lambda text: client_of(made, "kinesis", url).put_records(
            StreamName=STREAM, Records=[{"Data": text, "PartitionKey": "k"}] * 2
        )
    ),
    "an SMS": lambda made, url: (
        lambda text: client_of(made, "sns", url).publish(PhoneNumber="+15550100", Message=text)
    ),
    "a session of its own": _with_session,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_on_the_root_logger_at_debug(
    endpoint: Endpoint, attach: Callable[..., Publishing], way: str
) -> None:
    with publishing() as made:
        handler = attach(WAYS[way](made, endpoint.url))
        for number in range(5):
            application.info("line %d", number)
        total = settle(made)
        assert handler.raised == []
        assert dropped_lines(total) == total.dropped > 0
        assert total.accepted == total.delivered + total.dropped
        bodies = [entry.data for entry in endpoint.entries]
        assert {f"line {number}".encode() for number in range(5)} <= set(bodies)
        assert endpoint.request_count < 100
        logging.getLogger().removeHandler(handler)


def test_a_dropped_line_says_so_at_its_future_and_in_the_log(
    endpoint: Endpoint, attach: Callable[..., Publishing], caplog: pytest.LogCaptureFixture
) -> None:
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        handler = attach(lambda text: publish(sns, text, LOGGED))
        publish(sns, "not a line").result(SOON)
        total = settle(made)
        errors = [future.exception(SOON) for future in handler.sent]
        lines = [error for error in errors if type(error) is publisher.PublisherError]
        assert len(lines) == dropped_lines(total) == total.dropped > 1
        assert "OutsideRequests" in str(lines[0])
        logging.getLogger().removeHandler(handler)
    told = [r for r in caplog.records if r.name == "publisher" and r.levelno > logging.DEBUG]
    assert [record.event for record in told] == ["publisher.log_line"]  # type: ignore[attr-defined]
    assert told[0].levelno == logging.WARNING
    assert "sns:us-east-1:logged dropped: log_line" in told[0].getMessage()


@pytest.mark.parametrize("event", ["on_accepted", "on_sent", "on_delivered", "on_dropped"])
def test_a_hook_that_raises(
    endpoint: Endpoint, attach: Callable[..., Publishing], event: str
) -> None:
    class Hook:
        pass

    def raises(self: Any, event: Any) -> None:
        raise ZeroDivisionError

    setattr(Hook, event, raises)
    with publishing(hooks=[Hook()]) as made:
        sns = client_of(made, "sns", endpoint.url)
        handler = attach(lambda text: publish(sns, text, LOGGED))
        application.info("a line")
        total = settle(made)
        assert total.delivered == 1
        assert handler.raised == []
        logging.getLogger().removeHandler(handler)


def test_a_hook_that_logs_what_was_dropped(
    endpoint: Endpoint, attach: Callable[..., Publishing]
) -> None:
    class Hook:
        def on_dropped(self, event: publisher.Event) -> None:
            application.error("dropped %s", event.reason)

    with publishing(hooks=[Hook()]) as made:
        sns = client_of(made, "sns", endpoint.url)
        handler = attach(lambda text: publish(sns, text, LOGGED))
        application.info("a line")
        assert settle(made).delivered == 1
        logging.getLogger().removeHandler(handler)


def test_a_line_about_a_loss_makes_a_message(
    endpoint: Endpoint, attach: Callable[..., Publishing]
) -> None:
    gone = Answer(error=Error(404, "NotFound", "no such topic"))
    endpoint.script(lambda request: gone if request.destination == TOPIC else None)
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        handler = attach(lambda text: publish(sns, text, LOGGED), logging.ERROR)
        publish(sns, "lost").exception(SOON)
        settle(made)
        (stored,) = endpoint.stored("sns")
        assert stored.data.startswith(b"1 message to sns:us-east-1:orders failed: NotFound")
        logging.getLogger().removeHandler(handler)


def test_what_user_code_publishes_inside_a_request_is_a_message(endpoint: Endpoint) -> None:
    """An event handler, a finaliser; and what callbacks log."""
    root = logging.getLogger()
    session = boto3.Session(region_name="us-east-1")
    futures: list[Any] = []
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url, session=session)
        other = client_of(made, "kinesis", endpoint.url)

        class Dying:
            def __init__(self) -> None:
                self.cycle = self

            def __del__(self) -> None:
                futures.append(publish(other, "finaliser"))

        def once(**_: Any) -> None:
            if not futures:
                futures.append(publish(other, "handler"))
                Dying()
                gc.collect()

        class Collects(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if len(futures) == 2:
                    Dying()
                    gc.collect()

        session.events.register("before-send.sns", once)
        collects = Collects()
        root.addHandler(collects)
        try:
            publish(sns, "m").result(SOON)
            logging.getLogger("botocore").warning("after")
        finally:
            root.removeHandler(collects)
        assert len(futures) == 3
        for future in futures:
            assert future.result(SOON)
        handler = Publishing(lambda text: publish(other, text))
        application.addHandler(handler)
        publish(sns, "m").add_done_callback(lambda _: application.warning("a callback's line"))
        settle(made)
        application.removeHandler(handler)
        assert [future.exception(SOON) for future in handler.sent] == [None]


def test_with_the_filter_nothing_is_dropped(
    endpoint: Endpoint, attach: Callable[..., Publishing]
) -> None:
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        handler = attach(lambda text: publish(sns, text, LOGGED))
        handler.addFilter(OutsideRequests())
        application.info("a line")
        total = settle(made)
        assert (total.accepted, total.delivered, total.dropped) == (1, 1, 0)
        logging.getLogger().removeHandler(handler)


def test_the_filter_before_a_queue(endpoint: Endpoint) -> None:
    root = logging.getLogger()
    level = root.level
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        lines: queue.SimpleQueue[Any] = queue.SimpleQueue()
        before = logging.handlers.QueueHandler(lines)
        before.addFilter(OutsideRequests())
        behind = Publishing(lambda text: publish(sns, text, LOGGED))
        listener = logging.handlers.QueueListener(lines, behind)
        listener.start()
        root.addHandler(before)
        root.setLevel(logging.DEBUG)
        try:
            application.info("a line")
            endpoint.wait_for(lambda: endpoint.count("sns"))
            total = settle(made)
        finally:
            root.setLevel(level)
            root.removeHandler(before)
            listener.stop()
        assert (total.accepted, total.delivered) == (1, 1)
        assert len(behind.sent) == 1


def test_in_a_capture(attach: Callable[..., Publishing]) -> None:
    with capture() as captured:
        sns = publisher.client("sns", region_name="us-east-1")
        handler = attach(lambda text: publish(sns, text, LOGGED))
        application.info("a line")
        total = publisher.stats().total
        assert total.delivered == 1
        assert total.accepted == 1 + dropped_lines(total)
        logging.getLogger().removeHandler(handler)
        captured.assert_sent("sns", "publish", TopicArn=LOGGED, Message="a line")


def test_the_line_about_what_was_abandoned_reaches_no_handler_that_then_raises(
    endpoint: Endpoint,
) -> None:
    script = f"""
        import logging, sys
        import publisher

        publisher.configure(close_timeout=0.2)
        sns = publisher.client("sns", region_name="us-east-1", endpoint_url={endpoint.url!r})

        class Handler(logging.Handler):
            def emit(self, record):
                print(record.getMessage().split(",")[0], flush=True)
                sns.publish(TopicArn={LOGGED!r}, Message="a line")

        logging.getLogger().addHandler(Handler())
        sns.publish(TopicArn={TOPIC!r}, Message="m")
    """
    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    try:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        hold.set()
    assert done.returncode == 0
    assert done.stdout == "1 message was abandoned at exit\n"
    assert done.stderr == ""


def test_a_publisher_that_is_closed_says_its_last_words_to_no_handler_that_then_raises(
    endpoint: Endpoint, attach: Callable[..., Publishing]
) -> None:
    endpoint.script(Answer(error=Error(404, "NotFound", "no such topic")))
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        handler = attach(lambda text: publish(sns, text, LOGGED), logging.ERROR)
        publish(sns, "lost").exception(SOON)
        made.close(SOON)
        assert handler.sent
        assert handler.raised == []
        logging.getLogger().removeHandler(handler)
