"""The services' real limits, for servers that enforce them: sizes, counts, and shard throughput.

Sources: the SNS and Kinesis API references (Publish, PublishBatch, PutRecord, PutRecords) and the
Kinesis quotas page (1,000 records and 1 MiB per second and shard).
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Container, Mapping

from tests.servers.wire import Entry, Error, Failure, Request, shard_of

KIB = 1024
MIB = 1024 * 1024
SNS_BYTES = 256 * KIB
SQS_BYTES = MIB
KINESIS_BYTES = 10 * MIB
FIREHOSE_BYTES = 4 * MIB
FIREHOSE_RECORD = 1000 * KIB
EVENTS_BYTES = MIB
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclasses.dataclass(frozen=True)
class ShardLimit:
    """What a shard takes per second; a full bucket holds one second's worth."""

    records: float = 1000
    bytes: float = MIB


class ShardThrottle:
    """A token bucket for records and one for bytes, per stream and shard. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _buckets: (stream, shard) -> records, bytes, when
        self._buckets: dict[tuple[str, int], tuple[float, float, float]] = {}

    def refused(
        self,
        request: Request,
        shards: int,
        limit: ShardLimit,
        now: float,
        skip: Container[int] = (),
    ) -> dict[int, Failure]:
        """Takes tokens for the request's records; a failure for each that found too few."""
        failures = {}
        with self._lock:
            for index, entry in enumerate(request.entries):
                if index in skip:
                    continue
                shard = shard_of(entry, shards)
                if not self._take_locked((entry.destination, shard), entry.size, limit, now):
                    failures[index] = Failure(
                        "ProvisionedThroughputExceededException",
                        f"Rate exceeded for shard shardId-{shard:012} in stream "
                        f"{entry.destination} under account 000000000000.",
                    )
        return failures

    def _take_locked(self, key: tuple[str, int], size: int, limit: ShardLimit, now: float) -> bool:
        records, volume, since = self._buckets.get(key, (limit.records, limit.bytes, now))
        passed = max(0.0, now - since)
        records = min(limit.records, records + passed * limit.records)
        volume = min(limit.bytes, volume + passed * limit.bytes)
        # A record larger than the bucket passes when the bucket is full, and leaves it in debt:
        # otherwise it could never be written.
        taken = records >= 1 and volume >= min(size, limit.bytes)
        if taken:
            records, volume = records - 1, volume - size
        self._buckets[key] = (records, volume, max(since, now))
        return taken


def violation(request: Request, topics: Mapping[str, Mapping[str, str]]) -> Error | None:
    """The error with which AWS would reject the whole request, if any.

    `topics` holds the attributes of the topics that are known, by ARN.
    """
    if request.operation in ("PublishBatch", "Publish"):
        attributes = topics.get(str(request.params.get("TopicArn", "")), {})
        return _sns(request, attributes)
    if request.operation in ("SendMessageBatch", "SendMessage"):
        return _sqs(request)
    if request.service == "firehose":
        return _firehose(request)
    if request.operation == "PutEvents":
        return _events(request)
    if request.operation in ("PutRecords", "PutRecord"):
        return _kinesis(request)
    return None


def _sns(request: Request, topic: Mapping[str, str]) -> Error | None:
    entries = request.entries
    largest = int(topic.get("MaximumMessageSize", SNS_BYTES))
    total = sum(entry.size for entry in entries)
    if request.operation == "Publish":
        if total > largest:
            return Error(400, "InvalidParameter", "Invalid parameter: Message too long")
        return _message(entries[0], topic)
    if not entries:
        return Error(400, "EmptyBatchRequest", "The batch request contains no entries.")
    if len(entries) > 10:
        return Error(
            400,
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request is 10. You have sent {len(entries)}.",
        )
    ids = [entry.id or "" for entry in entries]
    for one in ids:
        if not _ID.fullmatch(one):
            return Error(400, "InvalidBatchEntryId", f"Not a valid batch entry id: {one!r}.")
    if len(set(ids)) < len(ids):
        return Error(400, "BatchEntryIdsNotDistinct", "Two or more batch entries have one Id.")
    if total > largest:
        return Error(
            400,
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {largest} bytes. You have sent {total} bytes.",
        )
    return next((error for entry in entries if (error := _message(entry, topic))), None)


