"""A real Ray writes: every row is stored, or told of."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engines.conftest import ROWS, body, copies, killing
from tests.servers import Answer, Endpoint, Failure, ShardLimit

pytestmark = pytest.mark.engines

TOPIC = "arn:aws:sns:us-east-1:000000000000:orders.fifo"
QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/jobs"


@pytest.fixture(scope="module")
def rows(ray_data: Any) -> Any:
    """Rows in two blocks: `number`, `user_id`, `data`."""
    import pyarrow as pa

    half = ROWS // 2
    tables = [
        pa.table(
            {
                "number": list(numbers),
                "user_id": [f"user-{number}" for number in numbers],
                "data": [body(number) for number in numbers],
            }
        )
        for numbers in (range(half), range(half, ROWS))
    ]
    return ray_data.from_arrow(tables).materialize()


def write(rows: Any, server: Endpoint, service: str = "kinesis", **options: Any) -> Any:
    from publisher.contrib.ray import publisher_sink

    given = {
        "stream": "clicks",
        "partition_key": "user_id",
        "endpoint_url": server.url,
        "region_name": "us-east-1",
        **options,
    }
    sink = publisher_sink(service, **{name: value for name, value in given.items() if value})
    rows.write_datasink(sink)
    return sink.written


def refuse_row(number: int) -> Any:
    """A script that refuses one row for good."""
    return lambda request: Answer(
        failures={
            index: Failure("KMSAccessDenied")
            for index, entry in enumerate(request.entries)
            if int(entry.data[:6]) == number
        }
    )


def test_each_row_is_stored_once_with_its_key(rows: Any, server: Endpoint) -> None:
    written = write(rows, server)
    assert {(entry.partition_key, entry.data) for entry in server.stored()} == {
        (f"user-{number}", body(number)) for number in range(ROWS)
    }
    assert copies(server) == dict.fromkeys(range(ROWS), 1)
    assert (written.rows, written.lost, written.ledger.delivered) == (ROWS, 0, ROWS)
    assert server.request_count < 10


def test_blocks_of_pandas_are_written_too(ray_data: Any, server: Endpoint) -> None:
    import pandas as pd

    frame = pd.DataFrame({"key": ["a", "b"], "value": ["000001", "000002"]})
    write(ray_data.from_pandas(frame), server, partition_key=None)
    assert {(e.partition_key, e.data) for e in server.stored()} == {
        ("a", b"000001"),
        ("b", b"000002"),
    }


@pytest.mark.parametrize(
    ("service", "destination"),
    [
        ("sns", {"topic": TOPIC.removesuffix(".fifo")}),
        ("sqs", {"queue": QUEUE}),
        ("kinesis", {"stream": "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"}),
        ("firehose", {"delivery_stream": "clicks"}),
        ("events", {"bus": "orders", "detail_type": "kind"}),
    ],
)
def test_each_service(
    ray_data: Any, server: Endpoint, service: str, destination: dict[str, str]
) -> None:
    count = 25
    rows = ray_data.from_items(
        [{"message": f'{{"number": {number}}}', "kind": "paid"} for number in range(count)]
    )
    options = {"stream": None, "partition_key": None, **destination}
    assert write(rows, server, service, **options).ledger.delivered == count
    numbers = [json.loads(entry.data)["number"] for entry in server.stored(service)]
    assert sorted(numbers) == list(range(count))
    if service == "events":
        sent = [e for request in server.requests for e in request.params["Entries"]]
        assert {each["DetailType"] for each in sent} == {"paid"}


def test_a_row_without_a_body_is_bad(ray_data: Any, server: Endpoint) -> None:
    from publisher.contrib.ray import RowsLost

    rows = ray_data.from_items([{"data": "000001", "key": "a"}, {"data": None, "key": "b"}])
    with pytest.raises(RowsLost, match=r"1 rows lost, 1 of them never sent: .*the body is null"):
        write(rows, server, partition_key="key")
    assert set(copies(server)) == {1}


def test_a_throttled_stream_loses_nothing(rows: Any, server: Endpoint) -> None:
    server.shard_limit = ShardLimit(records=150)
    written = write(rows, server)
    assert copies(server) == dict.fromkeys(range(ROWS), 1)
    assert written.ledger.retries > 0
    assert len(server.entries) < 12 * ROWS


def test_a_killed_worker_loses_nothing(rows: Any, server: Endpoint) -> None:
    with killing(server, "ray::Write"):
        written = write(rows, server, read_timeout=120)
    found = copies(server)
    assert set(found) == set(range(ROWS))
    twice = sum(found.values()) - ROWS
    assert 0 < twice <= ROWS // 2, "of the task that was run again, what it had stored before"
    assert written.ledger.delivered == ROWS


def test_a_lost_row_fails_the_job(rows: Any, server: Endpoint) -> None:
    from publisher.contrib.ray import RowsLost

    server.script(refuse_row(7))
    with pytest.raises(RowsLost, match=r"1 rows lost.*1 times KMSAccessDenied"):
        write(rows, server)
    assert copies(server) == dict.fromkeys(set(range(ROWS)) - {7}, 1)


def test_lost_and_bad_rows_become_dead_letters(
    ray_data: Any, rows: Any, server: Endpoint, tmp_path: Path
) -> None:
    def lengthen(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "user_id": "k" * 300} if row["number"] == 3 else row

    server.script(refuse_row(900))
    folder = tmp_path / "letters"
    written = write(rows.map(lengthen), server, dead_letters=str(folder))
    assert (written.rows, written.bad, written.lost) == (ROWS, 1, 2)
    assert copies(server) == dict.fromkeys(set(range(ROWS)) - {3, 900}, 1)
    paths = list(folder.iterdir())
    assert {place.partition(":")[2] for place in written.letters} == set(map(str, paths))
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    letters = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    found = {letter["row"]["number"]: letter["error"] for letter in letters}
    assert found.keys() == {3, 900}
    assert "256" in found[3]
    assert found[900] == "KMSAccessDenied"


def test_columns_become_parameters_of_a_fifo_topic(ray_data: Any, server: Endpoint) -> None:
    count = 60
    messages = ray_data.from_items(
        [
            {
                "message": f"{number:06}",
                "group": number % 3,
                "event": f"id-{number}",
                "attributes": {"kind": "paid", "total": 3},
            }
            for number in range(count)
        ]
    ).repartition(1)
    columns = {"stream": None, "partition_key": None, "dedup_column": "event"}
    write(messages, server, "sns", topic=TOPIC, **columns)
    stored = server.stored("sns")
    assert {(e.group_id, e.deduplication_id) for e in stored} == {
        (str(number % 3), f"id-{number}") for number in range(count)
    }
    assert {tuple(sorted(e.attributes.items())) for e in stored} == {
        (("kind", ("String", b"paid")), ("total", ("Number", b"3")))
    }


def test_a_rate_is_shared_by_the_tasks(rows: Any, server: Endpoint) -> None:
    began = time.monotonic()
    write(rows, server, max_rate=300)  # Ray knows that there are two cores
    # 600 rows of each of two tasks at 150 a second each: the first second's go at once.
    assert time.monotonic() - began > 3
    assert copies(server) == dict.fromkeys(range(ROWS), 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"stream": None}, "stream"),
        ({"stream": "no such name"}, "stream"),
        ({"nonsense": 1}, "nonsense"),
        ({"group": "user_id"}, "group"),
        ({"max_rate": -1}, "max_rate"),
        ({"max_workers": "many"}, "max_workers"),
        ({"dead_letters": 3}, "dead_letters"),
        ({"region_name": "not a region"}, "region_name"),
        ({"aws_session_token": "hush"}, "aws_session_token"),
        ({"partition_key": "nobody"}, "partition_key"),
        ({"data": "number"}, "data"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_option_fails_on_the_driver(
    rows: Any, server: Endpoint, options: dict[str, Any], named: str
) -> None:
    from publisher.contrib.ray import OptionError

    with pytest.raises(OptionError, match=f"option '{named}': ") as caught:
        write(rows, server, **options)
    assert "hush" not in str(caught.value)
    assert server.request_count == 0
