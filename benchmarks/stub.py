"""A stub AWS endpoint in a process of its own: enough of SNS and Kinesis to publish to.

It speaks the services' own protocols (SNS: query and XML, Kinesis: JSON 1.1) over keep-alive
HTTP/1.1, answers after a settable latency (a timer, so requests overlap), fails entries at a
settable rate, keeps a token bucket per shard, and counts what it saw. It does not store, and it
checks neither signatures nor limits.

`Stub` starts it and talks to it from the other side. The process ends when its standard input
closes, so it never outlives the one who started it.

    python -m benchmarks.stub        # prints the port, serves until standard input ends
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.stub_answers import Answers

CONTROL = "/_control"
HEAD_END = b"\r\n\r\n"
REASONS = {200: "OK", 400: "Bad Request", 500: "Internal Server Error", 503: "Service Unavailable"}


class Connection(asyncio.BufferedProtocol):
    """One client connection; frames requests by hand: a parser would cost more than the answer."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(1 << 16)
        self._size = 0  # bytes of the request that are in
        self._head = ""
        self._head_size = 0  # 0 while the head is incomplete
        self._need = 0  # size of the whole request, known once the head is
        self._counted = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=1 << 22)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        if self._counted:
            self._answers.open_connections -= 1

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - as asyncio calls it
        if self._need > len(self._buffer) or self._size == len(self._buffer):
            # Once per connection and size of request: later ones are read in place.
            grown = bytearray(max(self._need, 2 * self._size))
            grown[: self._size] = memoryview(self._buffer)[: self._size]
            self._buffer = grown
        return memoryview(self._buffer)[self._size :]

    def buffer_updated(self, nbytes: int) -> None:
        self._size += nbytes
        if not self._head_size:
            end = self._buffer.find(HEAD_END, 0, self._size)
            if end < 0:
                return
            self._head = self._buffer[:end].decode("latin-1")
            self._head_size = end + 4
            self._need = self._head_size + content_length(self._head)
        if self._size >= self._need:
            body = bytes(memoryview(self._buffer)[self._head_size : self._need])
            # A client of HTTP/1.1 without pipelining: nothing follows the request.
            self._size = self._head_size = self._need = 0
            self._request(self._head, body)

    def _request(self, head: str, body: bytes) -> None:
        target = head.split(" ", 2)[1]
        if target.startswith(CONTROL):
            self._write(200, "application/json", self._answers.control(target, body))
            return
        if not self._counted:
            self._counted = True
            self._answers.connections += 1
            self._answers.open_connections += 1
        delay, status, kind, answer = self._answers.answer(head, body)
        if delay > 0:
            self._loop.call_later(delay, self._write, status, kind, answer)
        else:
            self._write(status, kind, answer)

    def _write(self, status: int, kind: str, body: bytes) -> None:
        if self._transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\n"
            f"x-amzn-RequestId: {self._answers.request_id()}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode("latin-1") + body)


def content_length(head: str) -> int:
    """Return the Content-Length of a request head, 0 without one."""
    lower = head.lower()
    at = lower.find("\r\ncontent-length:")
    if at < 0:
        if "\r\ntransfer-encoding:" in lower:
            raise ValueError("chunked requests are not read here: no AWS client sends them")
        return 0
    end = lower.find("\r\n", at + 2)
    return int(lower[at + 17 : end if end > 0 else None])


async def serve() -> None:
    """Serve on a free port of the loop-back interface until standard input ends."""
    loop = asyncio.get_running_loop()
    answers = Answers()
    server = await loop.create_server(lambda: Connection(answers), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def on_stdin() -> None:
        if not os.read(0, 4096):
            ended.set()

    loop.add_reader(0, on_stdin)
    await ended.wait()


class Stub:
    """The stub from its user's side: start, configure, read the counts, stop (or `with`)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stub"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the stub endpoint did not start")
        self.url = f"http://127.0.0.1:{int(line)}"

    def reset(self, **settings: Any) -> None:
        """Forget counts and settings, then apply `settings`.

        `latency` (s), `failure_rate` (share of entries), `shards`, `shard_records` (a second),
        `shard_bytes` (a second; 0 turns the buckets off) for every destination, and `destinations`:
        a dict of the same by topic or stream name.
        """
        control(self.url, "reset", settings)

    def stats(self) -> dict[str, Any]:
        """Return the counts since the last reset, and `cpu`, the seconds of CPU used since."""
        return control(self.url, "stats", {})

    def stop(self) -> None:
        """End the process; idempotent."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Stub:  # noqa: PYI034 - Self is younger than Python 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def control(url: str, what: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Call the control URL of the stub at `url` from any process: `what` is "stats" or "reset".

    Raises:
        ValueError: for a setting that there is not.
    """
    request = Request(f"{url}{CONTROL}/{what}", data=json.dumps(settings).encode())
    with urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer


def main() -> None:
    """Run the server. Its clock for `cpu` starts at each reset."""
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        print(f"stub: interrupted after {time.process_time():.1f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()
