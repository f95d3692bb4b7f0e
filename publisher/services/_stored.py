"""boto3's parameters of an entry as bytes, and back: for what keeps messages outside the process.

A byte of version, then name and value by turns. A name is its place in ``NAMES``, or a text; a
value is a byte of kind, its length and its content. What is read is somebody's data: it is bounded
in size and nesting, and whatever is wrong with it raises ValueError.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable, Mapping
from typing import Any

_VERSION = 1
#: Names of one byte. Only ever appended to: what was written before is read by them.
NAMES = (
    "Data",
    "PartitionKey",
    "ExplicitHashKey",
    "Message",
    "MessageBody",
    "Subject",
    "MessageStructure",
    "MessageDeduplicationId",
    "MessageGroupId",
    "MessageAttributes",
    "DataType",
    "StringValue",
    "BinaryValue",
    "DelaySeconds",
    "MessageSystemAttributes",
    "AWSTraceHeader",
    "Time",
    "Source",
    "Resources",
    "DetailType",
    "Detail",
    "EventBusName",
    "TraceHeader",
)
MAX_SIZE = 32 * 1024 * 1024  # bytes: three times the largest message of any service
MAX_DEPTH = 8
_CUT_OFF = "an entry that is cut off"
_OTHER_NAME = 255  # in place of a name's place: a text follows
_LONG = 255  # in place of a length of one byte: one of four follows

_BYTES, _TEXT, _INT, _FLOAT, _TIME, _LIST, _DICT, _TRUE, _FALSE, _NONE = range(10)
_PLACES = {name: bytes([place]) for place, name in enumerate(NAMES)}
_HEAD, _UNLISTED = bytes([_VERSION]), bytes([_OTHER_NAME])
_LENGTH = struct.Struct(">BBI")  # of a kind's content where it is long
_LONG_DATA = struct.Struct(">BBBBI").pack  # what stands before a record's data where that is long
_LONG_LENGTH = struct.Struct(">I").unpack_from
_SHORT = [
    [bytes([kind, length]) for length in range(_LONG)] for kind in range(10)
]  # by kind and length


_JOIN = b"".join
#: What stands before a record's key, by its length.
_KEYS = [_PLACES["PartitionKey"] + head for head in _SHORT[_TEXT]]
_DATA = NAMES.index("Data")
_LONG_DATA_HEAD = bytes([_VERSION, _DATA, _BYTES, _LONG])


class UnknownVersion(ValueError):
    """A later version of this package has written it."""


def dump(params: Mapping[str, Any]) -> bytes:
    """Those parameters as bytes; raises ValueError for what :func:`load` would not give back."""
    parts = [_HEAD]
    _add_items(parts, params, 0)
    data = b"".join(parts)
    if len(data) > MAX_SIZE:
        raise ValueError(f"{len(data):,} bytes of an entry; at most {MAX_SIZE:,} are kept")
    return data


def dump_keyed(data: bytes, key: str) -> bytes:
    """As :func:`dump`, of the data and the partition key of a record, in a fifth of the time."""
    content = key.encode()
    length, key_length = len(data), len(content)
    if length < _LONG or key_length >= _LONG:
        return dump({"Data": data, "PartitionKey": key})
    head = _LONG_DATA(_VERSION, _DATA, _BYTES, _LONG, length)
    return _JOIN((head, data, _KEYS[key_length], content))


def load_keyed(data: bytes) -> tuple[bytes, str]:
    """What :func:`dump_keyed` was given, where its data is long; ValueError for anything else."""
    if data[:4] != _LONG_DATA_HEAD or len(data) < 8:
        raise ValueError("no record with data of some length")
    after = 8 + _LONG_LENGTH(data, 4)[0]
    content = data[after + 3 :]
    if len(content) >= _LONG or data[after : after + 3] != _KEYS[len(content)]:
        raise ValueError("no record with a key alone behind its data")
    return data[8:after], content.decode()


def dump_text(name: str, text: str | bytes) -> bytes:
    """As :func:`dump`, of one text, or its UTF-8, under a name of ``NAMES``."""
    content = text if type(text) is bytes else text.encode()  # type: ignore[union-attr]
    length = len(content)
    head = _SHORT[_TEXT][length] if length < _LONG else _LENGTH.pack(_TEXT, _LONG, length)
    return _HEAD + _PLACES[name] + head + content


def load(data: bytes) -> dict[str, Any]:
    """What :func:`dump` was given. Raises ValueError for anything else than what it returned."""
    if not 0 < len(data) <= MAX_SIZE:
        raise ValueError(f"{len(data):,} bytes that are no entry")
    if data[0] > _VERSION:
        raise UnknownVersion(f"{len(data):,} bytes that are no entry of this version")
    if data[0] != _VERSION:
        raise ValueError(f"{len(data):,} bytes that are no entry of this version")
    try:
        return _items(data, 1, len(data), 0)
    except IndexError:
        pass
    raise ValueError(_CUT_OFF)


def _add_items(parts: list[bytes], params: Mapping[str, Any], depth: int) -> None:
    for name, value in params.items():
        place = _PLACES.get(name)
        if place is None:
            parts.append(_UNLISTED)
            _add(parts, _TEXT, name.encode())
        else:
            parts.append(place)
        of = type(value)
        if of is str:
            kind, content = _TEXT, value.encode()
        elif of is bytes:
            kind, content = _BYTES, value
        else:
            _add_other(parts, value, depth + 1)
            continue
        length = len(content)  # as `_add` does, without the call
        if length < _LONG:
            parts += (_SHORT[kind][length], content)
        else:
            parts += (_LENGTH.pack(kind, _LONG, length), content)


def _add(parts: list[bytes], kind: int, content: bytes) -> None:
    length = len(content)
    head = _SHORT[kind][length] if length < _LONG else _LENGTH.pack(kind, _LONG, length)
    parts += (head, content)


def _add_other(parts: list[bytes], value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"an entry of more than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        inner: list[bytes] = []
        _add_items(inner, value, depth)
        _add(parts, _DICT, b"".join(inner))
    elif isinstance(value, (list, tuple)):
        inner = []
        for each in value:
            _add_other(inner, each, depth + 1)
        _add(parts, _LIST, b"".join(inner))
    else:
        _add(parts, *_plain(value))


def _plain(value: Any) -> tuple[int, bytes]:
    """Kind and content of a value that is no dict and no list."""
    for kind, (of, write, _) in _PLAIN.items():
        if type(value) is of:
            return kind, write(value)
    for kind, constant in _CONSTANTS.items():
        if value is constant:
            return kind, b""
    raise ValueError(f"an entry with a {type(value).__name__}, which is not kept")


_CONSTANTS = {_TRUE: True, _FALSE: False, _NONE: None}
_PLAIN: dict[int, tuple[type, Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    _BYTES: (bytes, bytes, bytes),
    _TEXT: (str, str.encode, bytes.decode),
    _INT: (int, lambda value: b"%d" % value, int),
    _FLOAT: (float, lambda value: repr(value).encode(), float),
    _TIME: (
        dt.datetime,
        lambda value: value.isoformat().encode(),
        lambda content: dt.datetime.fromisoformat(content.decode()),
    ),
}


def _items(data: bytes, at: int, end: int, depth: int) -> dict[str, Any]:
    params: dict[str, Any] = {}
    while at < end:
        place = data[at]
        if place == _OTHER_NAME:
            name, at = _value(data, at + 1, end, depth)
            if type(name) is not str:
                raise ValueError("an entry with a name that is no text")
        elif place < len(NAMES):
            name, at = NAMES[place], at + 1
        else:
            raise ValueError("an entry with a name that this version does not know")
        if name in params:
            raise ValueError("an entry with a name that stands twice")
        kind, length = data[at], data[at + 1]
        if kind > _TEXT:
            params[name], at = _value(data, at, end, depth + 1)
            continue
        at += 2  # as `_value` does, without the call
        if length == _LONG:
            length = int.from_bytes(data[at : at + 4], "big")
            at += 4
        content = data[at : at + length]
        at += length
        if at > end:
            raise ValueError(_CUT_OFF)
        params[name] = content if kind == _BYTES else content.decode()
    return params


def _value(data: bytes, at: int, end: int, depth: int) -> tuple[Any, int]:
    kind, length = data[at], data[at + 1]
    at += 2
    if length == _LONG:
        length = int.from_bytes(data[at : at + 4], "big")
        at += 4
    after = at + length
    if after > end:
        raise ValueError(_CUT_OFF)
    if kind == _BYTES:
        return data[at:after], after
    if kind in _PLAIN:
        return _PLAIN[kind][2](data[at:after]), after
    if kind in _CONSTANTS and not length:
        return _CONSTANTS[kind], after
    if depth > MAX_DEPTH:
        raise ValueError(f"an entry of more than {MAX_DEPTH} levels")
    if kind == _DICT:
        return _items(data, at, after, depth), after
    if kind == _LIST:
        return _members(data, at, after, depth), after
    raise ValueError("an entry with a value of an unknown kind")


def _members(data: bytes, at: int, end: int, depth: int) -> list[Any]:
    values = []
    while at < end:
        value, at = _value(data, at, end, depth + 1)
        values.append(value)
    return values
