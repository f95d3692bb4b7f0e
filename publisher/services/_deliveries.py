"""Firehose's ``PutRecordBatch`` in JSON 1.1: body made, and answer read, by hand."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as json_string
from typing import Any

from .._engine.contract import Accepted, Fast
from ._json import reader

NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
NAME_RULE = "1 to 64 letters, digits, underscores, hyphens and periods"
#: The source is that of a stream which reads another: nobody may put records in.
FINAL = ("ResourceNotFoundException", "InvalidKMSResourceException", "InvalidSourceException")
CAUSES = {
    "InvalidKMSResourceException": (
        "the stream's KMS key is disabled, gone or not permitted",
        "see to the key and its policy",
    ),
    "InvalidSourceException": (
        "the stream reads another one: nobody may put records in",
        "put them into its source",
    ),
    "ServiceUnavailableException": (
        "more than the stream takes in a second, or Firehose is down",
        "ask AWS for a higher quota of the stream",
    ),
}


def usual_call(params: Mapping[str, Any], largest: int) -> Accepted | None:
    """A ``put_record`` as most are, in one breath: bytes or ASCII text; None for any other."""
    stream, record = params.get("DeliveryStreamName"), params.get("Record")
    if len(params) == 2 and type(stream) is str and type(record) is dict and len(record) == 1:
        data = record.get("Data")
        if type(data) is str and data.isascii():
            data = data.encode()
        if type(data) is bytes and len(data) <= largest:
            return stream, data, len(data)
    return None


def usual_records(
    records: Sequence[Any], largest: int
) -> tuple[Sequence[bytes], Sequence[int]] | None:
    """Entries and sizes of records as most are; None where one has to be looked at more closely."""
    if set(map(type, records)) != {dict} or set(map(len, records)) != {1}:
        return None
    datas = [record.get("Data") for record in records]
    if set(map(type, datas)) != {bytes}:
        return None
    sizes = list(map(len, datas))
    return None if max(sizes) > largest else (datas, sizes)


def _encode(address: str, entries: Sequence[bytes]) -> tuple[dict[str, Any], bytes]:
    datas = b'"}, {"Data": "'.join([b2a_base64(entry, newline=False) for entry in entries])
    name = json_string(address).encode()
    body = b'{"Records": [{"Data": "%b"}], "DeliveryStreamName": %b}' % (datas, name)
    return {"DeliveryStreamName": address}, body


FAST = Fast(
    protocol="json",
    stub=[{"Data": b""}],
    encode=_encode,
    read=reader(
        "RequestResponses",
        ("RecordId", "ErrorCode", "ErrorMessage"),
        ("FailedPutCount", "Encrypted", "RequestResponses"),
    ),
    largest=1024 * 1024,  # 2 KiB for each of 500 records
)
