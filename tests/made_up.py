"""A service as somebody outside the package would add it; it stands in for the package's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from publisher._engine.contract import Limits
from publisher.errors import InvalidMessage
from publisher.services._by_position import ByPosition
from publisher.services._checks import as_bytes
from publisher.services._tabled import verdicts


class Parcels(ByPosition):
    """An entry is a parcel's bytes; an address is the name of a depot."""

    name, system = "parcels", "aws.parcels"
    single, batch, entries_parameter = "put_parcel", "put_parcels", "Parcels"
    words: ClassVar = {
        name: ("Put it.", {"Depot": "str: where to.", "Data": "bytes: it."}, "its id")
        for name in ("put_parcel", "put_parcels")
    }
    places, parts, needs = ("Depot",), frozenset({"Data"}), ("Data",)
    source = max_message_source = "https://docs.aws.amazon.com/parcels"
    limits = Limits(entries=500, bytes=4 * 1024 * 1024)
    max_message = 1000 * 1024
    receipt, outcomes_in, failed_count = "ParcelId", "Outcomes", "FailedCount"
    single_answer = ("ParcelId",)
    option, option_help, look = "depot", "name of a depot", "describe_depot"
    probe_codes = frozenset({"ValidationException"})
    permission, single_permission = "parcels:PutParcels", "parcels:PutParcel"
    refusal, throttled = "ValidationException", "ServiceUnavailableException"
    verdicts: ClassVar = verdicts(final=("KeyGone",), split=("OddParcel",))
    causes: ClassVar = {"KeyGone": ("the depot's key is deleted", "give the depot another key")}

    def entry(self, params: Mapping[str, Any]) -> tuple[bytes, int]:
        data = as_bytes("Data", params["Data"])
        if len(data) > self.max_message:
            raise self.too_large(f"Data has {len(data):,} bytes")
        return data, len(data)

    def params(self, entry: bytes) -> dict[str, Any]:
        return {"Data": entry}

    def measure(self, entry: bytes) -> int:
        return len(entry)

    def check_address(self, address: str) -> None:
        if not address:
            raise InvalidMessage("Depot is empty")

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        return {"ParcelId": f"parcel-{number}"}

    def message(self, text: bytes | str, key: str, **details: str) -> dict[str, Any]:
        return {"Data": text}

    def body(self, params: Mapping[str, Any]) -> bytes:
        return bytes(params["Data"])

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        return {"Parcels": []}
