"""The option ``spool``: where messages are on disk before a call returns, as plain data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from ._arguments import check_arguments
from ._checks import at_least_one, one_of, positive_seconds

SEND = ("here", "relay")
SYNC = ("kernel", "disk")
WHEN = ("always", "overflow")
ON_UNAVAILABLE = ("memory", "raise")
KEY_SIZES = (16, 24, 32)  # bytes, of AES


@dataclass(frozen=True, slots=True)
class Spool:
    """A directory in which messages are on disk before the call that publishes them returns.

    Args:
        directory: private to this user, on a local file system; made if only its last part is
            missing. Several processes may share it.
        send: ``"here"``: this process sends, and the disk is for what it cannot deliver before it
            dies; ``"relay"``: another one does (``python -m publisher relay DIRECTORY``). Then no
            order is kept between what waits for that one and what is sent from memory, within a
            message group of a FIFO topic or queue: after ``when="overflow"``, or after an error of
            the disk with ``on_unavailable="memory"``.
        sync: ``"kernel"``: a message survives the end of the process; ``"disk"``: the caller waits
            until it survives the end of the machine too.
        when: ``"always"``, or ``"overflow"``: only what finds the memory full.
        max_bytes: of the files of this process; beyond, ``SpoolFull``.
        max_age: seconds from acceptance, after which a message on disk is given up.
        key: encrypts the files with AES-GCM: 16, 24 or 32 bytes. Of several keys the first
            encrypts, and all decrypt.
        on_unavailable: what an error of the disk does: ``"memory"``: messages are sent without it
            meanwhile; ``"raise"``: ``SpoolUnavailable``.
        clients: what ``client()`` is called with to send what an earlier process left, by
            ``"service:region"``, where a client with the environment's credentials would not do.

    Raises:
        TypeError, ValueError: a value that is not allowed.
    """

    directory: str | os.PathLike[str]
    _: KW_ONLY
    send: Literal["here", "relay"] = "here"
    sync: Literal["kernel", "disk"] = "kernel"
    when: Literal["always", "overflow"] = "always"
    max_bytes: int = 1 << 30
    max_age: float = 4 * 86400
    key: bytes | Sequence[bytes] | None = field(default=None, repr=False)
    on_unavailable: Literal["memory", "raise"] = "memory"
    clients: Mapping[str, Mapping[str, Any]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, value in (
            ("directory", _directory(self.directory)),
            ("send", one_of("send", self.send, SEND)),
            ("sync", one_of("sync", self.sync, SYNC)),
            ("when", one_of("when", self.when, WHEN)),
            ("max_bytes", at_least_one("max_bytes", self.max_bytes)),
            ("max_age", positive_seconds("max_age", self.max_age)),
            ("key", _keys(self.key)),
            ("on_unavailable", one_of("on_unavailable", self.on_unavailable, ON_UNAVAILABLE)),
            ("clients", _clients(self.clients)),
        ):
            object.__setattr__(self, name, value)

    @property
    def path(self) -> str:
        """The directory, absolute."""
        return str(self.directory)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The first encrypts, all decrypt; empty where nothing is encrypted."""
        keys: Any = self.key
        return tuple(keys or ())


def check_spool(name: str, value: Any) -> Spool | None:
    """The option, as it is given. The directory need not exist, and is not made here.

    Raises:
        TypeError: it is no spool.
        ValueError: its directory cannot be used safely.
    """
    if value is None:
        return None
    if not isinstance(value, Spool):
        raise TypeError(
            f"{name} must be a publisher.Spool(directory) or None, not {type(value).__name__}"
        )
    from ._store.safety import check

    with contextlib.suppress(OSError):  # what may pass is the first message's to meet
        check(value.path)
    return value


def _directory(value: Any) -> str:
    rule = "directory must be a str or os.PathLike with the path of a directory"
    path = value if isinstance(value, str) else None
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
    if not isinstance(path, str):
        raise TypeError(f"{rule}, not {type(value).__name__}")
    if not path or "\0" in path:
        raise ValueError(f"{rule}, not {path!r}")
    return os.path.abspath(path)  # noqa: PTH100 - resolve() would follow a link, which is refused


def _keys(value: Any) -> tuple[bytes, ...] | None:
    rule = "key must be 16, 24 or 32 bytes, a sequence of such, or None"
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, (bytes, Sequence)):
        raise TypeError(f"{rule}, not {type(value).__name__}")
    keys = (value,) if isinstance(value, bytes) else tuple(value)
    for key in keys:  # of which only type and length are told
        if not isinstance(key, bytes):
            raise TypeError(f"{rule}, not a sequence with {type(key).__name__}")
        if len(key) not in KEY_SIZES:
            raise ValueError(f"{rule}, not {len(key)} bytes")
    if not keys:
        raise ValueError(f"{rule}, not an empty sequence")
    return keys


def _clients(value: Any) -> dict[str, dict[str, Any]] | None:
    if value is None:
        return None
    rule = 'a mapping of "service:region" to the keyword arguments of client()'
    if not isinstance(value, Mapping):
        raise TypeError(f"clients must be {rule}, not {type(value).__name__}")
    return {place: _arguments(place, given, rule) for place, given in value.items()}


def _arguments(place: Any, given: Any, rule: str) -> dict[str, Any]:
    service, _, region = place.partition(":") if isinstance(place, str) else ("", "", "")
    if not service or not region:
        raise ValueError(f"clients must be {rule}; it has the key {place!r}")
    where = f"clients[{place!r}]"
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{where} must be a mapping of keyword arguments of client(), not"
            f" {type(given).__name__}"
        )
    if "region_name" in given:
        raise ValueError(f"{where} names the region twice: leave region_name out")
    others = {name: each for name, each in given.items() if name not in ("session", "client")}
    try:
        check_arguments(service, given.get("session"), given.get("client"), others)
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return dict(given)
