"""Services that know the parameters of their operations by a table, and check calls against it."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import Accepted, Service, Verdict
from ..errors import InvalidMessage, RefusedMessage
from ._checks import check_str, missing, wrong_type
from ._stored import dump, load


class Tabled(Service):
    """A service whose file says which parameters there are, and how one entry is built.

    What the table does not know goes to boto3 as it is.
    """

    #: boto3's parameters that name a destination, those of an entry, and those it must have
    places: ClassVar[tuple[str, ...]]
    parts: ClassVar[frozenset[str]]
    needs: ClassVar[tuple[str, ...]]
    #: what an entry of the batch twin must have beside them
    beside: ClassVar[tuple[str, ...]] = ()
    #: where AWS documents the batch twin
    source: ClassVar[str]

    @functools.cached_property
    def _known(self) -> frozenset[str]:
        return self.parts.union(self.places)

    @functools.cached_property
    def _one_place(self) -> tuple[str, ...]:
        """The parameter of a destination, where only one can name it: that one must be there."""
        return self.places if len(self.places) == 1 else ()

    @functools.cached_property
    def _needed(self) -> tuple[str, ...]:
        return (*self._one_place, *self.needs)

    def entry(self, params: Mapping[str, Any]) -> tuple[Any, int]:
        """One entry of what ``params`` say of it, and its bytes. Raises InvalidMessage."""
        raise NotImplementedError

    def params(self, entry: Any) -> dict[str, Any]:
        """boto3's parameters that :meth:`entry` made it of."""
        raise NotImplementedError

    def usual(self, entries: Sequence[Any]) -> tuple[Sequence[Any], Sequence[int]] | None:
        """Entries and sizes of a batch call's, where a quick look at all of them is enough."""
        return None

    def context(self, entries: Sequence[Any]) -> Any:
        """What ``batch_response`` needs of a batch call's entries. Raises InvalidMessage."""

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        if not params.keys() <= self._known:
            return None
        for parameter in self._needed:
            if parameter not in params:
                raise missing(f"{self.single}()", parameter)
        address = self.address(params)
        entry, size = self.entry(params)
        return address, entry, size

    def accept_batch(
        self, params: Mapping[str, Any]
    ) -> tuple[Any, Sequence[Any], Sequence[int], Any] | None:
        name = self.entries_parameter
        if not params.keys() <= {name, *self.places}:
            return None
        for parameter in (*self._one_place, name):
            if parameter not in params:
                raise missing(f"{self.batch}()", parameter)
        address = self.address(params)
        entries = params[name]
        if not isinstance(entries, (list, tuple)):
            raise wrong_type(name, entries, "a list of dicts")
        if not entries:
            report = f"{name} is empty; at least 1 entry is needed ({self.source})"
            raise self.empty_batch(report)
        built, sizes = self.usual(entries) or self._walk(entries)
        return address, built, sizes, self.context(entries)

    def empty_batch(self, report: str) -> InvalidMessage:
        """The error for a batch of nothing, which boto3 does not send."""
        return InvalidMessage(report)

    def _walk(self, entries: Iterable[Any]) -> tuple[list[Any], list[int]]:
        """An entry of each, checked one after the other; an error says which is wrong."""
        known, needs = self.parts.union(self.beside), (*self.beside, *self.needs)
        built, sizes = [], []
        for index, entry in enumerate(entries):
            where = f"{self.entries_parameter}[{index}]"
            check_known(where, entry, known)
            for parameter in needs:
                if parameter not in entry:
                    raise missing(where, parameter)
            try:
                made, size = self.entry(entry)
            except InvalidMessage as error:
                raise error.about(where, self.batch) from None
            built.append(made)
            sizes.append(size)
        return built, sizes

    def too_large(self, found: str) -> RefusedMessage:
        """The error for more than ``max_message`` bytes; ``found`` says how many there are."""
        return self.refused(
            f"{found}; at most {self.max_message:,} are allowed ({self.max_message_source})"
        )

    def dump(self, entry: Any) -> bytes:
        return dump(self.params(entry))

    def load(self, data: bytes) -> Any:
        params = load(data)
        check_known("an entry", params, self.parts)
        for parameter in self.needs:
            if parameter not in params:
                raise missing("an entry", parameter)
        return self.entry(params)[0]

    def load_all(self, datas: Sequence[bytes]) -> tuple[Sequence[Any], Sequence[int]] | None:
        try:
            return self.usual(list(map(load, datas)))
        except ValueError:
            return None

    # A destination that one text names; who has others says so.

    def address(self, params: Mapping[str, Any]) -> Any:
        (place,) = self.places
        if place not in params:
            raise InvalidMessage(f"{place} is needed to say where to")
        return check_str(place, params[place])

    def place(self, address: Any) -> dict[str, str]:
        return {self.places[0]: address}

    def named(self, text: str) -> dict[str, str]:
        return {self.places[0]: text}

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        return {**self.place(address), **self.params(entry)}

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        return {self.entries_parameter: list(map(self.params, entries)), **self.place(address)}


def check_known(where: str, given: Any, known: Collection[str]) -> None:
    """Raise InvalidMessage where ``given`` is no dict, or has a parameter that is not known."""
    if not isinstance(given, Mapping):
        raise wrong_type(where, given, "a dict")
    if unknown := given.keys() - known:
        names = ", ".join(sorted(map(str, unknown)))
        raise InvalidMessage(f"{where} has unknown parameters: {names}")


def verdicts(
    final: Iterable[str] = (), split: Iterable[str] = (), retry: Iterable[str] = ()
) -> dict[str, tuple[Verdict, Verdict]]:
    """A service's own error codes, and what each means (alone, in a request of many).

    Args:
        final: sending the same again cannot succeed, in whatever company.
        split: one entry of the request may be the cause, and for that one it is final.
        retry: it passes.
    """
    return {
        **dict.fromkeys(final, (Verdict.FINAL, Verdict.FINAL)),
        **dict.fromkeys(split, (Verdict.FINAL, Verdict.SPLIT)),
        **dict.fromkeys(retry, (Verdict.RETRY, Verdict.RETRY)),
    }
