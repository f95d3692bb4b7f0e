"""`RawServer`: answers SNS's and Kinesis's batches with whatever bytes a test wants.

It remembers each request to the byte, and its connection. `tls` makes it speak TLS; `family` is
that of its address. It may be an HTTP proxy's other side, and the proxy itself (`Tunnel`).
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.support import until

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ENTRY = re.compile(rb"member\.\d+\.Id=(\d+)")


class Heard(NamedTuple):
    """One request, as it came."""

    connection: int
    head: bytes
    body: bytes


def stored(heard: Heard) -> tuple[str, bytes]:
    """The content type and the body of an answer that says that all was stored."""
    if b"x-amz-target" in heard.head.lower():
        count = len(json.loads(heard.body)["Records"])
        record = {"SequenceNumber": "49", "ShardId": "shardId-000000000000"}
        answer = {"FailedRecordCount": 0, "Records": [record] * count}
        return "application/x-amz-json-1.1", json.dumps(answer).encode()
    members = b"".join(
        b"<member><MessageId>0a-%b</MessageId><Id>%b</Id></member>" % (name, name)
        for name in _ENTRY.findall(heard.body)
    )
    return "text/xml", (
        b"<PublishBatchResponse><PublishBatchResult><Failed/><Successful>%b</Successful>"
        b"</PublishBatchResult><ResponseMetadata><RequestId>an-id</RequestId></ResponseMetadata>"
        b"</PublishBatchResponse>" % members
    )


def answer(heard: Heard, *more: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """The usual answer, with more lines of headers."""
    kind, body = stored(heard)
    lines = [f"HTTP/{version} {status}", "x-amzn-RequestId: an-id", f"Content-Type: {kind}", *more]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


Handler = Callable[[Any, Heard], Any]


def usual(sock: Any, heard: Heard) -> None:
    sock.sendall(answer(heard))


def reset(sock: socket.socket) -> None:
    """End a connection by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def end_idle(sock: socket.socket, *, abruptly: bool) -> None:
    """End a connection on which nothing is under way, by FIN or RST, and see it gone."""
    if abruptly:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.shutdown(socket.SHUT_RD)  # who serves it reads the end, and closes it
    until(lambda: sock.fileno() == -1)


class RawServer:
    """Each request is given to `handler`, which writes what it wants and may close the socket."""

    def __init__(
        self,
        handler: Handler = usual,
        tls: ssl.SSLContext | None = None,
        family: int = socket.AF_INET,
    ) -> None:
        self.handler = handler
        self.heard: list[Heard] = []  # appended to by the serving threads
        self.sockets: list[Any] = []
        self._tls = tls
        self._listener = socket.socket(family)
        self._listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *self.sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)

    @property
    def connections(self) -> int:
        """How many of the connections were used."""
        return len({one.connection for one in self.heard})

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: Any) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            self.sockets.append(sock)
            number = len(self.sockets)
            self.talk(sock, number)
        with contextlib.suppress(OSError):
            sock.close()

    def talk(self, sock: Any, number: int) -> None:
        """Answer request after request on one connection."""
        while (heard := read(sock, number)) is not None:
            self.heard.append(heard)
            self.handler(sock, heard)


def read(sock: Any, number: int) -> Heard | None:
    """The next request on a connection; None where there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    found = _LENGTH.search(head)
    while len(body) < int(found[1] if found else 0):
        piece = sock.recv(65536)
        if not piece:
            return None
        body += piece
    return Heard(number, head, body)


class Tunnel(RawServer):
    """A proxy: of `CONNECT` it makes a tunnel to `port`, and other requests it answers itself."""

    def __init__(self, port: int) -> None:
        self.to = port
        super().__init__()

    def talk(self, sock: Any, number: int) -> None:
        heard = read(sock, number)
        if heard is None:
            return
        self.heard.append(heard)
        if not heard.head.startswith(b"CONNECT "):
            self.handler(sock, heard)
            super().talk(sock, number)
            return
        with socket.create_connection(("127.0.0.1", self.to)) as other:
            self.sockets.append(other)
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(other, sock), daemon=True)
            self._threads.append(back)
            back.start()
            _copy(sock, other)


def _copy(source: Any, sink: Any) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
