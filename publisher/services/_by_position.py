"""Services whose batches match entries and outcomes by position."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import EntryError
from ._tabled import Tabled


class ByPosition(Tabled):
    """A service that answers with one outcome for each entry, in their order.

    Its own count of failures is not trusted: an error code decides, then a receipt.
    """

    #: the list of outcomes in the answer, and the count of those that failed
    outcomes_in: ClassVar[str]
    failed_count: ClassVar[str]
    #: what the single operation answers, beside what is about the request
    single_answer: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self.about_entries = frozenset(  # type: ignore[misc]  # made of what the class says
            {self.outcomes_in, self.failed_count, *self.single_answer}
        )

    def read(self, response: Mapping[str, Any], count: int) -> list[Mapping[str, Any] | EntryError]:
        outcomes = response.get(self.outcomes_in)
        if not isinstance(outcomes, list) or len(outcomes) != count:
            found = len(outcomes) if isinstance(outcomes, list) else "no"
            what = self.entries_parameter.lower()
            raise ValueError(f"the answer has {found} {what} for {count} sent")
        if self._all_stored(outcomes):
            return list(outcomes)
        return [
            each if each.get(self.receipt) and not each.get("ErrorCode") else self._error(each)
            for each in outcomes
        ]

    def single_response(
        self, response: Mapping[str, Any], outcome: Mapping[str, Any]
    ) -> dict[str, Any]:
        listed = (self.outcomes_in, self.failed_count)
        rest = {key: value for key, value in response.items() if key not in listed}
        return {**{name: outcome.get(name) for name in self.single_answer}, **rest}

    def batch_response(
        self, context: Any, outcomes: Sequence[Any], metadata: Any
    ) -> dict[str, Any]:
        failed = 0
        if EntryError in set(map(type, outcomes)):
            failed = sum(1 for outcome in outcomes if type(outcome) is EntryError)
            outcomes = [
                _failed(outcome) if type(outcome) is EntryError else outcome for outcome in outcomes
            ]
        return {self.failed_count: failed, self.outcomes_in: list(outcomes), **metadata}

    def stored_batch(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        entries = params[self.entries_parameter]
        stored = [self.stored(entry, number + index) for index, entry in enumerate(entries)]
        return {self.failed_count: 0, self.outcomes_in: stored}

    def with_failures(
        self, answer: Mapping[str, Any], entries: Sequence[Any], failures: Mapping[int, EntryError]
    ) -> dict[str, Any]:
        outcomes = list(answer.get(self.outcomes_in) or [])
        for index, error in sorted(failures.items()):
            outcomes.insert(index, _failed(error))
        failed = sum(1 for outcome in outcomes if outcome.get("ErrorCode"))
        return {**answer, self.failed_count: failed, self.outcomes_in: outcomes}

    def _all_stored(self, outcomes: list[Any]) -> bool:
        """The usual answer, seen in two quick passes."""
        try:
            stored = all(map(operator.itemgetter(self.receipt), outcomes))
            return stored and not [1 for each in outcomes if "ErrorCode" in each]
        except (KeyError, TypeError):
            return False

    def _error(self, outcome: Mapping[str, Any]) -> EntryError:
        code = outcome.get("ErrorCode")
        if not code:
            text = f"the outcome has neither a {self.receipt} nor an error code"
            return EntryError("MalformedResponse", text, False)
        return EntryError(str(code), str(outcome.get("ErrorMessage", "")), False)


def _failed(error: EntryError) -> dict[str, Any]:
    return {"ErrorCode": error.code, "ErrorMessage": error.message}
