"""HTTP/1.1 on a socket, for servers that must be able to break its rules."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator
from email.utils import formatdate
from typing import BinaryIO

from tests.servers.wire import Answer, Reply

_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}
_ENDLESS = 1 << 30  # Content-Length of a dripping answer that never completes


class DisconnectError(Exception):
    """Ends a connection without (more of) an answer; `reset` by RST instead of FIN."""

    def __init__(self, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


def read_request(
    sock: socket.socket, reader: BinaryIO
) -> tuple[str, str, dict[str, str], bytes] | None:
    """Method, path, headers (lower-case names) and body; None when the client is done."""
    line = reader.readline()
    if not line.strip():
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline()) not in (b"\r\n", b"\n"):
        if not line:
            return None
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join(_chunks(reader))
    else:
        length = int(headers.get("content-length", "0"))
        body = reader.read(length)
        if len(body) < length:
            return None
    return method, path, headers, body


def _chunks(reader: BinaryIO) -> Iterator[bytes]:
    while size := int(reader.readline().split(b";")[0] or b"0", 16):
        yield reader.read(size)
        reader.readline()
    while reader.readline() not in (b"\r\n", b"\n", b""):
        pass


def send(sock: socket.socket, reply: Reply, answer: Answer, closing: threading.Event) -> None:
    """Sends a reply as `answer` wants. Raises DisconnectError where the connection is to end."""
    endless = answer.drip is not None and answer.pieces is None
    fields = {
        "x-amzn-RequestId": str(uuid.uuid4()),
        "Date": formatdate(usegmt=True),
        "Content-Type": reply.content_type,
        **reply.headers,
        **answer.headers,
        "Content-Length": str(_ENDLESS if endless else len(reply.body)),
    }
    reason = _REASONS.get(reply.status, "Status")
    head = f"HTTP/1.1 {reply.status} {reason}\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in fields.items()
    )
    start = head.encode("latin-1") + b"\r\n"
    if answer.drip is not None:
        sock.sendall(start)
        for piece in _pieces(reply.body, answer.pieces):
            if closing.wait(answer.drip):
                raise DisconnectError
            sock.sendall(piece)
    elif answer.truncate is not None:
        sock.sendall(start + reply.body[: answer.truncate])
        raise DisconnectError
    else:
        sock.sendall(start + reply.body)


def _pieces(body: bytes, pieces: int | None) -> Iterator[bytes]:
    if pieces is None:
        for index in range(len(body)):
            yield body[index : index + 1]
        while True:
            yield b" "
    for index in range(pieces):
        yield body[len(body) * index // pieces : len(body) * (index + 1) // pieces]
