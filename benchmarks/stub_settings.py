"""How a destination of the stub endpoint behaves, and its shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import md5
from typing import Any


@dataclass
class Settings:
    """How one destination behaves; limits are a second and shard, 0 is none."""

    latency: float = 0.02
    failure_rate: float = 0.0
    shards: int = 1
    shard_records: float = 0.0
    shard_bytes: float = 0.0
    levels: dict[int, tuple[float, float, float]] = field(default_factory=dict, repr=False)

    @property
    def plain(self) -> bool:
        """Whether every entry succeeds, so that no entry needs to be looked at."""
        return not (self.failure_rate or self.shard_records or self.shard_bytes)

    def shard(self, key: str) -> int:
        """Return the shard of a partition key: the hash range that its MD5 falls in."""
        digest = md5(key.encode(), usedforsecurity=False).digest()
        return min(int.from_bytes(digest, "big") // (2**128 // self.shards), self.shards - 1)

    def admits(self, shard: int, size: int, now: float) -> bool:
        """Take a record of `size` bytes from the shard's bucket, which holds a second's worth."""
        if not (self.shard_records or self.shard_bytes):
            return True
        records = self.shard_records or float("inf")
        volume = self.shard_bytes or float("inf")
        left_records, left_bytes, at = self.levels.get(shard, (records, volume, now))
        left_records = (
            min(records, left_records + (now - at) * records) if records < 1e18 else records
        )
        left_bytes = min(volume, left_bytes + (now - at) * volume) if volume < 1e18 else volume
        admitted = left_records >= 1 and left_bytes >= size
        if admitted:
            left_records, left_bytes = left_records - 1, left_bytes - size
        self.levels[shard] = (left_records, left_bytes, now)
        return admitted


def decoded_size(data: str) -> int:
    """Return how many bytes a base64 text stands for."""
    return len(data) * 3 // 4 - data.endswith("=") - data.endswith("==")


def shards(count: int) -> list[dict[str, Any]]:
    """Return `count` shards that divide the hash range evenly, as ListShards describes them."""
    step = 2**128 // count
    return [
        {
            "ShardId": f"shardId-{number:012d}",
            "HashKeyRange": {
                "StartingHashKey": str(number * step),
                "EndingHashKey": str((number + 1) * step - 1 if number < count - 1 else 2**128 - 1),
            },
            "SequenceNumberRange": {"StartingSequenceNumber": "4954" + "0" * 52},
        }
        for number in range(count)
    ]
