"""Firehose: ``put_record`` travels in ``PutRecordBatch``, matched by position."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import Accepted, Limits
from ..errors import InvalidMessage
from ._by_position import ByPosition
from ._checks import all_bytes, as_bytes, missing, shown_address
from ._deliveries import CAUSES, FAST, FINAL, NAME, NAME_RULE, usual_call, usual_records
from ._tabled import check_known, verdicts
from .words.firehose import WORDS


class Firehose(ByPosition):
    """An entry is a record's bytes; an address is the name of a stream."""

    name, system, words = "firehose", "aws.firehose", WORDS
    single, batch, entries_parameter = "put_record", "put_record_batch", "Records"
    places, parts, needs = ("DeliveryStreamName",), frozenset({"Data"}), ("Data",)
    source = "https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html"
    limits = Limits(entries=500, bytes=4 * 1024 * 1024)
    max_message, max_message_source = 1000 * 1024, source
    outcomes_in, failed_count = "RequestResponses", "FailedPutCount"
    single_answer, receipt = ("RecordId",), "RecordId"
    permission, single_permission = "firehose:PutRecordBatch", "firehose:PutRecord"
    option, option_help = "delivery_stream", "name of a Firehose stream"
    look = "describe_delivery_stream"
    throttled, refusal = "ServiceUnavailableException", "ValidationException"
    probe_codes = frozenset({"InvalidArgumentException", "ValidationException"})
    verdicts: ClassVar = verdicts(final=FINAL, split=("InvalidArgumentException",))
    causes: ClassVar = CAUSES
    fast = FAST

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        usual = usual_call(params, self.max_message)
        if usual is not None:
            return usual
        if not params.keys() <= {"DeliveryStreamName", "Record"}:
            return None
        if "Record" not in params:
            raise missing("put_record()", "Record")
        check_known("Record", record := params["Record"], self.parts)
        if "Data" not in record:
            raise missing("Record", "Data")
        rest = {name: value for name, value in params.items() if name != "Record"}
        return super().accept({**rest, **record})

    def entry(self, params: Mapping[str, Any]) -> tuple[Any, int]:
        data = as_bytes("Data", params["Data"])
        if len(data) > self.max_message:
            raise self.too_large(f"Data has {len(data):,} bytes")
        return data, len(data)

    def usual(self, entries: Sequence[Any]) -> tuple[Sequence[Any], Sequence[int]] | None:
        return usual_records(entries, self.max_message)

    def check_address(self, address: Any) -> None:
        rule = f"DeliveryStreamName ({shown_address(address)}) must have {NAME_RULE}"
        if not address:  # boto3 does not send it
            raise InvalidMessage(f"{rule} ({self.source})")
        if not NAME.fullmatch(address):
            raise self.refused(f"{rule} ({self.source})")

    def measure(self, entry: Any) -> int:
        return len(entry)

    def params(self, entry: Any) -> dict[str, Any]:
        return {"Data": entry}

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        return {"DeliveryStreamName": address, "Record": self.params(entry)}

    def message(self, text: bytes | str, key: str, **details: str) -> dict[str, Any]:
        return {"Record": {"Data": text}}

    def plain(
        self, bodies: Sequence[Any], keys: Sequence[Any]
    ) -> tuple[Sequence[Any], Sequence[int]] | None:
        datas = all_bytes(bodies)
        sizes = list(map(len, datas or ()))
        return (datas, sizes) if datas and max(sizes) <= self.max_message else None

    def body(self, params: Mapping[str, Any]) -> bytes:
        return bytes(params["Record"]["Data"])

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        return {"RecordId": str(uuid.uuid4())}

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        return {"Records": [{"Data": b""}] * (self.limits.entries + 1)}
