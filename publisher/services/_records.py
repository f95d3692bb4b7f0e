"""Kinesis's records, and ``PutRecords`` in JSON 1.1: body made, and answer read, by hand."""

from __future__ import annotations

import operator
from binascii import b2a_base64
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as json_string
from typing import Any

from .._engine.contract import Fast
from ._json import reader
from ._keys import MAX_KEY
from ._stored import dump, dump_keyed, load_keyed

#: Bytes of one record. A name of a module costs each call less than an attribute of the class.
MAX_RECORD = 10 * 1024 * 1024


def record(entry: Any) -> dict[str, Any]:
    """boto3's parameters of an entry."""
    made = {"Data": entry[0]}
    if entry[1]:
        made["PartitionKey"] = entry[1]
    if len(entry) == 3:
        made["ExplicitHashKey"] = entry[2]
    return made


class KeyedRecords:
    """How entries of data and a key are kept: by a short way where they are as most are."""

    def dump(self, entry: Any) -> bytes:
        return dump_keyed(*entry) if len(entry) == 2 and entry[1] else dump(record(entry))

    def load_all(self, datas: Sequence[bytes]) -> tuple[Sequence[Any], Sequence[int]] | None:
        try:
            pairs = list(map(load_keyed, datas))
        except ValueError:
            other: tuple[Sequence[Any], Sequence[int]] | None = super().load_all(datas)  # type: ignore[misc]
            return other
        return usual_pairs([data for data, _ in pairs], [key for _, key in pairs], MAX_RECORD)


def measured(entries: Sequence[Any]) -> int:
    """Bytes of entries, their keys included."""
    keys = "".join([entry[1] for entry in entries])
    size = len(keys) if keys.isascii() else len(keys.encode())
    return size + sum([len(entry[0]) for entry in entries])


def usual_records(
    records: Sequence[Any], largest: int
) -> tuple[Sequence[Any], Sequence[int]] | None:
    """Entries and sizes of records as most are; None where one has to be looked at more closely.

    A pass of all of them for each check: half the time of a look at one after the other.
    """
    if set(map(type, records)) != {dict} or set(map(len, records)) != {2}:
        return None
    try:
        datas = [record["Data"] for record in records]
        keys = [record["PartitionKey"] for record in records]
    except KeyError:
        return None
    return usual_pairs(datas, keys, largest)


def usual_pairs(
    datas: Sequence[Any], keys: Sequence[Any], largest: int
) -> tuple[Sequence[Any], Sequence[int]] | None:
    """As :func:`usual_records`, of the records' data and keys."""
    if set(map(type, datas)) != {bytes} or set(map(type, keys)) != {str}:
        return None
    lengths = list(map(len, keys))
    if not ("".join(keys).isascii() and min(lengths) > 0 and max(lengths) <= MAX_KEY):
        return None
    sizes = list(map(operator.add, map(len, datas), lengths))
    if max(sizes) > largest:
        return None
    return list(zip(datas, keys, strict=True)), sizes


def encode_records(address: Any, entries: Sequence[Any]) -> tuple[dict[str, Any], bytes]:
    """``PutRecords`` to a stream, as botocore's serialiser would write it.

    Returns the parameters beside the records, and the body.

    What stands between the records' data is one text, cut where they go: few steps for each record.
    A large batch is worth not being copied once more, so body and data meet in one go.
    """
    pairs = {"StreamName": address} if isinstance(address, str) else dict(address)
    rest = "".join(f", {json_string(name)}: {json_string(value)}" for name, value in pairs.items())
    usual = _usual_keys(entries)
    if usual is None:
        between = f'"}}, {{"Data": "{_CUT}'.join([_after_data(*entry) for entry in entries])
    else:
        key = '", "PartitionKey": "'
        between = key + f'"}}, {{"Data": "{_CUT}{key}'.join(usual)
    text = f'{{"Records": [{{"Data": "{_CUT}{between}"}}]{rest}}}'
    parts = [b""] * (2 * len(entries) + 1)
    parts[::2] = text.encode().split(_CUT.encode())
    parts[1::2] = [b2a_base64(entry[0], newline=False) for entry in entries]
    return pairs, b"".join(parts)


def _usual_keys(entries: Sequence[Any]) -> list[str] | None:
    """The keys, where each record has one that stands in JSON as it is, and no hash key."""
    try:
        keys = [key for _, key in entries]
    except ValueError:
        return None
    together = "".join(keys)
    plain = together.isascii() and together.isprintable() and all(keys)
    return keys if plain and not ('"' in together or "\\" in together) else None


def _after_data(_: Any, key: str, hash_key: str = "") -> str:
    """What stands between a record's data and the quote that ends the record."""
    after = f'", "PartitionKey": {json_string(key)[:-1]}' if key else ""
    return f'{after}", "ExplicitHashKey": "{hash_key}' if hash_key else after  # which is all digits


#: Where the data of a record goes; JSON escapes it, so no key has it.
_CUT = "\0"


read_records = reader(
    "Records",
    ("SequenceNumber", "ShardId", "ErrorCode", "ErrorMessage"),
    ("FailedRecordCount", "Records", "EncryptionType"),
)


#: The largest answer: 2 KiB for each of 500 records.
FAST = Fast(
    protocol="json",
    stub=[{"Data": b"", "PartitionKey": "0"}],
    encode=encode_records,
    read=read_records,
    largest=1024 * 1024,
)
