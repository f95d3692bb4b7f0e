"""What the demo sends: the lines of the built-in sample, or of a file of the user's."""

from __future__ import annotations

import gzip
import re
import zlib
from importlib import resources
from pathlib import Path

LONGEST = 256_000
"""Bytes of the longest line: SNS's default limit is 262,144 with the message's attributes."""

_GZIP_MAGIC = b"\x1f\x8b"

# What an SQS message may not hold: everything outside of XML 1.0's characters.
_REFUSED_BY_SQS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class InputError(Exception):
    """The input cannot be sent; the text is one line for the person who named it."""


def read(path: Path | None) -> list[str]:
    """Return the lines of `path`, or of the sample; empty ones are left out.

    A gzip-compressed file is unpacked, whatever its name. Lines end in LF or CRLF, and in nothing
    else. Raises `InputError` if there is nothing to send or something that cannot be sent.
    """
    name = str(path) if path else "the sample"
    try:
        if path is None:
            packed = resources.files(__package__).joinpath("sample.log").read_bytes()
        else:
            packed = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from None
    lines: list[str] = []
    for number, line in enumerate(_unpacked(packed, name).split(b"\n"), start=1):
        checked = _checked(line.removesuffix(b"\r"), f"{name}, line {number}")
        if checked:
            lines.append(checked)
    if not lines:
        raise InputError(f"{name} has no lines to send")
    return lines


def _unpacked(packed: bytes, name: str) -> bytes:
    if not packed.startswith(_GZIP_MAGIC):
        if packed and name.endswith(".gz"):
            raise InputError(f"{name} is not a gzip file")
        return packed
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name} is a damaged gzip file: {error}") from None


def _checked(line: bytes, where: str) -> str:
    if len(line) > LONGEST:
        raise InputError(f"{where}: {len(line):,} bytes; at most {LONGEST:,} fit into a message")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 (byte {error.start + 1} of the line)") from None
    refused = _REFUSED_BY_SQS.search(text)
    if refused:
        code = ord(refused.group())
        raise InputError(f"{where}: SQS takes no character U+{code:04X}")
    return text
