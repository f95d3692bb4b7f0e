"""Firehose's ``PutRecordBatch`` in JSON 1.1: body made, and answer read, by hand."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as json_string
from typing import Any

from .._engine.contract import Fast
from ._json import reader

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
