"""Rows of Arrow as entries of requests, column by column."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import services
from ..errors import InvalidMessage
from ._columns import is_text
from ._job import Job

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch


class Accepted(NamedTuple):
    """What became of some rows before any request.

    Attributes:
        entries: of the rows that can be sent.
        sizes: of those, in bytes as the service counts them.
        places: of those, among the rows.
        bad: what is wrong with the others, by their place.
    """

    entries: Sequence[Any]
    sizes: Sequence[int]
    places: Sequence[int]
    bad: Mapping[int, str]


class Rows:
    """How the rows of a job become entries.

    Args:
        job: with its columns.
        check_size: raises for a message that no buffer could hold.
    """

    def __init__(self, job: Job, check_size: Callable[[int], None]) -> None:
        self._service = service = services.load(job.service)
        self._job = job
        self._check_size = check_size
        self.address = service.address(job.destination)
        key = job.columns.get("PartitionKey") if service.has_key else None
        self._key = key
        self._others = {
            name: column for name, column in job.columns.items() if column != key or not key
        }
        # Keys of our own spread the rows over the shards.
        self._run = uuid.uuid4().hex[:8]
        self._numbers = itertools.count()

    def accept(self, batch: RecordBatch) -> Accepted:
        """The rows of ``batch``."""
        bodies = batch.column(self._job.body).to_pylist()
        if self._key is not None:
            keys = self._texts(batch.column(self._key))
        elif self._service.has_key:
            keys = [f"{self._run}-{next(self._numbers)}" for _ in bodies]
        else:
            keys = [""] * len(bodies)
        plain = None if self._others else self._service.plain(bodies, keys)
        if plain is not None and self._fits(max(plain[1])):
            return Accepted(*plain, range(len(bodies)), {})
        others = {name: self._column(batch, name) for name in self._others}
        return self._one_by_one(bodies, keys, others)

    def _fits(self, size: int) -> bool:
        try:
            self._check_size(size)
        except InvalidMessage:
            return False
        return True

    def _one_by_one(
        self, bodies: Sequence[Any], keys: Sequence[Any], others: Mapping[str, Sequence[Any]]
    ) -> Accepted:
        service, destination, check_size = self._service, self._job.destination, self._check_size
        details = {name: others[name] for name in others if name in service.details}
        more = {name: others[name] for name in others if name not in service.details}
        entries, sizes, places = [], [], []
        bad: dict[int, str] = {}
        for place, (body, key) in enumerate(zip(bodies, keys, strict=True)):
            try:
                if body is None:
                    raise InvalidMessage("the body is null")
                message = service.message(body, key, **_there(details, place))
                message.update(_there(more, place))
                accepted = service.accept(service.addressed(destination, message))
                if accepted is None:
                    raise InvalidMessage("it can travel in no batch")
                check_size(accepted[2])
            except InvalidMessage as error:
                bad[place] = str(error.kwargs["report"])
            except UnicodeDecodeError as error:
                bad[place] = f"the body is not UTF-8 (byte {error.start + 1})"
            else:
                entries.append(accepted[1])
                sizes.append(accepted[2])
                places.append(place)
        return Accepted(entries, sizes, places, bad)

    def _column(self, batch: RecordBatch, name: str) -> Sequence[Any]:
        column = batch.column(self._others[name])
        if name == self._service.attributes:
            return [None if each is None else _attributes(each) for each in column.to_pylist()]
        values: Sequence[Any] = (
            self._texts(column) if is_text(self._service, name) else column.to_pylist()
        )
        return values

    @staticmethod
    def _texts(column: Array) -> Sequence[Any]:
        import pyarrow as pa

        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            column = column.cast(pa.string())
        values: Sequence[Any] = column.to_pylist()
        return values


def _there(columns: Mapping[str, Sequence[Any]], place: int) -> dict[str, Any]:
    """The values of a row, without those that are null."""
    return {name: values[place] for name, values in columns.items() if values[place] is not None}


def _attributes(pairs: Any) -> dict[str, Any]:
    """Message attributes of a map, which Arrow tells as pairs, or of a struct."""
    found = dict(pairs) if isinstance(pairs, list) else pairs
    return {name: _attribute(value) for name, value in found.items() if value is not None}


def _attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"DataType": "Binary", "BinaryValue": value}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"DataType": "Number", "StringValue": str(value)}
    return {"DataType": "String", "StringValue": str(value)}
