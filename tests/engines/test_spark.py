"""A real Spark writes: every row is stored, or told of."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engines.conftest import ROWS, body, copies, killing
from tests.servers import Answer, Endpoint, Error, Failure, ShardLimit

pytestmark = pytest.mark.engines

TOPIC = "arn:aws:sns:us-east-1:000000000000:orders.fifo"


@pytest.fixture
def rows(spark: Any) -> Any:
    """Rows in two partitions: `number`, `user_id`, `data`."""
    from pyspark.sql import functions as F  # noqa: N812 - as everybody does

    return spark.range(0, ROWS, 1, 2).select(
        F.col("id").alias("number"),
        F.format_string("user-%d", "id").alias("user_id"),
        F.format_string("%06d" + "x" * 200, "id").cast("binary").alias("data"),
    )


def write(rows: Any, server: Endpoint, **options: Any) -> None:
    given = {
        "service": "kinesis",
        "stream": "clicks",
        "partition_key": "user_id",
        "endpoint_url": server.url,
        "region_name": "us-east-1",
        **options,
    }
    given = {name: value for name, value in given.items() if value is not None}
    rows.write.format("aws_publisher").options(**given).mode("append").save()


def letters(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in folder.iterdir() for line in path.read_text().splitlines()]


def test_each_row_is_stored_once_with_its_key(rows: Any, server: Endpoint) -> None:
    write(rows, server)
    assert copies(server) == dict.fromkeys(range(ROWS), 1)
    assert {(entry.partition_key, entry.data) for entry in server.stored()} == {
        (f"user-{number}", body(number)) for number in range(ROWS)
    }
    assert server.request_count < 10


def test_failed_entries_alone_are_sent_again(rows: Any, server: Endpoint) -> None:
    failed = set()

    def fail_each_tenth_once(request: Any) -> Answer | None:
        fresh = {
            index: "InternalFailure"
            for index, entry in enumerate(request.entries)
            if int(entry.data[:6]) % 10 == 0 and entry.data not in failed
        }
        failed.update(request.entries[index].data for index in fresh)
        return Answer(failures=fresh) if fresh else None

    server.script(fail_each_tenth_once)
    write(rows, server)
    assert copies(server) == dict.fromkeys(range(ROWS), 1)
    assert len(server.entries) == ROWS + ROWS // 10


def test_a_throttled_stream_loses_nothing(rows: Any, server: Endpoint) -> None:
    server.shard_limit = ShardLimit(records=150)
    write(rows, server)
    assert copies(server) == dict.fromkeys(range(ROWS), 1)
    # As fast as it goes, each record would be sent again with every request meanwhile.
    assert len(server.entries) < 12 * ROWS


def test_a_killed_executor_loses_nothing(rows: Any, server: Endpoint) -> None:
    with killing(server, "CoarseGrainedExecutorBackend"):
        write(rows, server, read_timeout="120")
    found = copies(server)
    assert set(found) == set(range(ROWS))
    twice = sum(found.values()) - ROWS
    assert 0 < twice <= ROWS // 2, "of the task that was run again, what it had stored before"


def test_a_lost_row_fails_the_job(rows: Any, server: Endpoint) -> None:
    def refuse(request: Any) -> Answer | None:
        bad = {
            index: Failure("KMSAccessDenied")
            for index, entry in enumerate(request.entries)
            if int(entry.data[:6]) in (7, 700)
        }
        return Answer(failures=bad)

    server.script(refuse)
    with pytest.raises(Exception, match=r"2 rows lost.*2 times KMSAccessDenied") as caught:
        write(rows, server)
    assert "1,200 rows: accepted 1,200 = delivered 1,198 + failed 2" in str(caught.value)
    assert set(copies(server)) == set(range(ROWS)) - {7, 700}
    assert max(copies(server).values()) == 1, "no task is tried again for it"


def test_lost_and_bad_rows_become_dead_letters(
    spark: Any, rows: Any, server: Endpoint, tmp_path: Path
) -> None:
    from pyspark.sql import functions as F  # noqa: N812

    key = F.when(F.col("number") == 3, F.lit("k" * 300)).otherwise(F.col("user_id"))
    server.script(
        lambda request: Answer(
            failures={
                index: Failure("KMSAccessDenied")
                for index, entry in enumerate(request.entries)
                if entry.data.startswith(b"000900")
            }
        )
    )
    folder = tmp_path / "letters"
    write(rows.withColumn("user_id", key), server, dead_letters=str(folder))
    assert set(copies(server)) == set(range(ROWS)) - {3, 900}
    found = {letter["row"]["number"]: letter["error"] for letter in letters(folder)}
    assert found.keys() == {3, 900}
    assert "256" in found[3]
    assert found[900] == "KMSAccessDenied"
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600] * 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    # Spark reads them back as the rows they were.
    schema = f"error string, row struct<{', '.join(f'{n}: {t}' for n, t in rows.dtypes)}>"
    again = spark.read.schema(schema).json(str(folder)).where("error like 'KMS%'").select("row.*")
    server.script(None)
    write(again, server)
    assert set(copies(server)) == set(range(ROWS)) - {3}


def test_a_destination_that_takes_nothing_ends_the_tasks_early(rows: Any, server: Endpoint) -> None:
    server.script(Answer(error=Error(400, "ResourceNotFoundException", "no such stream")))
    with pytest.raises(Exception, match=r"ResourceNotFoundException.*did not read on"):
        write(rows, server, max_rate="20", tasks="2")  # ten rows at once, a hundred on their way
    assert len(server.entries) < ROWS


def test_columns_become_parameters_of_a_fifo_topic(spark: Any, server: Endpoint) -> None:
    from pyspark.sql import functions as F  # noqa: N812

    count = 60
    messages = (
        spark.range(0, count, 1, 1)
        .select(
            F.format_string("%06d", "id").alias("message"),
            (F.col("id") % 3).alias("group"),
            F.format_string("id-%d", "id").alias("event"),
            F.create_map(F.lit("kind"), F.lit("paid")).alias("attributes"),
        )
        .coalesce(1)
    )
    write(
        messages,
        server,
        service="sns",
        stream=None,
        partition_key=None,
        topic=TOPIC,
        dedup_column="event",
    )
    stored = server.stored("sns")
    assert {(e.group_id, e.deduplication_id) for e in stored} == {
        (str(number % 3), f"id-{number}") for number in range(count)
    }
    assert {e.attributes["kind"] for e in stored} == {("String", b"paid")}
    for group in "012":
        order = [int(e.data) for e in stored if e.group_id == group]
        assert order == sorted(order)


def test_a_rate_is_shared_by_the_tasks(rows: Any, server: Endpoint) -> None:
    began = time.monotonic()
    write(rows, server, max_rate="300", tasks="2")
    # 600 rows of each of two tasks at 150 a second each: the first second's go at once.
    assert time.monotonic() - began > 3
    assert copies(server) == dict.fromkeys(range(ROWS), 1)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"service": None}, "service"),
    ({"service": "s3"}, "service"),
    ({"stream": None}, "stream"),
    ({"stream": "no such name"}, "stream"),
    ({"topic": "x"}, "topic"),
    ({"nonsense": "1"}, "nonsense"),
    ({"partition_key": "nobody"}, "partition_key"),
    ({"data": "number"}, "data"),
    ({"group": "user_id"}, "group"),
    ({"max_rate": "0"}, "max_rate"),
    ({"linger": "-1"}, "linger"),
    ({"region_name": "not a region"}, "region_name"),
    ({"endpoint_url": "nowhere"}, "endpoint_url"),
    ({"aws_secret_access_key": "hush"}, "aws_secret_access_key"),
]


@pytest.mark.parametrize(("options", "named"), BAD, ids=lambda value: str(value)[:30])
def test_a_bad_option_fails_on_the_driver(
    spark: Any, rows: Any, server: Endpoint, options: dict[str, Any], named: str
) -> None:
    spark.sparkContext.setJobGroup(f"bad {named}", "nothing may run")
    try:
        with pytest.raises(Exception, match=f"option '{named}': ") as caught:
            write(rows, server, **options)
        assert "hush" not in str(caught.value)
        tracker = spark.sparkContext.statusTracker()
        ran = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(f"bad {named}")]
        assert [job for job in ran if job and job.stageIds] == []
    finally:
        spark.sparkContext.setJobGroup("", "")
    assert server.request_count == 0


def test_what_is_there_cannot_be_overwritten(rows: Any, server: Endpoint) -> None:
    options = {"service": "kinesis", "stream": "clicks"}
    with pytest.raises(Exception, match=r"option 'mode': .*append"):
        rows.write.format("aws_publisher").options(**options).mode("overwrite").save()


def test_epochs_of_a_stream(spark: Any, rows: Any, server: Endpoint, tmp_path: Path) -> None:
    source, checkpoint = tmp_path / "in", tmp_path / "checkpoint"
    options = {
        "service": "kinesis",
        "stream": "clicks",
        "partition_key": "user_id",
        "endpoint_url": server.url,
        "region_name": "us-east-1",
        "checkpointLocation": str(checkpoint),
    }

    def run() -> Any:
        stream = spark.readStream.schema(rows.schema).option("maxFilesPerTrigger", "1")
        query = (
            stream.parquet(str(source))
            .writeStream.format("aws_publisher")
            .options(**options)
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        return query

    half = ROWS // 2
    rows.where(f"number < {half}").repartition(2).write.parquet(str(source), mode="append")
    query = run()
    assert len(query.recentProgress) >= 2, "a file an epoch"
    assert copies(server) == dict.fromkeys(range(half), 1)

    # What an epoch lost ends the query, and the epoch comes again: what it stored is there twice.
    rows.where(f"number >= {half}").coalesce(1).write.parquet(str(source), mode="append")
    server.script(
        lambda request: Answer(
            failures={
                index: Failure("KMSAccessDenied")
                for index, entry in enumerate(request.entries)
                if entry.data.startswith(b"000900")
            }
        )
    )
    with pytest.raises(Exception, match=r"1 rows lost.*KMSAccessDenied"):
        run()
    assert set(copies(server)) == set(range(ROWS)) - {900}
    server.script(None)
    run()
    found = copies(server)
    assert set(found) == set(range(ROWS))
    assert {number for number, count in found.items() if count == 2} == (
        set(range(half, ROWS)) - {900}
    )
    assert found[900] == 1
    assert all(found[number] == 1 for number in range(half))
