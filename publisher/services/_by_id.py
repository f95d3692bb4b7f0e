"""Services whose batches match entries and outcomes by Id: the wire carries Ids of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._engine.contract import EntryError, Service


class ById(Service):
    """A service that answers with the lists ``Successful`` and ``Failed``.

    The Id on the wire is the entry's place in its request.
    """

    about_entries = frozenset({"Successful", "Failed", "MessageId", "SequenceNumber"})

    def read(self, response: Mapping[str, Any], count: int) -> list[Mapping[str, Any] | EntryError]:
        successful, failed = response.get("Successful"), response.get("Failed")
        if not isinstance(successful, list) and not isinstance(failed, list):
            raise ValueError("the answer has neither successful nor failed entries")
        outcomes: list[Mapping[str, Any] | EntryError] = [
            EntryError("MalformedResponse", "the answer does not mention this entry", False)
        ] * count
        places = {str(index): index for index in range(count)}
        for entry in successful or ():
            index = places.get(entry.get("Id"))
            if index is not None and entry.get(self.receipt):
                outcomes[index] = {key: value for key, value in entry.items() if key != "Id"}
        for entry in failed or ():  # last: what is in both lists has failed
            index = places.get(entry.get("Id"))
            if index is not None:
                outcomes[index] = EntryError(
                    str(entry.get("Code") or "Unknown"),
                    str(entry.get("Message") or ""),
                    bool(entry.get("SenderFault")),
                )
        return outcomes

    def single_response(
        self, response: Mapping[str, Any], outcome: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {**outcome, "ResponseMetadata": response.get("ResponseMetadata", {})}

    def batch_response(
        self, context: Any, outcomes: Sequence[Any], metadata: Any
    ) -> dict[str, Any]:
        successful, failed = [], []
        for entry_id, outcome in zip(context, outcomes, strict=True):
            if isinstance(outcome, EntryError):
                failed.append({"Id": entry_id, **_failed(outcome)})
            else:
                successful.append({"Id": entry_id, **outcome})
        return {"Successful": successful, "Failed": failed, **metadata}

    def stored_batch(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        entries = params[self.entries_parameter]
        rest = {name: value for name, value in params.items() if name != self.entries_parameter}
        return {
            "Successful": [
                {"Id": entry["Id"], **self.stored({**rest, **entry}, number + index)}
                for index, entry in enumerate(entries)
            ],
            "Failed": [],
        }

    def with_failures(
        self, answer: Mapping[str, Any], entries: Sequence[Any], failures: Mapping[int, EntryError]
    ) -> dict[str, Any]:
        made = [{"Id": entries[index]["Id"], **_failed(error)} for index, error in failures.items()]
        return {
            **answer,
            "Successful": answer.get("Successful") or [],
            "Failed": [*(answer.get("Failed") or []), *made],
        }


def _failed(error: EntryError) -> dict[str, Any]:
    return {"Code": error.code, "Message": error.message, "SenderFault": error.sender_fault}
