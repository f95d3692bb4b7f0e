"""AWS Lambda: its own runtime client, an API that invokes it, frozen between the invocations."""

from __future__ import annotations

import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.hosts.process import SOON, Process, assert_stored, expected
from tests.servers import Answer, Endpoint

pytestmark = pytest.mark.every_python("Lambda has a runtime for each Python")

Start = Callable[..., Process]


class RuntimeApi:
    """As much of Lambda's runtime API as one function needs."""

    def __init__(self) -> None:
        self.events: queue.Queue[tuple[dict[str, Any], float] | None] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # .../invocation/next
                found = api.events.get()
                if found is None:
                    self.close_connection = True
                    return
                event, seconds = found
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "request")
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:f")
                self.send_header(
                    "Lambda-Runtime-Deadline-Ms", str(int(1e3 * (time.time() + seconds)))
                )
                self._body(json.dumps(event).encode())

            def do_POST(self) -> None:  # .../invocation/request/response, or an error
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(202)
                self._body(b"{}")
                api.answers.put((self.path.rpartition("/")[2], json.loads(body)))

            def _body(self, body: bytes) -> None:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.events.put(None)
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    api = RuntimeApi()
    yield api
    api.close()


def test_frozen_between_invocations(
    endpoint: Endpoint, start: Start, need: Callable[..., str], api: RuntimeApi
) -> None:
    need("awslambdaric")
    process = start(
        [sys.executable, "-m", "awslambdaric", "tests.hosts.lambda_function.handler"],
        endpoint.url,
        AWS_LAMBDA_RUNTIME_API=api.address,
        AWS_LAMBDA_FUNCTION_NAME="f",
        AWS_LAMBDA_FUNCTION_VERSION="1",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE="128",
        AWS_LAMBDA_LOG_GROUP_NAME="g",
        AWS_LAMBDA_LOG_STREAM_NAME="s",
    )

    def invoke(name: str, count: int, seconds: float = 30) -> None:
        process.signal(signal.SIGCONT)
        api.events.put(({"name": name, "count": count}, seconds))
        assert api.answers.get(timeout=SOON) == ("response", {"published": count}), process.log
        process.signal(signal.SIGSTOP)

    invoke("first", 25)
    assert_stored(endpoint, expected(first=25))
    invoke("second", 25)
    assert_stored(endpoint, expected(first=25, second=25))

    hold = threading.Event()
    endpoint.script(Answer(hold=hold))
    began = time.monotonic()
    invoke("third", 5, seconds=6)  # AWS does not answer: the function returns in its time
    assert time.monotonic() - began < 6
    endpoint.script(None)
    hold.set()
    invoke("fourth", 5)
    assert_stored(endpoint, expected(first=25, second=25, third=5, fourth=5))
