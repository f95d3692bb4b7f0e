"""Spark writes through publishers: the Python data source ``aws_publisher``, batch and streaming.

::

    from publisher.contrib.spark import PublisherDataSource

    spark.dataSource.register(PublisherDataSource)
    (
        df.write.format("aws_publisher")
        .option("service", "kinesis").option("stream", "clicks").option("partition_key", "user_id")
        .mode("append").save()
    )
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyspark import TaskContext
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceStreamArrowWriter,
    WriterCommitMessage,
)

from ._columns import OptionError, with_columns
from ._job import Job
from ._jobs import job_of
from ._tasks import RowsLost, Task, Written, give_up, settle

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyspark.sql.types import StructType

__all__ = ["OptionError", "PublisherDataSource", "RowsLost", "Written"]

#: Options that Spark itself hands on.
_SPARKS = ("checkpointlocation", "queryname", "path")
_TEXTS = ("string", "varchar", "char")
_SIMPLE = ("byte", "short", "integer", "long", "float", "double", "decimal", "boolean", "date")

logger = logging.getLogger("publisher")


class PublisherDataSource(DataSource):
    """The data source ``aws_publisher``: rows become messages.

    It only writes, and only appends. docs/engines.md describes its options.
    """

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return "aws_publisher"

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceArrowWriter:
        """A writer of a batch; called on the driver, before any task starts.

        Raises:
            OptionError: an option cannot be; the text names it.
        """
        return BatchWriter(self._job(schema, overwrite))

    def streamWriter(self, schema: StructType, overwrite: bool) -> DataSourceStreamArrowWriter:  # noqa: N802 - Spark's name
        """A writer of a stream's epochs; called on the driver.

        Raises:
            OptionError: as :meth:`writer`.
        """
        return StreamWriter(self._job(schema, overwrite))

    def _job(self, schema: StructType, overwrite: bool) -> Job:
        if overwrite:
            raise OptionError("mode", "what was published cannot be overwritten; use append")
        given = {name: value for name, value in self.options.items() if name not in _SPARKS}
        job = with_columns(
            job_of(given), {each.name: _kind(each.dataType.typeName()) for each in schema}
        )
        if job.max_rate is not None and job.tasks is None:
            job = replace(job, tasks=os.cpu_count() or 1)
            logger.warning(
                "option 'max_rate' without 'tasks': Spark tells no task how many run at once; %d,"
                " this machine's cores, are taken for it",
                job.tasks,
            )
        return job


def _kind(name: str) -> str:
    if name in _TEXTS or name in ("binary", "map"):
        return "text" if name in _TEXTS else name
    return "simple" if name in _SIMPLE or name.startswith("timestamp") else "other"


@dataclass
class Committed(WriterCommitMessage):
    """What a task tells the driver: the account of its rows."""

    written: Written


@dataclass
class _Writer:
    job: Job

    def write(self, iterator: Iterator[RecordBatch]) -> Committed:
        """Write a partition; on an executor."""
        task = TaskContext.get()
        name = f"{task.partitionId():05}-{task.taskAttemptId()}" if task else str(os.getpid())
        return Committed(Task(self.job, self.job.share(1), name).write(iterator))


def _accounts(messages: Sequence[Any]) -> list[Written | None]:
    return [each and each.written for each in messages]


class BatchWriter(_Writer, DataSourceArrowWriter):
    """Writes a batch; the job fails at its commit where rows were lost."""

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Add up the accounts; raises RowsLost where there are no dead letters of what was lost."""
        settle(self.job, _accounts(messages))

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Tell what was written although the job failed."""
        give_up(self.job, _accounts(messages), "the job")


class StreamWriter(_Writer, DataSourceStreamArrowWriter):
    """Writes the epochs of a stream; an epoch in which rows were lost ends the query."""

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803
        """Add up an epoch's accounts; raises as for a batch, and Spark offers the epoch again."""
        settle(self.job, _accounts(messages))

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803
        """Tell what was written of an epoch that failed."""
        give_up(self.job, _accounts(messages), f"epoch {batchId}")
