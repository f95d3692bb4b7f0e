"""Kinesis Data Streams: ``put_record`` travels in ``PutRecords``, matched by position."""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import Accepted, Limits, Verdict
from ..errors import InvalidMessage
from ._by_position import ByPosition
from ._checks import as_bytes, check_str, missing, shown_address, wrong_type
from ._keys import MAX_KEY, SOURCE, checked_hash_key, checked_key, needs_key
from ._records import FAST

_ADDRESS = ("StreamName", "StreamARN", "StreamId")
_STREAM_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_STREAM_ARN = re.compile(
    r"arn:aws[a-z-]*:kinesis:[a-z0-9-]{1,63}:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}"
)
_STREAM_ID = re.compile(r"[a-z0-9]{20}-[a-z0-9]{3}")
_SHARD = re.compile(r"shardId-\d{1,20}")
#: No shard has this hash key: Kinesis refuses the record, and stores nothing.
_TOO_HIGH = str(2**128)
_TABLE = frozenset({"Data", "PartitionKey", "ExplicitHashKey", *_ADDRESS})
_RECORD = frozenset({"Data", "PartitionKey", "ExplicitHashKey"})


class Kinesis(ByPosition):
    """Kinesis Data Streams.

    An entry is ``(data, key)`` or ``(data, key, explicit hash key)``, the key empty where the
    record has none; an address is the stream's name or, where the stream is named another way, a
    tuple of ``(parameter, value)`` pairs.
    """

    name = "kinesis"
    single, batch, entries_parameter = "put_record", "put_records", "Records"
    words: ClassVar = {
        "put_record": (
            "Put a record into a Kinesis stream in the background.",
            {
                "Data": "bytes or str: the record, up to 1 MiB with its key (10 MiB where the"
                " stream allows).",
                "PartitionKey": "str, optional: up to 256 characters; its hash picks the shard.",
                "StreamName": "str, optional: the stream; or StreamARN, or StreamId.",
                "StreamARN": "str, optional: the stream.",
                "StreamId": "str, optional: the stream.",
                "ExplicitHashKey": "str, optional: picks the shard in place of the key.",
                "SequenceNumberForOrdering": "str, optional: keeps the record out of batches.",
                "DryRun": "bool, optional: asks whether it is allowed; nothing is stored.",
            },
            '``{"ShardId": ..., "SequenceNumber": ...}``',
        ),
        "put_records": (
            "Put any number of records into one Kinesis stream, in as many requests as needed.",
            {
                "Records": 'list of dict: {"Data": ..., "PartitionKey": ...}, and'
                ' "ExplicitHashKey" where it is wanted.',
                "StreamName": "str, optional: the stream; or StreamARN, or StreamId.",
                "StreamARN": "str, optional: the stream.",
                "StreamId": "str, optional: the stream.",
                "DryRun": "bool, optional: asks whether it is allowed; nothing is stored.",
            },
            '``{"FailedRecordCount": ..., "Records": [...]}``, in the order of the call',
        ),
    }
    option, option_help = "stream", "name or ARN of a Kinesis stream"
    has_key = True
    look = "describe_stream_summary"
    probe_codes = frozenset(
        {"DryRunOperationException", "InvalidArgumentException", "ValidationException"}
    )
    system = "aws.kinesis"
    receipt = "SequenceNumber"
    outcomes_in, failed_count = "Records", "FailedRecordCount"
    single_answer = ("ShardId", "SequenceNumber")
    throttled = "ProvisionedThroughputExceededException"
    throttles_entries = True
    permission = "kinesis:PutRecords"
    single_permission = "kinesis:PutRecord"
    # Larger records are for streams with a raised MaxRecordSize: elsewhere one of them would have
    # its whole request refused.
    fast = FAST
    limits = Limits(entries=500, bytes=10 * 1024 * 1024, together=1024 * 1024)
    max_message = 10 * 1024 * 1024
    max_message_source = SOURCE
    refusal = "ValidationException"
    verdicts: ClassVar = {
        "ResourceNotFoundException": (Verdict.FINAL, Verdict.FINAL),
        "InvalidArgumentException": (Verdict.FINAL, Verdict.SPLIT),
        "DryRunOperationException": (Verdict.FINAL, Verdict.FINAL),
    }

    def shard_in(self, text: str) -> str:
        found = _SHARD.search(text)
        return found.group() if found else ""

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        if len(params) == 3 and "Data" in params and "PartitionKey" in params:
            # A record as most are: bytes or ASCII text, and an ASCII key.
            data, key, stream = params["Data"], params["PartitionKey"], params.get("StreamName")
            if type(data) is str and data.isascii():
                data = data.encode()
            if type(data) is bytes and type(key) is str and type(stream) is str and key.isascii():
                size = len(data) + len(key)
                if 0 < len(key) <= MAX_KEY and size <= self.max_message:
                    return stream, (data, key), size
        if not params.keys() <= _TABLE:
            return None
        entry, size = self._entry(params, "put_record")
        return self.address(params), entry, size

    def accept_batch(
        self, params: Mapping[str, Any]
    ) -> tuple[Any, Sequence[Any], Sequence[int], Any] | None:
        if not params.keys() <= {"Records", *_ADDRESS}:
            return None
        if "Records" not in params:
            raise missing("Records", "put_records")
        records = params["Records"]
        if not isinstance(records, (list, tuple)):
            raise wrong_type("Records", records, "a list of dicts")
        if not records:
            raise InvalidMessage(
                f"Records is empty; put_records needs at least 1 record ({SOURCE})"
            )
        address = self.address(params)
        usual = _usual_records(records)
        if usual is not None:
            return address, *usual, None
        entries, sizes = [], []
        for index, record in enumerate(records):
            if not isinstance(record, Mapping):
                raise wrong_type(f"Records[{index}]", record, "a dict")
            if not record.keys() <= _RECORD:
                unknown = ", ".join(sorted(map(str, record.keys() - _RECORD)))
                raise InvalidMessage(f"Records[{index}] has unknown parameters: {unknown}")
            try:
                entry, size = self._entry(record, "put_records")
            except InvalidMessage as error:
                raise error.about(f"Records[{index}]", self.batch) from None
            entries.append(entry)
            sizes.append(size)
        return address, entries, sizes, None

    def check_address(self, address: Any) -> None:
        for parameter, value in self._pairs(address):
            found = f"{parameter} ({shown_address(value)})"
            if not value:  # boto3 does not send it
                raise InvalidMessage(f"{found} is empty; 1 to 128 are allowed ({SOURCE})")
            if parameter == "StreamName" and not _STREAM_NAME.fullmatch(value):
                raise self.refused(
                    f"{found} must have 1 to 128 letters, digits, underscores, hyphens and periods"
                    f" ({SOURCE})"
                )
            if parameter == "StreamARN" and not _STREAM_ARN.fullmatch(value):
                raise self.refused(
                    f"{found} is not of the form arn:aws:kinesis:region:account:stream/name"
                    f" ({SOURCE})"
                )
            if parameter == "StreamId" and not _STREAM_ID.fullmatch(value):
                raise self.refused(
                    f"{found} must be 20 letters or digits, a hyphen and 3 more ({SOURCE})"
                )

    def measure(self, entry: Any) -> int:
        key = entry[1]
        return len(entry[0]) + (len(key) if key.isascii() else len(key.encode()))

    def measure_all(self, entries: Sequence[Any]) -> int:
        keys = "".join([entry[1] for entry in entries])
        size = len(keys) if keys.isascii() else len(keys.encode())
        return size + sum([len(entry[0]) for entry in entries])

    def label(self, address: Any) -> str:
        return address if isinstance(address, str) else str(address[0][1]).rpartition("/")[2]

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        return {**dict(self._pairs(address)), **_record(entry)}

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        return {"Records": [_record(entry) for entry in entries], **dict(self._pairs(address))}

    def named(self, text: str) -> dict[str, str]:
        return {"StreamARN" if text.startswith("arn:") else "StreamName": text}

    def message(self, text: bytes | str, key: str) -> dict[str, Any]:
        return {"Data": text, "PartitionKey": key}

    def body(self, params: Mapping[str, Any]) -> bytes:
        return bytes(params["Data"])

    def receipt_of(self, response: Mapping[str, Any]) -> str:
        return f"{response['ShardId']}, SequenceNumber {response['SequenceNumber']}"

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        key = str(params.get("PartitionKey", "")).encode()
        place = int(hashlib.md5(key, usedforsecurity=False).hexdigest(), 16)
        return {
            "SequenceNumber": f"49{number:054}",
            "ShardId": f"shardId-{place >> 126:012}",  # of four shards
        }

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        record = {"Data": b"never stored", "PartitionKey": "doctor", "ExplicitHashKey": _TOO_HIGH}
        return {"Records": [record], **({"DryRun": True} if "DryRun" in known else {})}

    def address(self, params: Mapping[str, Any]) -> Any:
        name = params.get("StreamName")
        if name is not None and "StreamARN" not in params and "StreamId" not in params:
            return check_str("StreamName", name)
        pairs = tuple(
            (parameter, check_str(parameter, params[parameter]))
            for parameter in _ADDRESS
            if parameter in params
        )
        if not pairs:
            raise InvalidMessage("StreamName or StreamARN is needed to say which stream")
        return pairs

    # -- details

    @staticmethod
    def _pairs(address: Any) -> Any:
        return (("StreamName", address),) if isinstance(address, str) else address

    def _entry(self, params: Mapping[str, Any], operation: str) -> tuple[Any, int]:
        if "Data" not in params:
            raise missing("Data", operation)
        data = params["Data"]
        if type(data) is not bytes:
            data = as_bytes("Data", data)
        key, size = "", len(data)
        if "PartitionKey" in params:
            key, key_size = checked_key(params["PartitionKey"])
            size += key_size
        elif needs_key():
            raise missing("PartitionKey", operation)
        if size > self.max_message:
            raise self.refused(
                f"Data and PartitionKey have {size:,} bytes together; at most {self.max_message:,}"
                f" are allowed ({SOURCE})"
            )
        if "ExplicitHashKey" in params:
            return (data, key, checked_hash_key(params["ExplicitHashKey"])), size
        return (data, key), size


def _usual_records(records: Sequence[Any]) -> tuple[Sequence[Any], Sequence[int]] | None:
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
    if set(map(type, datas)) != {bytes} or set(map(type, keys)) != {str}:
        return None
    lengths = list(map(len, keys))
    if not ("".join(keys).isascii() and min(lengths) > 0 and max(lengths) <= MAX_KEY):
        return None
    sizes = list(map(operator.add, map(len, datas), lengths))
    if max(sizes) > Kinesis.max_message:
        return None
    return list(zip(datas, keys, strict=True)), sizes


def _record(entry: Any) -> dict[str, Any]:
    record = {"Data": entry[0]}
    if entry[1]:
        record["PartitionKey"] = entry[1]
    if len(entry) == 3:
        record["ExplicitHashKey"] = entry[2]
    return record
