"""What a destination's requests have in common, learnt from one that botocore has made."""

from __future__ import annotations

import random
import re
import uuid
from typing import Any
from urllib.parse import quote, urlsplit

from ..._fork import on_fork
from .signing import ALGORITHM, DATE, TOKEN, Keys, Signer

_AUTHORIZATION = re.compile(
    re.escape(ALGORITHM)
    + r" Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/,]+)/(?P<service>[^/,]+)"
    r"/aws4_request, SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
#: Headers that are made anew for each request.
_LENGTH, _INVOCATION = "content-length", "amz-sdk-invocation-id"
_CHANGING = frozenset({DATE, TOKEN, "authorization", _INVOCATION, _LENGTH})
#: Those that stay as they are.
_FIXED = frozenset(
    {"content-type", "user-agent", "x-amz-target", "x-amzn-query-mode", "amz-sdk-request"}
)
#: The lines before a request's own headers: the request line, and what ``http.client`` adds.
_ADDED = 3
_ATTEMPT = re.compile(r"attempt=1(; max=\d+)?")  # of the first try, and there is no other

#: ``uuid.uuid4`` asks the system, and lets other threads run meanwhile: to be on again among ten of
#: them takes longer than all the rest of a request's making. Nothing secret depends on these ids.
_random = random.Random()  # noqa: S311
on_fork(_random.seed)


class NotKnownError(Exception):
    """A request that botocore has made in a way that is not known here; its text says which."""


class Request:
    """A request that is ready to be sent; it has what botocore's HTTP session asks of one.

    Args:
        url: where to.
        head: all before the body, as it goes out.
        body: all of it.
    """

    __slots__ = ("body", "context", "head", "method", "stream_output", "url")

    def __init__(self, url: str, head: bytes, body: bytes) -> None:
        self.method = "POST"
        self.url = url
        self.head = head
        self.body = body
        self.stream_output = False
        self.context: dict[str, Any] = {}

    @property
    def headers(self) -> dict[str, str]:
        """Its headers without those that ``http.client`` adds."""
        lines = self.head.decode("ascii").split("\r\n")[_ADDED:-2]
        return {name: value for name, _, value in (line.partition(": ") for line in lines)}


class Template:
    """The requests of one destination, but for their bodies, times and signatures.

    Args:
        request: one that botocore has prepared and signed.
        keys: what it is signed with.

    Raises:
        NotKnownError: the same request could not be made here, to the byte.
    """

    __slots__ = ("_head", "_signer", "has_token", "url")

    def __init__(self, request: Any, keys: Keys) -> None:
        self.url = str(request.url)
        body = request.body.encode() if isinstance(request.body, str) else request.body
        if request.method != "POST" or not isinstance(body, bytes):
            raise NotKnownError("it is no POST of bytes")
        given = {str(name): _text(value) for name, value in request.headers.items()}
        headers = {name.lower(): value for name, value in given.items()}
        if unknown := headers.keys() - _CHANGING - _FIXED:
            raise NotKnownError(f"it has the header {', '.join(sorted(unknown))}")
        if not _ATTEMPT.fullmatch(headers.get("amz-sdk-request", "")):
            raise NotKnownError("its amz-sdk-request is another")
        host, path = _parts(self.url)
        found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if found is None:
            raise NotKnownError("it is signed in another way")
        names = {*found["names"].split(";")} - {DATE, TOKEN}
        signed = {**headers, "host": host}
        if not names <= signed.keys():
            raise NotKnownError("it is signed in another way")
        self.has_token = TOKEN in headers
        self._signer = Signer(
            quote(path, safe="/~"),
            {name: signed[name] for name in names},
            found["region"],
            found["service"],
        )
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Accept-Encoding: identity"]
        lines = [line.replace("%", "%%") for line in lines]
        for name, value in given.items():
            changes = name.lower() in _CHANGING
            lines.append(
                f"{name}: " + (f"%({name.lower()})s" if changes else value.replace("%", "%%"))
            )
        #: All before the body, with places for what changes.
        self._head = "\r\n".join([*lines, "", ""])
        again = self.made(keys, headers[DATE], body).headers
        if not found["key"] == keys.access_key or any(
            again[name] != value for name, value in given.items() if name.lower() != _INVOCATION
        ):
            raise NotKnownError("its signature is another than the one made here")

    @property
    def kind(self) -> tuple[Any, ...]:
        """Equal for templates of the same requests."""
        return self.url, self._signer.kind, self.has_token, self._head

    def made(self, keys: Keys, stamp: str, body: bytes) -> Request:
        """Another request.

        Args:
            keys: what to sign it with; with a token only where there was one.
            stamp: its time, UTC, as ``20261231T235959Z``.
            body: all of it.
        """
        changing = {
            DATE: stamp,
            TOKEN: keys.token,
            "authorization": self._signer.authorization(keys, stamp, body),
            _INVOCATION: uuid.UUID(int=_random.getrandbits(128), version=4),
            _LENGTH: len(body),
        }
        return Request(self.url, (self._head % changing).encode("ascii"), body)


def is_plain(text: str) -> bool:
    """Whether a header may have it, and is sure to bear it unchanged."""
    return text.isascii() and text.isprintable()


def _text(value: Any) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    if not is_plain(text):
        raise NotKnownError("a header has unusual characters")
    return text


def _parts(url: str) -> tuple[str, str]:
    """The host, as a header has it, and the path."""
    parts = urlsplit(url)
    path = parts.path or "/"
    if parts.query or parts.fragment or parts.username is not None or not is_plain(url):
        raise NotKnownError("its address has more than a host and a path")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotKnownError("its address is neither http:// nor https://")
    if not re.fullmatch(r"(/[A-Za-z0-9_-]*)+", path) or "//" in path:
        raise NotKnownError("its path is unusual")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return (host if parts.port in (None, usual) else f"{host}:{parts.port}"), path
