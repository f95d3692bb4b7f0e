"""Services without a single operation, whose entries say where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import Accepted
from ._by_position import ByPosition


class NoSingle(ByPosition):
    """A service whose batch calls share requests, entry by entry; ``single`` is ``batch``.

    An entry has ``params``, boto3's own, and ``size``.
    """

    single_answer = ()
    #: where an entry goes that does not say so
    default_place: ClassVar[str]

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        made = self.accept_batch(params)
        if made is None or len(made[1]) != 1:
            return None
        (address,), (entry,), (size,), _ = made
        return address, entry, size

    def accept_batch(
        self, params: Mapping[str, Any]
    ) -> tuple[Any, Sequence[Any], Sequence[int], Any] | None:
        (place,) = self.places
        if place in params:  # it is of an entry, not of the call
            return None
        made = super().accept_batch({**params, place: self.default_place})
        if made is None:
            return None
        _, entries, *rest = made
        return [entry.params.get(place, self.default_place) for entry in entries], entries, *rest

    def params(self, entry: Any) -> dict[str, Any]:
        return dict(entry.params)

    def measure(self, entry: Any) -> int:
        return int(entry.size)

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        return self.batch_request(address, [entry])

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        return {self.entries_parameter: list(map(self.params, entries))}

    def single_response(
        self, response: Mapping[str, Any], outcome: Mapping[str, Any]
    ) -> dict[str, Any]:
        rest = {key: value for key, value in response.items() if key not in self.about_entries}
        return self.batch_response(None, [outcome], rest)

    def addressed(self, named: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, Any]:
        name = self.entries_parameter
        return {**params, name: [{**named, **entry} for entry in params[name]]}

    def receipt_of(self, response: Mapping[str, Any]) -> str:
        (outcome,) = response[self.outcomes_in]
        if "ErrorCode" in outcome:
            raise ValueError(f"{outcome['ErrorCode']}: {outcome['ErrorMessage']}")
        return super().receipt_of(outcome)
