"""A recording HTTP server on 127.0.0.1: real sockets, keep-alive, a thread per connection.

`RecordingServer` reads requests, records them, asks the script what to do, and plays the answer,
faults included. What the answer says in substance is left to two subclasses: `Endpoint` makes it
up, `FaultProxy` asks a server upstream.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import struct
import threading
import time
import uuid
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import boto3

from tests.servers import wire
from tests.servers.http1 import DisconnectError, read_request, send
from tests.servers.limits import ShardLimit, ShardThrottle
from tests.servers.wire import Answer, Entry, Failure, Reply, Request, Result, Stored

Script = Callable[[Request], "Answer | None"]


@functools.cache
def _session() -> boto3.Session:
    """Made when it is first asked for: it reads where models are, and tests say that first."""
    return boto3.Session()


#: Making clients from one session is not thread-safe.
_session_lock = threading.Lock()


def make_client(service: str, url: str, **kwargs: Any) -> Any:
    """A plain boto3 client for `url`, with dummy credentials; `kwargs` win over the defaults."""
    defaults = {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }
    with _session_lock:
        return _session().client(service, **{**defaults, **kwargs})  # type: ignore[call-overload]


class RecordingServer:
    """Starts at construction and stops with `close()` or at the end of a `with` block.

    `shard_limit` throttles Kinesis records by shard, of which every stream has `shards`; it may be
    set and unset at any time. With `keep=False` requests and entries are counted, not kept.
    """

    def __init__(
        self, *, shard_limit: ShardLimit | None = None, shards: int = 4, keep: bool = True
    ) -> None:
        self.shard_limit = shard_limit
        self.shards = shards
        self._keep = keep
        self._throttle = ShardThrottle()
        self._script: Script | None = None
        self._closing = threading.Event()
        self._changed = threading.Condition(threading.RLock())  # guards what stands below it
        self._requests: list[Request] = []
        self._stored: list[Entry] = []
        self._request_count = 0
        self._stored_counts = Counter[str]()
        self._connection_count = 0
        self._open: dict[int, socket.socket] = {}
        self._held: set[threading.Event] = set()
        self._threads: set[threading.Thread] = set()
        self.errors: list[BaseException] = []  # bugs of the server itself; `close` raises the first

        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        _live.add(self)
        name = f"{type(self).__name__}-accept"
        self._acceptor = threading.Thread(target=self._accept, name=name, daemon=True)
        self._acceptor.start()

    # What tests use

    def client(self, service: str, **kwargs: Any) -> Any:
        """A plain boto3 client of this server (dummy credentials, us-east-1)."""
        return make_client(service, self.url, **kwargs)

    def script(self, script: Script | Answer | None) -> None:
        """Sets what happens to requests from now on: a function of the request, or one answer
        for all of them. Control calls (CreateTopic and the like) are asked about, too.
        """
        self._script = (lambda _: script) if isinstance(script, Answer) else script

    @property
    def requests(self) -> list[Request]:
        """The requests received so far, in order of arrival."""
        with self._changed:
            return list(self._requests)

    @property
    def entries(self) -> list[Entry]:
        """The entries of all requests received so far, stored or not, in order."""
        return [entry for request in self.requests for entry in request.entries]

    def stored(self, service: str | None = None) -> list[Entry]:
        """The entries stored so far, in order; every store counts, there is no de-duplication."""
        with self._changed:
            return [one for one in self._stored if service in (None, one.service)]

    def count(self, service: str) -> int:
        """How many entries were stored; cheaper than `stored`, and works with `keep=False`."""
        with self._changed:
            return self._stored_counts[service]

    @property
    def request_count(self) -> int:
        with self._changed:
            return self._request_count

    @property
    def connections(self) -> int:
        """How many connections have been accepted, ever."""
        with self._changed:
            return self._connection_count

    @property
    def open_connections(self) -> int:
        with self._changed:
            return len(self._open)

    def wait_for(self, predicate: Callable[[], Any], timeout: float = 30) -> Any:
        """Waits until `predicate()` is true and returns its value. It is asked again at each
        request, store, answer, connect and disconnect. Raises TimeoutError after `timeout` s.
        """
        with self._changed:
            if value := self._changed.wait_for(predicate, timeout):
                return value
            raise TimeoutError(f"not within {timeout} s: {predicate!r}, with {self!r}")

    def clear(self) -> None:
        """Forgets the requests and entries recorded so far, and the counts of them."""
        with self._changed:
            self._requests.clear()
            self._stored.clear()
            self._request_count = 0
            self._stored_counts.clear()

    def close(self) -> None:
        """Ends all connections and waits. Raises the first unexpected error met while serving."""
        self._closing.set()
        with contextlib.suppress(OSError):  # wakes the acceptor on Linux
            self._listener.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):  # and this elsewhere
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._acceptor.join(5)
        self._listener.close()
        with self._changed:
            held, threads, sockets = set(self._held), set(self._threads), list(self._open.values())
        for event in held:
            event.set()
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        if self.errors:
            raise self.errors[0]

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        with self._changed:
            return (
                f"<{type(self).__name__} {self.url} requests={self._request_count} "
                f"stored={dict(self._stored_counts)} connections={self._connection_count} "
                f"open={len(self._open)}>"
            )

    # What subclasses do

    def execute(self, request: Request, good: Sequence[int]) -> Reply | dict[int, Result]:
        """Stores the entries with these indices: a result for each, or a whole reply instead."""
        raise NotImplementedError

    def control(self, request: Request) -> Reply:
        """Answers an operation that carries no entries."""
        raise NotImplementedError

    def disconnected(self) -> None:
        """Called at the end of each connection's thread."""

    # Serving

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._closing.is_set():
                sock.close()
                return
            with self._changed:
                self._connection_count += 1
                number = self._connection_count
                name = f"{type(self).__name__}-{number}"
                thread = threading.Thread(
                    target=self._serve, args=(sock, number), name=name, daemon=True
                )
                self._open[number] = sock
                self._threads.add(thread)
                self._changed.notify_all()
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        reset = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = sock.makefile("rb")
        try:
            while not self._closing.is_set():
                head = read_request(sock, reader)
                if head is None or not self._one(sock, number, *head):
                    break
        except DisconnectError as end:
            reset = end.reset
        except OSError:
            pass  # the client went away
        except Exception as error:  # noqa: BLE001 - whatever it is, `close` raises it
            self.errors.append(error)
        finally:
            with contextlib.suppress(OSError):
                reader.close()
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    sock.shutdown(socket.SHUT_RDWR)
            sock.close()
            self.disconnected()
            with self._changed:
                del self._open[number]
                self._threads.discard(threading.current_thread())
                self._changed.notify_all()

    def _one(
        self,
        sock: socket.socket,
        number: int,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
    ) -> bool:
        """Serves one request; whether the connection stays open after it."""
        service = wire.service_of(headers)
        try:
            operation, params = wire.parse(service, headers, body)
            entries = wire.entries_of(service, operation, params)
        except wire.BadRequestError as bad:
            send(sock, wire.error_reply(bad.service, bad.error), Answer(), self._closing)
            return True
        with self._changed:
            self._request_count += 1
            request = Request(
                self._request_count,
                number,
                time.monotonic(),
                service,
                operation,
                path,
                headers,
                body,
                params,
                entries,
                method,
            )
            if self._keep:
                self._requests.append(request)
            self._changed.notify_all()
        try:
            answer = (self._script and self._script(request)) or Answer()
            self._play(sock, request, answer)
            return not answer.close and headers.get("connection", "").lower() != "close"
        finally:
            with self._changed:
                request.finished = time.monotonic()
                self._changed.notify_all()

    def _play(self, sock: socket.socket, request: Request, answer: Answer) -> None:
        reply = self._reply(request, answer)
        if answer.latency:
            self._closing.wait(answer.latency)
        if answer.hold is not None:
            with self._changed:
                self._held.add(answer.hold)
            if not self._closing.is_set():  # `close` sets every event registered before that
                answer.hold.wait()
            with self._changed:
                self._held.discard(answer.hold)
        if self._closing.is_set():
            raise DisconnectError
        if answer.reset is not None:
            raise DisconnectError(reset=True)
        send(sock, reply, answer, self._closing)

    def _reply(self, request: Request, answer: Answer) -> Reply:
        reply: Reply | None = None
        if answer.error is None and request.entries:
            failures = {i: f for i in range(len(request.entries)) if (f := answer.failure(i))}
            failures |= self._throttled(request, failures)
            good = [i for i in range(len(request.entries)) if i not in failures]
            outcome = self.execute(request, good) if good and answer.stores else {}
            if isinstance(outcome, Reply):
                reply = outcome
            else:
                self._record_stored(
                    [request.entries[i] for i in good if isinstance(outcome.get(i), Stored)]
                )
                made_up = {i: Stored(str(uuid.uuid4()), "1", "shardId-000000000000") for i in good}
                merged: dict[int, Result] = {**made_up, **outcome, **failures}
                reply = wire.render(
                    request, [merged[i] for i in range(len(request.entries))], answer
                )
        elif answer.stores and (answer.error is None or request.entries):
            reply = self._whole(request)
        if answer.error is not None:
            reply = wire.error_reply(request, answer.error)
        if answer.body is not None or reply is None:
            reply = Reply(answer.status, answer.content_type, answer.body or b"")
        return reply

    def _whole(self, request: Request) -> Reply:
        """Carries out the request although its answer will be an error, or a control call."""
        if not request.entries:
            return self.control(request)
        outcome = self.execute(request, range(len(request.entries)))
        if isinstance(outcome, Reply):
            return outcome
        self._record_stored(
            [request.entries[i] for i, result in outcome.items() if isinstance(result, Stored)]
        )
        return wire.error_reply(request, wire.Error(500, "InternalFailure"))

    def _throttled(self, request: Request, failed: dict[int, Failure]) -> dict[int, Failure]:
        limit = self.shard_limit
        if limit is None or request.service != "kinesis":
            return {}
        return self._throttle.refused(request, self.shards, limit, time.monotonic(), skip=failed)

    def _record_stored(self, entries: Sequence[Entry]) -> None:
        with self._changed:
            for entry in entries:
                self._stored_counts[entry.service] += 1
            if self._keep:
                self._stored.extend(entries)
            self._changed.notify_all()


# A forked child of the test process must not hold the servers' sockets: a connection that the
# server ends has to end for the client, whoever else has inherited the descriptor.
_live: weakref.WeakSet[RecordingServer] = weakref.WeakSet()


def _drop_inherited_sockets() -> None:
    for server in list(_live):
        for sock in [server._listener, *server._open.values()]:
            with contextlib.suppress(OSError):
                os.close(sock.detach())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_inherited_sockets)
