"""A service as somebody outside the package would add it; it stands in for the package's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from publisher._engine.contract import Limits, Verdict
from publisher.services._by_position import ByPosition
from publisher.services._checks import as_bytes


class Parcels(ByPosition):
    """An entry is a parcel's bytes; an address is the name of a depot."""

    name = "parcels"
    single, batch, entries_parameter = "put_parcel", "put_parcels", "Parcels"
    words: ClassVar = dict.fromkeys(
        ("put_parcel", "put_parcels"),
        (
            "Put it.",
            {"Depot": "str: where to.", "Parcel": "dict: with Data."},
            "its id",
        ),
    )
    receipt, outcomes_in, failed_count = "ParcelId", "Outcomes", "FailedCount"
    single_answer = ("ParcelId",)
    option, option_help, system = "depot", "name of a depot", "aws.parcels"
    look = "describe_depot"
    probe_codes = frozenset({"ValidationException"})
    permission, single_permission = "parcels:PutParcels", "parcels:PutParcel"
    limits = Limits(entries=500, bytes=4 * 1024 * 1024)
    max_message, max_message_source = 1000 * 1024, "the documentation"
    refusal, throttled = "ValidationException", "ServiceUnavailableException"
    verdicts: ClassVar = {"KeyGone": (Verdict.FINAL, Verdict.FINAL)}
    causes: ClassVar = {"KeyGone": ("the depot's key is deleted", "give the depot another key")}

    def accept(self, params: Mapping[str, Any]) -> Any:
        data = as_bytes("Data", params["Parcel"]["Data"])
        return params["Depot"], data, len(data)

    def accept_batch(self, params: Mapping[str, Any]) -> Any:
        datas = [as_bytes("Data", parcel["Data"]) for parcel in params["Parcels"]]
        return params["Depot"], datas, list(map(len, datas)), None

    def measure(self, entry: Any) -> int:
        return len(entry)

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        return {"Depot": address, "Parcel": {"Data": entry}}

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        return {"Depot": address, "Parcels": [{"Data": each} for each in entries]}

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        return {"ParcelId": f"parcel-{number}"}

    def named(self, text: str) -> dict[str, str]:
        return {"Depot": text}

    def address(self, params: Mapping[str, Any]) -> Any:
        return params["Depot"]

    def message(self, text: bytes | str, key: str, **details: str) -> dict[str, Any]:
        return {"Parcel": {"Data": text}}

    def body(self, params: Mapping[str, Any]) -> bytes:
        return bytes(params["Parcel"]["Data"])

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        return {"Parcels": []}
