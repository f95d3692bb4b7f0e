"""Services whose batches match entries and outcomes by Id: the wire carries Ids of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import EntryError
from ..errors import InvalidMessage, RefusedMessage
from ._checks import check_str
from ._tabled import Tabled

_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


class ById(Tabled):
    """A service that answers with the lists ``Successful`` and ``Failed``.

    The Id on the wire is the entry's place in its request; the caller's own are checked over the
    whole call, and are those in its answer.
    """

    beside = ("Id",)
    #: what its codes about a batch and the Ids in it begin with
    prefix: ClassVar[str] = ""
    about_entries = frozenset({"Successful", "Failed", "MessageId", "SequenceNumber"})

    def empty_batch(self, report: str) -> InvalidMessage:
        return self._about_batch(report, "EmptyBatchRequest")

    def context(self, entries: Sequence[Any]) -> Any:
        ids = []
        for index, entry in enumerate(entries):
            where = f"{self.entries_parameter}[{index}].Id"
            entry_id = check_str(where, entry["Id"])
            if not _ID.fullmatch(entry_id):
                raise self._about_batch(
                    f"{where} (str of {len(entry_id)} characters) must be 1 to 80 letters,"
                    f" digits, hyphens or underscores ({self.source})",
                    "InvalidBatchEntryId",
                )
            ids.append(entry_id)
        if len(set(ids)) < len(ids):
            raise self._about_batch(
                f"the Ids of {len(ids)} entries are not distinct: {len(set(ids))} different ones"
                f" ({self.source})",
                "BatchEntryIdsNotDistinct",
            )
        return ids

    def _about_batch(self, report: str, code: str) -> RefusedMessage:
        return RefusedMessage(report, f"{self.prefix}{code}", self.batch)

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        made = [{"Id": str(index), **self.params(entry)} for index, entry in enumerate(entries)]
        return {**self.place(address), self.entries_parameter: made}

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
