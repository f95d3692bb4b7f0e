"""What the services' checks share."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidMessage

_SHOWN = 300  # characters of an address


def missing(where: str, parameter: str) -> InvalidMessage:
    """The error for a parameter that is not there."""
    return InvalidMessage(f"{where} needs the parameter {parameter}")


def shown_address(address: str) -> str:
    """A bad address for an error's text: itself where it is harmless, else its size.

    Harmless is a printable ARN that is no mobile endpoint's.
    """
    harmless = address.startswith("arn:") and address.isascii() and address.isprintable()
    if harmless and "endpoint/" not in address and len(address) <= _SHOWN:
        return repr(address)
    return f"str of {len(address)} characters"


def wrong_type(parameter: str, value: Any, expected: str) -> InvalidMessage:
    """The error for a value that is not ``expected``; names its type, never the value."""
    return InvalidMessage(f"{parameter} must be {expected}, not {type(value).__name__}")


def check_str(parameter: str, value: Any) -> str:
    """``value`` as a plain str: of a subclass, an ``Enum`` member say, its content.

    Raises InvalidMessage for anything else.
    """
    if not isinstance(value, str):
        raise wrong_type(parameter, value, "str")
    return value if type(value) is str else str.__str__(value)


def as_bytes(parameter: str, value: Any) -> bytes:
    """``value`` as bytes: what boto3 sends for a blob, and a memoryview.

    A copy: what the caller does to a bytearray afterwards does not change what is sent. Raises
    InvalidMessage for anything else.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        utf8_size(value, parameter)
        return value.encode()
    if hasattr(value, "read"):  # botocore's own test; what it then sends has the buffer of an mmap
        with contextlib.suppress(TypeError, ValueError, BufferError):
            return bytes(memoryview(value))
    raise wrong_type(parameter, value, "bytes, bytearray, memoryview, mmap or str")


def utf8_size(text: str, parameter: str) -> int:
    """Bytes of ``text`` in UTF-8.

    Raises InvalidMessage for lone surrogates, which have no UTF-8.
    """
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        place = error.start
    # raised out here, for the other exception carries the text
    raise InvalidMessage(
        f"{parameter} (str of {len(text)} characters) has a lone surrogate at {place}: it cannot be"
        " sent as UTF-8"
    )


def all_bytes(values: Sequence[Any]) -> Sequence[bytes] | None:
    """Bytes as they are, texts as UTF-8; None where they are of other types, or of several."""
    kinds = set(map(type, values))
    if kinds == {str}:
        try:
            return [value.encode() for value in values]
        except UnicodeEncodeError:
            return None
    return values if kinds == {bytes} else None
