"""The keys of a spool, as the commands are given them: in a file, never as an argument."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from .._spooling import KEY_SIZES
from ._console import InputError

_LARGEST = 64 * 1024  # bytes


def add_key_file(parser: Any) -> None:
    """Add the option."""
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help="the spool's keys in base64, one a line, the first one that of what is written",
    )


def read_keys(path: str | None) -> tuple[bytes, ...] | None:
    """The keys in that file; None without one. Raises InputError, which shows nothing of it."""
    if path is None:
        return None
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"--key-file {path}: {error.strerror}") from None
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    if not lines or len(content) > _LARGEST:
        raise InputError(f"--key-file {path}: it has keys in base64, one a line")
    keys = []
    for number, line in enumerate(lines, 1):
        try:
            key = base64.b64decode(line, validate=True)
        except binascii.Error:
            key = b""
        if len(key) not in KEY_SIZES:  # as openssl rand -base64 32 makes them
            raise InputError(f"--key-file {path}: key {number} is not 16, 24 or 32 bytes in base64")
        keys.append(key)
    return tuple(keys)
