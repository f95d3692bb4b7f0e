"""A service as somebody outside the package would add it; it stands in for the package's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from publisher._engine.contract import Limits, Verdict
from publisher.services._by_position import ByPosition
from publisher.services._checks import as_bytes


class Delivery(ByPosition):
    """An entry is a record's bytes; an address is the name of a delivery stream."""

    name = "firehose"
    single, batch, entries_parameter = "put_record", "put_record_batch", "Records"
    words: ClassVar = dict.fromkeys(
        ("put_record", "put_record_batch"),
        (
            "Put it.",
            {"DeliveryStreamName": "str: where to.", "Record": "dict: with Data."},
            "its id",
        ),
    )
    receipt, outcomes_in, failed_count = "RecordId", "RequestResponses", "FailedPutCount"
    single_answer = ("RecordId",)
    option, option_help, system = "delivery", "name of a delivery stream", "aws.firehose"
    look = "describe_delivery_stream"
    probe_codes = frozenset({"InvalidArgumentException"})
    permission, single_permission = "firehose:PutRecordBatch", "firehose:PutRecord"
    limits = Limits(entries=500, bytes=4 * 1024 * 1024)
    max_message, max_message_source = 1000 * 1024, "the documentation"
    refusal, throttled = "ValidationException", "ServiceUnavailableException"
    verdicts: ClassVar = {"KeyGone": (Verdict.FINAL, Verdict.FINAL)}
    causes: ClassVar = {"KeyGone": ("the stream's key is deleted", "give the stream another key")}

    def accept(self, params: Mapping[str, Any]) -> Any:
        data = as_bytes("Data", params["Record"]["Data"])
        return params["DeliveryStreamName"], data, len(data)

    def accept_batch(self, params: Mapping[str, Any]) -> Any:
        datas = [as_bytes("Data", record["Data"]) for record in params["Records"]]
        return params["DeliveryStreamName"], datas, list(map(len, datas)), None

    def measure(self, entry: Any) -> int:
        return len(entry)

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        return {"DeliveryStreamName": address, "Record": {"Data": entry}}

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        return {"DeliveryStreamName": address, "Records": [{"Data": each} for each in entries]}

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        return {"RecordId": f"record-{number}"}

    def named(self, text: str) -> dict[str, str]:
        return {"DeliveryStreamName": text}

    def address(self, params: Mapping[str, Any]) -> Any:
        return params["DeliveryStreamName"]

    def message(self, text: bytes | str, key: str, **details: str) -> dict[str, Any]:
        return {"Record": {"Data": text}}

    def body(self, params: Mapping[str, Any]) -> bytes:
        return bytes(params["Record"]["Data"])

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        return {"Records": []}
