"""Kinesis's records, and ``PutRecords`` in JSON 1.1: body made, and answer read, by hand."""

from __future__ import annotations

import operator
import re
from binascii import b2a_base64
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as json_string
from typing import Any

from .._engine.contract import Fast
from ._json import reader
from ._keys import MAX_KEY
from ._stored import dump, dump_keyed


def record(entry: Any) -> dict[str, Any]:
    """boto3's parameters of an entry."""
    made = {"Data": entry[0]}
    if entry[1]:
        made["PartitionKey"] = entry[1]
    if len(entry) == 3:
        made["ExplicitHashKey"] = entry[2]
    return made


def dump_record(_: Any, entry: Any) -> bytes:
    """As a service's ``dump``, by the short way where an entry is as most are."""
    return dump_keyed(*entry) if len(entry) == 2 and entry[1] else dump(record(entry))


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

    Put together in one go: a large batch is worth not being copied once more.
    """
    pairs = {"StreamName": address} if isinstance(address, str) else dict(address)
    texts = [entry[1] for entry in entries]
    keys = json_texts(texts)
    for index, entry in enumerate(entries):
        if len(entry) == 3:  # a hash key is all digits
            keys[index] += b'", "ExplicitHashKey": "' + entry[2].encode()
    count = len(entries)
    parts = [b'"}, {"Data": "'] * (4 * count + 1)
    parts[0] = b'{"Records": [{"Data": "'
    parts[1::4] = [b2a_base64(entry[0], newline=False) for entry in entries]
    parts[2::4] = [b'", "PartitionKey": "'] * count
    parts[3::4] = keys
    if "" in texts:  # a record without a key
        for index, text in enumerate(texts):
            if not text:
                parts[2 + 4 * index] = b""
    rest = "".join(f", {json_string(name)}: {json_string(value)}" for name, value in pairs.items())
    parts[-1] = b'"}]%b}' % rest.encode()
    return pairs, b"".join(parts)


def json_texts(texts: Sequence[str]) -> list[bytes]:
    """What stands between the quotes of each text in JSON; most texts stand there as they are."""
    together = "".join(texts)
    if together.isascii() and together.isprintable() and not _QUOTED_IN_JSON.search(together):
        return [text.encode() for text in texts]
    return [json_string(text)[1:-1].encode() for text in texts]


_QUOTED_IN_JSON = re.compile(r'["\\]')


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