def _message(entry: Entry, topic: Mapping[str, str]) -> Error | None:
    if not entry.data:
        return Error(400, "InvalidParameter", "Invalid parameter: Empty message")
    for name, (kind, value) in entry.attributes.items():
        if not value or not kind:
            return Error(
                400,
                "ParameterValueInvalid",
                f"The message attribute {name!r} must have a type and a value.",
            )
    if not entry.destination.endswith(".fifo"):
        return None
    if not entry.group_id:
        return Error(
            400,
            "InvalidParameter",
            "Invalid parameter: The MessageGroupId parameter is required for FIFO topics",
        )
    # Whether a topic that was not created here de-duplicates by content is not known.
    if topic and not entry.deduplication_id and topic.get("ContentBasedDeduplication") != "true":
        return Error(
            400,
            "InvalidParameter",
            "Invalid parameter: The topic should either have ContentBasedDeduplication "
            "enabled or MessageDeduplicationId provided explicitly",
        )
    return None


def _sqs(request: Request) -> Error | None:
    entries, prefix = request.entries, "AWS.SimpleQueueService."
    if not entries:
        return Error(400, f"{prefix}EmptyBatchRequest", "There should be at least one entry.")
    if len(entries) > 10:
        return Error(400, f"{prefix}TooManyEntriesInBatchRequest", f"You sent {len(entries)}.")
    ids = [entry.id or "" for entry in entries]
    if request.operation == "SendMessageBatch":
        if not all(map(_ID.fullmatch, ids)):
            return Error(400, f"{prefix}InvalidBatchEntryId", "An Id is not valid.")
        if len(set(ids)) < len(ids):
            return Error(400, f"{prefix}BatchEntryIdsNotDistinct", "Two entries have one Id.")
    if sum(entry.size for entry in entries) > SQS_BYTES:
        return Error(400, f"{prefix}BatchRequestTooLong", f"More than {SQS_BYTES} bytes.")
    for entry in entries:
        if not entry.data or (entry.destination.endswith(".fifo") and not entry.group_id):
            return Error(400, "MissingParameter", "A body, or a group, is missing.")
    return None


def _kinesis(request: Request) -> Error | None:
    entries = request.entries
    if not entries or len(entries) > 500:
        return Error(
            400,
            "ValidationException",
            f"'records' must have between 1 and 500 members, not {len(entries)}.",
        )
    for index, entry in enumerate(entries, 1):
        if not 1 <= len(entry.partition_key or "") <= 256:
            return Error(
                400,
                "ValidationException",
                f"'records.{index}.member.partitionKey' must have 1 to 256 characters.",
            )
        if entry.size > KINESIS_BYTES:
            return Error(
                400,
                "ValidationException",
                f"'records.{index}.member' must have at most {KINESIS_BYTES} bytes.",
            )
    if sum(entry.size for entry in entries) > KINESIS_BYTES:
        return Error(400, "InvalidArgumentException", "Records size exceeds 10 MB limit")
    return None


def _firehose(request: Request) -> Error | None:
    entries = request.entries
    if not entries or len(entries) > 500:
        return Error(
            400,
            "ValidationException",
            f"'records' must have between 1 and 500 members, not {len(entries)}.",
        )
    for index, entry in enumerate(entries, 1):
        if entry.size > FIREHOSE_RECORD:
            return Error(
                400,
                "ValidationException",
                f"'records.{index}.member.data' must have at most {FIREHOSE_RECORD} bytes.",
            )
    if sum(entry.size for entry in entries) > FIREHOSE_BYTES:
        return Error(400, "InvalidArgumentException", "Records size exceeds 4 MB limit")
    return None


def _events(request: Request) -> Error | None:
    entries = request.entries
    if not entries or len(entries) > 10:
        return Error(
            400,
            "ValidationException",
            f"'entries' must have between 1 and 10 members, not {len(entries)}.",
        )
    needed = ("Source", "DetailType", "Detail")
    missing = [name for name in needed for entry in entries if not entry.event.get(name)]
    if not any(all(entry.event.get(name) for name in needed) for entry in entries):
        text = f"Parameter {missing[0]} is not valid. Reason: {missing[0]} is a required argument."
        return Error(400, "ValidationException", text)
    if sum(entry.size for entry in entries) > EVENTS_BYTES:
        return Error(
            400,
            "ValidationException",
            "Total size of the entries in the request is over the limit.",
        )
    return None
