"""Signature version 4 of one kind of request, as botocore makes it, with the day's key kept.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

ALGORITHM = "AWS4-HMAC-SHA256"
#: Of more bytes than one such piece ``hashlib`` lets other threads run meanwhile. A body up to
#: ``_SMALL`` is hashed sooner than this thread is on again among ten others.
_PIECE, _SMALL = 2047, 1 << 15
DATE, TOKEN = "x-amz-date", "x-amz-security-token"


class Keys(NamedTuple):
    """What signs: botocore's frozen credentials, of which none is ever shown."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return "Keys()"


class _Day(NamedTuple):
    """What is the same for all requests of one day that are signed with the same keys."""

    keys: Keys
    date: str
    mac: hmac.HMAC
    scope: str
    head: str
    canonical: str

    def __repr__(self) -> str:
        return "_Day()"


class Signer:
    """Signs ``POST`` requests that differ in their body, their time and their credentials alone.

    Args:
        path: of the address, as it is requested.
        headers: those that are signed and do not change, by their names in lower case.
        region, service: of the signature's scope.
    """

    __slots__ = ("_day", "_headers", "_path", "_region", "_service")

    def __init__(self, path: str, headers: Mapping[str, str], region: str, service: str) -> None:
        self._path = path
        self._headers = dict(headers)
        self._region = region
        self._service = service
        #: Replaced whole, and read once: no thread sees half of one.
        self._day: _Day | None = None

    @property
    def kind(self) -> tuple[str, ...]:
        """Equal for signers of the same requests."""
        return self._path, self._region, self._service, *sorted(self._headers)

    def authorization(self, keys: Keys, stamp: str, body: bytes) -> str:
        """The header of that name.

        Args:
            keys: what to sign with.
            stamp: the time, UTC, as ``20261231T235959Z``.
            body: all of it.
        """
        day, date = self._day, stamp[:8]
        if day is None or day.date != date or day.keys != keys:
            self._day = day = self._begin(keys, date)
        canonical = day.canonical % stamp + _sha256(body)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{ALGORITHM}\n{stamp}\n{day.scope}\n{digest}"
        mac = day.mac.copy()
        mac.update(text.encode())
        return day.head + mac.hexdigest()

    def _begin(self, keys: Keys, date: str) -> _Day:
        key = f"AWS4{keys.secret_key}".encode()
        for part in (date, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        scope = f"{date}/{self._region}/{self._service}/aws4_request"
        headers = {name: _squeezed(value) for name, value in self._headers.items()}
        headers[DATE] = "%s"
        if keys.token:
            headers[TOKEN] = _squeezed(keys.token)
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"POST\n{self._path.replace('%', '%%')}\n\n{lines}\n{names}\n"
        head = (
            f"{ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature="
        )
        mac = hmac.new(key, digestmod="sha256")
        return _Day(keys, date, mac, scope, head, canonical)


def _sha256(body: bytes) -> str:
    if len(body) > _SMALL:
        return hashlib.sha256(body).hexdigest()
    found = hashlib.sha256()
    for start in range(0, len(body), _PIECE):
        found.update(body[start : start + _PIECE])
    return found.hexdigest()


def _squeezed(value: str) -> str:
    """A header's value as it is signed, with its percent signs doubled."""
    return " ".join(value.split()).replace("%", "%%")
