"""One logger tree, few lines, no secrets; quiet when all is well, one line at the end if not."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

import publisher
from publisher._account.losses import Limiter
from tests.servers import Answer, Endpoint, Error
from tests.support import SOON, STREAM, TOPIC, client_of, publishing, tries


def lost(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_quiet_when_all_is_well(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "publisher")
    with publishing(hooks=[publisher.LoggingHook()]) as made:
        sns = client_of(made, "sns", endpoint.url)
        for number in range(100):
            sns.publish(TopicArn=TOPIC, Message=str(number))
    ours = [record for record in caplog.records if record.name.startswith("publisher")]
    # For who looks for it: which way the batches of a client take.
    assert {(record.levelno, record.getMessage()) for record in ours} <= {
        (logging.DEBUG, "sns client: requests go the direct way")
    }


def test_a_thousand_losses_are_one_line_and_one_at_the_end(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.script(Answer(error=Error(403, "AuthorizationError", "no body here: secret-body")))
    with publishing() as made:
        sns = client_of(made, "sns", endpoint.url)
        for _ in range(1000):
            sns.publish(TopicArn=TOPIC, Message="secret-body")
    record, last = lost(caplog)
    assert last.getMessage() == (
        "1,000 of 1,000 messages were lost: 1,000 failed with AuthorizationError"
    )
    assert record.name == "publisher"
    assert record.event == "publisher.failed"
    assert record.destination == "sns:us-east-1:orders"
    assert record.error_code == "AuthorizationError"
    assert record.cause == "the role lacks the permission sns:Publish"
    assert "secret" not in caplog.text


def test_the_next_line_says_how_many_were_left_out() -> None:
    now = [0.0]
    limiter = Limiter(lambda: now[0], interval=10)
    assert limiter.suppressed("a", 3) == 0
    assert limiter.suppressed("a", 3) is None
    assert limiter.suppressed("a", 4) is None
    assert limiter.suppressed("b", 1) == 0
    now[0] = 10
    assert limiter.suppressed("a", 1) == 7
    assert limiter.suppressed("a", 1) is None


def test_the_limiter_forgets() -> None:
    limiter = Limiter(lambda: 0.0)
    for key in range(5_000):
        limiter.suppressed(key, 1)
    assert len(limiter._quiet_until) <= 1_001  # all keys beyond a thousand are one


def test_the_logging_hook_is_rate_limited_too(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "publisher")
    endpoint.script(Answer(error=Error(503, "ServiceUnavailable")))
    with publishing(hooks=[publisher.LoggingHook()], retry=tries(3)) as made:
        sns = client_of(made, "sns", endpoint.url)
        for _ in range(50):
            sns.publish(TopicArn=TOPIC, Message="secret-body")
    records = [record for record in caplog.records if record.name == "publisher.events"]
    events = [record.event for record in records]  # type: ignore[attr-defined]
    assert sorted(events) == ["publisher.failed", "publisher.retry"]
    assert "secret" not in caplog.text


def test_all_lines_belong_to_one_tree() -> None:
    names = {name for name in logging.root.manager.loggerDict if "publisher" in name}
    assert names
    assert all(name == "publisher" or name.startswith("publisher.") for name in names)


SCRIPT = """
import publisher, sys
publisher.configure(retry=publisher.retry_policy(), delivery_timeout=20, close_timeout=30)
client = publisher.client("kinesis", endpoint_url=sys.argv[1])
for n in range(int(sys.argv[2])):
    client.put_record(StreamName="clicks", Data=b"secret-body", PartitionKey=str(n))
"""


def run(endpoint: Endpoint, count: int, more: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + more, endpoint.url, str(count)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stderr


def test_a_process_that_lost_something_says_so_once_at_its_end(endpoint: Endpoint) -> None:
    endpoint.script(Answer(error=Error(403, "AccessDeniedException")))
    said = run(endpoint, 30)
    assert said.count("30 of 30 messages were lost") == 1
    assert "30 failed with AccessDeniedException" in said
    assert "secret" not in said


def test_a_process_that_lost_nothing_says_nothing(endpoint: Endpoint) -> None:
    assert run(endpoint, 30) == ""


def test_structlog_shows_the_callers_context(endpoint: Endpoint) -> None:
    import structlog

    endpoint.script(Answer(error=Error(403, "AccessDeniedException")))
    written: list[dict[str, Any]] = []

    class Structured(publisher.Hook):  # the recipe in docs/logging.md
        def __init__(self) -> None:
            self._log = structlog.wrap_logger(
                structlog.PrintLogger(),
                processors=[structlog.contextvars.merge_contextvars, self._keep],
            )

        def _keep(self, logger: Any, method: str, event: Any) -> Any:
            written.append(dict(event))
            raise structlog.DropEvent

        def on_failed(self, event: publisher.Event) -> None:
            code = event.error_code
            self._log.error("publisher.failed", destination=event.destination, error_code=code)

    with publishing(hooks=[Structured()]) as made:
        kinesis = client_of(made, "kinesis", endpoint.url)
        with structlog.contextvars.bound_contextvars(request_id="r-1"):
            kinesis.put_record(StreamName=STREAM, Data=b"x", PartitionKey="k")
        made.close(SOON)
    assert written == [
        {
            "event": "publisher.failed",
            "destination": "kinesis:us-east-1:clicks",
            "error_code": "AccessDeniedException",
            "request_id": "r-1",
        }
    ]
