"""What a job of a data engine may be told, and how fast its tasks go; no engine is needed."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from publisher import services
from publisher._account.ledger import Ledger
from publisher.contrib._columns import OptionError, parameters, with_columns
from publisher.contrib._jobs import job_of
from publisher.contrib._pace import Pace
from publisher.contrib._tasks import RowsLost, Written, settle

TOPIC = "arn:aws:sns:eu-west-3:000000000000:orders"
KINESIS = {"service": "kinesis", "stream": "clicks"}


def test_texts_are_what_an_engine_may_give() -> None:
    job = job_of(
        {
            **KINESIS,
            "max_workers": "4",
            "linger": "0.5",
            "max_rate": "1e3",
            "tasks": "8",
            "use_ssl": "false",
            "region_name": "eu-west-1",
        }
    )
    assert job.publisher == {"delivery_timeout": 300.0, "max_workers": 4, "linger": 0.5}
    assert job.client == {"region_name": "eu-west-1", "use_ssl": False}
    assert job.share(2) == 125.0
    assert pickle.loads(pickle.dumps(job)) == job


def test_a_region_is_that_of_the_arn() -> None:
    assert job_of({"service": "sns", "topic": TOPIC}).client == {"region_name": "eu-west-3"}
    given = {"service": "sns", "topic": TOPIC, "region_name": "us-east-1"}
    assert job_of(given).client == {"region_name": "us-east-1"}


def test_a_rate_without_tasks_is_shared_by_those_that_are_known() -> None:
    job = job_of({**KINESIS, "max_rate": 100})
    assert (job.share(4), job.share(0.5)) == (25.0, 100.0)
    assert job_of(KINESIS).share(4) is None


@pytest.mark.parametrize("name", services.names())
def test_each_service_has_its_option(name: str) -> None:
    option = services.load(name).option
    with pytest.raises(OptionError, match=f"option {option!r}: it is needed"):
        job_of({"service": name})


def test_parameters_that_leave_the_batch_or_the_destination_are_no_columns() -> None:
    kinesis, sns = services.load("kinesis"), services.load("sns")
    assert parameters(kinesis, {"StreamName": "clicks"}) == ["PartitionKey", "ExplicitHashKey"]
    assert set(parameters(sns, {"TopicArn": TOPIC})) == {
        "Subject",
        "MessageStructure",
        "MessageAttributes",
        "MessageGroupId",
        "MessageDeduplicationId",
    }


@pytest.mark.parametrize(
    ("options", "kinds", "columns"),
    [
        ({"partition_key": "user"}, {"data": "binary", "user": "text"}, {"PartitionKey": "user"}),
        ({"key_column": "user"}, {"value": "text", "user": "simple"}, {"PartitionKey": "user"}),
        ({}, {"message": "text", "key": "text", "other": "other"}, {"PartitionKey": "key"}),
        ({"explicit_hash_key": "h"}, {"data": "any", "h": "text"}, {"ExplicitHashKey": "h"}),
        ({"data": "text"}, {"text": "text", "data": "other"}, {}),
    ],
)
def test_columns_are_found(
    options: dict[str, str], kinds: dict[str, str], columns: dict[str, str]
) -> None:
    job = with_columns(job_of({**KINESIS, **options}), kinds)
    assert job.columns == columns
    assert job.body in kinds


@pytest.mark.parametrize(
    ("options", "kinds", "named"),
    [
        ({}, {"a": "text"}, "data"),
        ({"data": "b"}, {"a": "text"}, "data"),
        ({"message": "a"}, {"a": "map"}, "data"),
        ({"key": "k"}, {"data": "text", "k": "other"}, "partition_key"),
        ({"key": "k", "partition_key": "k"}, {"data": "text", "k": "text"}, "partition_key"),
        ({"subject": "s"}, {"data": "text", "s": "text"}, "subject"),
    ],
)
def test_a_column_that_cannot_be_is_told_with_its_option(
    options: dict[str, str], kinds: dict[str, str], named: str
) -> None:
    with pytest.raises(OptionError, match=f"option '{named}': "):
        with_columns(job_of({**KINESIS, **options}), kinds)


def test_a_fifo_destination_needs_groups() -> None:
    job = job_of({"service": "sns", "topic": TOPIC + ".fifo"})
    with pytest.raises(OptionError, match="option 'group': a FIFO topic needs"):
        with_columns(job, {"data": "text"})
    assert with_columns(job, {"data": "text", "group": "simple"}).columns == {
        "MessageGroupId": "group"
    }


@pytest.mark.parametrize(
    "name", ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]
)
def test_credentials_are_refused_and_not_shown(name: str) -> None:
    with pytest.raises(OptionError, match=f"option '{name}': .*role") as caught:
        job_of({**KINESIS, name: "hush"})
    assert "hush" not in str(caught.value)


def test_an_address_with_a_password_is_not_shown() -> None:
    with pytest.raises(OptionError, match="option 'endpoint_url': ") as caught:
        job_of({**KINESIS, "endpoint_url": "http://me:hush@bad host:1/?token=hush"})
    assert "hush" not in str(caught.value)


def written(rows: int, delivered: int, **more: Any) -> Written:
    ledger = Ledger(accepted=rows, delivered=delivered, failed=rows - delivered)
    return Written(rows, ledger=ledger, **more)


def test_a_job_with_losses_fails_unless_they_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    job = job_of(KINESIS)
    assert settle(job, [written(5, 5), None, written(7, 7)]).ledger.delivered == 12
    lost = [written(5, 5), written(7, 6, reasons={"KMSAccessDenied": 1}, letters=("host:/a",))]
    with pytest.raises(RowsLost, match="1 rows lost, 0 of them never sent: 1 times KMSAccess"):
        settle(job, lost)
    caplog.clear()
    settle(job_of({**KINESIS, "dead_letters": "/letters"}), lost)
    assert "host:/a" in caplog.text


def test_a_share_is_kept() -> None:
    pace = Pace(100.0, now=0.0)
    assert pace.most(5_000) == 100
    assert [pace.wait(100, 0.0) for _ in range(3)] == [0.0, 1.0, 2.0]
    assert pace.wait(100, 10.0) == 0.0, "what was not used is not kept for later"
    pace.learn(100, 0, 1.0)
    assert pace.rate == 100.0


def test_throttling_is_learnt_from_and_forgotten() -> None:
    pace = Pace(None, now=0.0)
    assert (pace.most(5_000), pace.wait(5_000, 0.0), pace.window) == (5_000, 0.0, 1_000)
    pace.learn(1_000, 0, 1.0)
    assert pace.window == 2_000
    pace.learn(400, 700, 1.0)
    assert pace.rate == pytest.approx(360.0)
    assert pace.window == 2_000
    pace.learn(0, 700, 1.0)
    assert pace.rate == pytest.approx(180.0)
    for _ in range(10):
        pace.learn(0, 700, 1.0)
    assert pace.rate == 1.0
    assert (pace.window, pace.most(5_000)) == (10, 1)
    for _ in range(40):
        pace.learn(10, 0, 1.0)
    assert pace.rate == pytest.approx(1.1**40)
    assert pace.window > 400


def test_a_first_look_that_finds_all_rows_in_a_backoff_leaves_a_rate() -> None:
    pace = Pace(None, now=0.0)
    pace.learn(0, 700, 1.0)
    assert pace.rate == 100.0


def test_a_share_below_one_row_a_second_stays_one() -> None:
    pace = Pace(0.5, now=0.0)
    assert (pace.most(10), pace.wait(1, 0.0), pace.wait(1, 0.0)) == (1, 0.0, 2.0)
    pace.learn(0, 1, 1.0)
    assert pace.rate == 0.5


def test_what_is_learnt_never_exceeds_the_share() -> None:
    pace = Pace(100.0, now=0.0)
    pace.learn(500, 1, 1.0)
    assert pace.rate == pytest.approx(90.0)
    for _ in range(5):
        pace.learn(500, 0, 1.0)
    assert pace.rate == 100.0
