"""What decides on a Kinesis record's shard: its partition key, or an explicit hash key."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import botocore.session

from ..errors import InvalidMessage, RefusedMessage
from ._checks import check_str, missing, utf8_size

MAX_KEY = 256  # characters
SOURCE = "https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html"
_RANGE = "https://docs.aws.amazon.com/kinesis/latest/APIReference/API_HashKeyRange.html"
_HASH_KEY = re.compile(r"0|[1-9][0-9]{0,38}")
_MAX_HASH_KEY = 2**128 - 1
#: No shard has this hash key: Kinesis refuses the record, and stores nothing.
TOO_HIGH = str(_MAX_HASH_KEY + 1)


def checked_key(params: Mapping[str, Any]) -> tuple[str, int]:
    """A record's partition key, and its bytes; empty where it has none and boto3 sends that too.

    Raises InvalidMessage.
    """
    if "PartitionKey" not in params:
        if needs_key():
            raise missing("put_record()", "PartitionKey")
        return "", 0
    key = check_str("PartitionKey", params["PartitionKey"])
    wrong = f"PartitionKey has {len(key)} characters; 1 to {MAX_KEY} are allowed ({SOURCE})"
    if not key:  # boto3 does not send it
        raise InvalidMessage(wrong)
    if len(key) > MAX_KEY:
        raise RefusedMessage(wrong, "ValidationException", "put_record")
    return key, len(key) if key.isascii() else utf8_size(key, "PartitionKey")


def checked_hash_key(value: Any) -> str:
    """An explicit hash key. Raises InvalidMessage."""
    hash_key = check_str("ExplicitHashKey", value)
    found = f"ExplicitHashKey (str of {len(hash_key)} characters)"
    if not _HASH_KEY.fullmatch(hash_key):
        raise RefusedMessage(
            f"{found} must be a decimal number of up to 39 digits, no leading zeros ({SOURCE})",
            "ValidationException",
            "put_record",
        )
    if int(hash_key) > _MAX_HASH_KEY:
        raise RefusedMessage(
            f"{found} must be at most 2**128 - 1 ({_RANGE})",
            "InvalidArgumentException",
            "put_record",
        )
    return hash_key


@functools.cache
def needs_key() -> bool:
    """Whether botocore's model has the key as required, as those before 2026 have.

    Asked at the first record without one, for reading the model takes some milliseconds.
    """
    model = botocore.session.get_session().get_service_model("kinesis")
    return "PartitionKey" in model.shape_for("PutRecordsRequestEntry").required_members


def shard_of_four(key: Any) -> str:
    """The shard of a stream of four that a partition key leads to."""
    place = hashlib.md5(str(key).encode(), usedforsecurity=False).hexdigest()
    return f"shardId-{int(place, 16) >> 126:012}"
