"""An answer of HTTP/1.1, read from a socket: the usual one by hand, any other by ``http.client``.

The usual one says how long its body is. What is chunked, goes on until the connection ends or has
unusual headers is read by the standard library, from the bytes that are in already and those that
follow.
"""

from __future__ import annotations

import http.client
import io
import re
from typing import Any, NamedTuple

_PIECE = 1 << 16
_MAX_HEAD = 1 << 16
_END = b"\r\n\r\n"
#: An answer that another one follows, as ``103 Early Hints``; after a 101 the protocol is another.
_INTERIM = re.compile(rb"HTTP/1\.1 1(?!01)\d\d[ \r]")
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ")
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]+")  # a line that goes on in the next
_BODILESS = (204, 304)
_MAX_DIGITS = 18  # of a length; Python refuses to read a number of thousands


class Answer(NamedTuple):
    """Status, headers as they were sent, body, and whether the connection may be used again."""

    status: int
    headers: dict[str, str]
    body: bytes
    reusable: bool


def read_answer(sock: Any) -> Answer:
    """The next answer on ``sock``, whose time-out is for each piece of it.

    A body that ends early is returned as far as it goes, as botocore would.

    Raises:
        OSError, http.client.HTTPException: there is none, or it breaks off.
    """
    data = sock.recv(_PIECE)
    while (end := data.find(_END)) < 0 or _INTERIM.match(data):
        if end >= 0:
            data = data[end + 4 :] or sock.recv(_PIECE)
            continue
        piece = sock.recv(_PIECE) if data and len(data) < _MAX_HEAD else b""
        if not piece:
            return _read_by_the_library(sock, data)
        data += piece
    parsed = _parsed(data[:end])
    if parsed is None:
        return _read_by_the_library(sock, data)
    status, headers, length, reusable = parsed
    body = data[end + 4 :]
    missing = length - len(body)
    if missing > 0:
        pieces = [body]
        while missing > 0 and (piece := sock.recv(min(missing, 4 * _PIECE))):
            pieces.append(piece)
            missing -= len(piece)
        body = b"".join(pieces)
    # More than was announced belongs to nobody.
    return Answer(status, headers, body[:length], reusable and missing == 0)


def _parsed(head: bytes) -> tuple[int, dict[str, str], int, bool] | None:
    """Status, headers, length of the body, and whether the connection stays; None if unusual."""
    found = _STATUS.match(head)
    if found is None or int(found[1]) in _BODILESS:
        return None
    _, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    lower: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        known = name.lower()
        if not colon or not name or name[0] in " \t" or known in lower:
            return None
        headers[name] = lower[known] = value.lstrip(" \t")
    length = lower.get("content-length", "")
    is_number = length.isascii() and length.isdecimal() and len(length) <= _MAX_DIGITS
    if not is_number or "transfer-encoding" in lower:
        return None
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
        return None
    stays = lower.get("connection", "keep-alive").lower() == "keep-alive"
    return int(found[1]), headers, int(length), stays


def _read_by_the_library(sock: Any, data: bytes) -> Answer:
    reader = _Reader(sock, data)
    response = http.client.HTTPResponse(_Source(reader), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        stays = not response.will_close and response.status >= 200
        try:
            body = response.read()
        except http.client.IncompleteRead as error:
            if response.chunked:
                raise
            body, stays = error.partial, False
        headers: dict[str, str] = {}
        for name, folded in response.headers.items():
            value = _FOLD.sub(" ", folded)
            there = next((one for one in headers if one.lower() == name.lower()), name)
            headers[there] = f"{headers[there]}, {value}" if there in headers else value
        return Answer(response.status, headers, body, stays and reader.left == 0)
    finally:
        response.close()


class _Rest(io.RawIOBase):
    """The bytes that are in, then those of the socket."""

    def __init__(self, sock: Any, data: bytes) -> None:
        self._sock = sock
        self._data = memoryview(data)
        self.over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.over:
            return 0
        if not self._data:
            return int(self._sock.recv_into(buffer))
        count = min(len(buffer), len(self._data))
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


class _Reader(io.BufferedReader):
    """Knows, once it is closed, how much it holds that nobody has asked for."""

    def __init__(self, sock: Any, data: bytes) -> None:
        self._rest = _Rest(sock, data)
        super().__init__(self._rest)
        self.left = 0

    def close(self) -> None:
        if not self.closed:
            self._rest.over = True
            self.left = len(self.peek(1)) + len(self._rest._data)
        super().close()


class _Source:
    """What ``http.client`` takes for a socket."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def makefile(self, _: str) -> _Reader:
        return self._reader
