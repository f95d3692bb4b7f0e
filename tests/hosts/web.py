"""A web application that publishes one message for each request: its path."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from tests.hosts import app

app.configure()
#: As applications have it: made where the module is imported, which may be before a fork.
SNS = app.client()

if os.environ.get("PUBLISH_AT_IMPORT"):
    app.publish(f"import-{os.getpid()}")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    sns = SNS.with_options(linger=60) if environ["QUERY_STRING"] == "linger" else SNS
    future = sns.publish(TopicArn=app.TOPIC, Message=environ["PATH_INFO"].lstrip("/"))
    if environ["QUERY_STRING"] == "wait":
        future.result(20)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
