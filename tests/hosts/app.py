"""What the processes that these tests start have in common: a client, and messages to publish."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from typing import Any

import publisher
from tests.hosts.cpu import waited_for_cpu

TOPIC = "arn:aws:sns:us-east-1:000000000000:hosts"

if sys.platform == "linux":  # PR_SET_PDEATHSIG: end with the test that started this process
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)

logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")


def configure(**options: Any) -> None:
    publisher.configure(
        **{"close_timeout": float(os.environ.get("CLOSE_TIMEOUT", "30")), **options}
    )


def client(**kwargs: Any) -> publisher.Client:
    where = {"endpoint_url": os.environ["ENDPOINT"], "region_name": "us-east-1"}
    return publisher.client("sns", **{**where, **kwargs})


def publish(name: str, count: int = 1) -> list[Future[Any]]:
    """Publishes `name-0`, `name-1` and so on."""
    sns = client()
    return [sns.publish(TopicArn=TOPIC, Message=f"{name}-{i}") for i in range(count)]


def say(*words: object) -> None:
    """Prints a line that the test waits for."""
    print(*words, flush=True)


def wait_for_signals() -> None:
    """Until a handler raises; in short turns, for one may come just before a long wait begins."""
    for _ in range(300):
        threading.Event().wait(0.1)


def ending() -> None:
    """Tells the test when this process begins to end, and how long it had waited for a CPU."""
    say("ending", time.monotonic(), waited_for_cpu("self"))
