"""Kinesis Data Streams: ``put_record`` travels in ``PutRecords``, matched by position."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import Accepted, Limits
from ._checks import all_bytes, as_bytes
from ._keys import MAX_KEY, SOURCE, TOO_HIGH, checked_hash_key, checked_key
from ._records import FAST, MAX_RECORD, KeyedRecords, measured, record, usual_pairs, usual_records
from ._streams import TOO_MUCH, ToStream
from ._tabled import verdicts
from .words.kinesis import WORDS


class Kinesis(KeyedRecords, ToStream):
    """An entry is ``(data, key)`` or ``(data, key, explicit hash key)``; no key is an empty one."""

    name, system, words = "kinesis", "aws.kinesis", WORDS
    single, batch, entries_parameter = "put_record", "put_records", "Records"
    needs, has_key = ("Data",), True
    parts = frozenset({"Data", "PartitionKey", "ExplicitHashKey"})
    # Larger records are for streams with a raised MaxRecordSize: elsewhere one of them would have
    # its whole request refused.
    limits = Limits(entries=500, bytes=10 * 1024 * 1024, together=1024 * 1024)
    max_message = MAX_RECORD
    source = max_message_source = SOURCE
    outcomes_in, failed_count = "Records", "FailedRecordCount"
    single_answer, receipt = ("ShardId", "SequenceNumber"), "SequenceNumber"
    permission, single_permission = "kinesis:PutRecords", "kinesis:PutRecord"
    fast = FAST
    option, option_help = "stream", "name or ARN of a Kinesis stream"
    look = "describe_stream_summary"
    refusal = "ValidationException"
    throttled, throttles_entries = "ProvisionedThroughputExceededException", True
    probe_codes = frozenset(
        {"DryRunOperationException", "InvalidArgumentException", "ValidationException"}
    )
    verdicts: ClassVar = verdicts(
        final=("ResourceNotFoundException", "DryRunOperationException"),
        split=("InvalidArgumentException",),
    )
    causes: ClassVar = {throttled: TOO_MUCH}

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        if len(params) == 3 and "Data" in params and "PartitionKey" in params:
            # A record as most are: bytes or ASCII text, and an ASCII key.
            data, key, stream = params["Data"], params["PartitionKey"], params.get("StreamName")
            if type(data) is str and data.isascii():
                data = data.encode()
            if type(data) is bytes and type(key) is str and type(stream) is str and key.isascii():
                size = len(data) + len(key)
                if 0 < len(key) <= MAX_KEY and size <= MAX_RECORD:
                    return stream, (data, key), size
        return super().accept(params)

    def entry(self, params: Mapping[str, Any]) -> tuple[Any, int]:
        data = params["Data"]
        if type(data) is not bytes:
            data = as_bytes("Data", data)
        key, key_size = checked_key(params)
        size = len(data) + key_size
        if size > self.max_message:
            raise self.too_large(f"Data and PartitionKey have {size:,} bytes together")
        if "ExplicitHashKey" in params:
            return (data, key, checked_hash_key(params["ExplicitHashKey"])), size
        return (data, key), size

    def usual(self, entries: Sequence[Any]) -> tuple[Sequence[Any], Sequence[int]] | None:
        return usual_records(entries, self.max_message)

    def measure(self, entry: Any) -> int:
        data, key = entry[:2]
        return len(data) + (len(key) if key.isascii() else len(key.encode()))

    def measure_all(self, entries: Sequence[Any]) -> int:
        return measured(entries)

    def params(self, entry: Any) -> dict[str, Any]:
        return record(entry)

    def message(self, text: bytes | str, key: str, **details: str) -> dict[str, Any]:
        return {"Data": text, "PartitionKey": key}

    def plain(
        self, bodies: Sequence[Any], keys: Sequence[Any]
    ) -> tuple[Sequence[Any], Sequence[int]] | None:
        datas = all_bytes(bodies)
        return None if datas is None else usual_pairs(datas, keys, self.max_message)

    def body(self, params: Mapping[str, Any]) -> bytes:
        return bytes(params["Data"])

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        record = {"Data": b"never stored", "PartitionKey": "doctor", "ExplicitHashKey": TOO_HIGH}
        return {"Records": [record], **({"DryRun": True} if "DryRun" in known else {})}
