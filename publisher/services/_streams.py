"""Which stream: Kinesis names one in three ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidMessage
from ._by_position import ByPosition
from ._checks import check_str, shown_address
from ._keys import shard_of_four

_SHARD = re.compile(r"shardId-\d{1,20}")
#: Of each parameter that names a stream: pattern, and what it says.
_RULES = {
    "StreamName": (
        re.compile(r"[a-zA-Z0-9_.-]{1,128}"),
        "must have 1 to 128 letters, digits, underscores, hyphens and periods",
    ),
    "StreamARN": (
        re.compile(
            r"arn:aws[a-z-]*:kinesis:[a-z0-9-]{1,63}:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}"
        ),
        "is not of the form arn:aws:kinesis:region:account:stream/name",
    ),
    "StreamId": (
        re.compile(r"[a-z0-9]{20}-[a-z0-9]{3}"),
        "must be 20 letters or digits, a hyphen and 3 more",
    ),
}


#: What lies behind a throttled stream, and what to do.
TOO_MUCH = (
    "the stream takes no more: 1,000 records, 1 MiB/s a shard",
    "spread the partition keys, or add shards",
)


class ToStream(ByPosition):
    """A service whose destinations are Kinesis's streams.

    An address is the stream's name or, where the stream is named another way, a tuple of
    ``(parameter, value)`` pairs.
    """

    places = tuple(_RULES)

    def address(self, params: Mapping[str, Any]) -> Any:
        name = params.get("StreamName")
        if name is not None and "StreamARN" not in params and "StreamId" not in params:
            return check_str("StreamName", name)
        pairs = tuple(
            (parameter, check_str(parameter, params[parameter]))
            for parameter in _RULES
            if parameter in params
        )
        if not pairs:
            raise InvalidMessage("StreamName or StreamARN is needed to say which stream")
        return pairs

    def place(self, address: Any) -> dict[str, str]:
        return {"StreamName": address} if isinstance(address, str) else dict(address)

    def named(self, text: str) -> dict[str, str]:
        return {"StreamARN" if text.startswith("arn:") else "StreamName": text}

    def label(self, address: Any) -> str:
        return address if isinstance(address, str) else str(address[0][1]).rpartition("/")[2]

    def check_address(self, address: Any) -> None:
        for parameter, value in self.place(address).items():
            found = f"{parameter} ({shown_address(value)})"
            if not value:  # boto3 does not send it
                raise InvalidMessage(f"{found} is empty; 1 to 128 are allowed ({self.source})")
            pattern, words = _RULES[parameter]
            if not pattern.fullmatch(value):
                raise self.refused(f"{found} {words} ({self.source})")

    def shard_in(self, text: str) -> str:
        found = _SHARD.search(text)
        return found.group() if found else ""

    def receipt_of(self, response: Mapping[str, Any]) -> str:
        return f"{response['ShardId']}, SequenceNumber {response['SequenceNumber']}"

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        shard = shard_of_four(params.get("PartitionKey", ""))
        return {"SequenceNumber": f"49{number:054}", "ShardId": shard}
