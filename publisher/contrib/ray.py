"""Ray Data writes through publishers.

::

    from publisher.contrib.ray import publisher_sink

    ds.write_datasink(publisher_sink("kinesis", stream="clicks", partition_key="user_id"))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import ray
from ray.data import Datasink
from ray.data.block import BlockAccessor

from ._columns import OptionError, with_columns
from ._job import Job
from ._jobs import job_of
from ._tasks import RowsLost, Task, Written, settle

if TYPE_CHECKING:
    from pyarrow import DataType, RecordBatch, Schema
    from ray.data.block import Block
    from ray.data.datasource.datasink import WriteResult

__all__ = ["OptionError", "PublisherDatasink", "RowsLost", "Written", "publisher_sink"]


def publisher_sink(service: str, **options: Any) -> PublisherDatasink:
    """A sink for ``Dataset.write_datasink``: rows become messages.

    Args:
        service: ``"kinesis"``, ``"sns"`` ...
        **options: the destination (``stream=``, ``topic=`` ...), columns (``data=``,
            ``partition_key=`` ...), ``max_rate``, ``dead_letters``, ``region_name`` ...;
            docs/engines.md describes each.

    Raises:
        OptionError: an option cannot be; the text names it.
    """
    return PublisherDatasink(job_of({"service": service, **options}))


class PublisherDatasink(Datasink[Written]):
    """What :func:`publisher_sink` makes.

    Attributes:
        written: the account of the last write that ended well.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self.written: Written | None = None

    def on_write_start(self, schema: Any = None) -> None:
        """Look at the columns; on the driver, before the first task.

        Raises:
            OptionError: a column that is not there or of the wrong kind.
        """
        if schema is not None:
            with_columns(self._job, _kinds(schema))

    def write(self, blocks: Iterable[Block], ctx: Any) -> Written:
        """Write blocks; in a task."""
        bound = self._job.max_rate is not None
        share = self._job.share(ray.cluster_resources().get("CPU", 1.0)) if bound else None
        name = f"{ctx.task_idx:05}-{ray.get_runtime_context().get_task_id()}"
        batches = _batches(blocks)
        first = next(batches, None)
        if first is None:
            return Written()
        job = with_columns(self._job, _kinds(first.schema))
        return Task(job, share, name).write(_with(first, batches))

    def on_write_complete(self, write_result: WriteResult[Written]) -> None:
        """Add up the accounts; raises RowsLost where there are no dead letters of what was lost."""
        self.written = settle(self._job, write_result.write_returns)

    def get_name(self) -> str:
        """The name of the tasks."""
        return "Publisher"


def _with(first: RecordBatch, others: Iterator[RecordBatch]) -> Iterator[RecordBatch]:
    yield first
    yield from others


def _batches(blocks: Iterable[Block]) -> Iterator[RecordBatch]:
    for block in blocks:
        for batch in BlockAccessor.for_block(block).to_arrow().to_batches():
            if batch.num_rows:
                yield batch


def _kinds(schema: Schema) -> dict[str, str]:
    return {name: _kind(kind) for name, kind in zip(schema.names, schema.types, strict=True)}


def _kind(kind: DataType) -> str:
    from pyarrow import DataType, types

    # A block of pandas, at which the task looks as Arrow's; or one of nulls alone.
    if not isinstance(kind, DataType) or types.is_null(kind):
        return "any"
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return "binary"
    if types.is_map(kind) or types.is_struct(kind):
        return "map"
    return "other" if types.is_nested(kind) else "simple"
