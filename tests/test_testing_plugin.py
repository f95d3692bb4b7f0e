"""pytest's plugin: inert until a fixture is used, and no test leaves anything to the next."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import boto3

import publisher
from publisher.testing import Capture


def test_published(published: Capture) -> None:
    publisher.client("sns").publish(TopicArn="arn:aws:sns:us-east-1:1:orders", Message="m")
    published.assert_sent("sns", count=1)


def test_published_in_moto(published_in_moto: Capture) -> None:
    kinesis = boto3.client("kinesis", "us-east-1")
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    ours = publisher.client("kinesis", region_name="us-east-1")
    ours.put_record(StreamName="clicks", Data=b"now", PartitionKey="1").result()
    published_in_moto.hold()
    ours.put_record(StreamName="clicks", Data=b"held", PartitionKey="1")
    shard: Any = kinesis.get_shard_iterator(
        StreamName="clicks", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )
    records = kinesis.get_records(ShardIterator=shard["ShardIterator"])["Records"]
    assert [record["Data"] for record in records] == [b"now"]


def test_nothing_is_left_of_the_other_tests() -> None:
    assert publisher.stats().total.accepted == 0
    assert publisher._default._closed_in is None


def test_pytest_finds_it() -> None:
    (found,) = entry_points(group="pytest11", name="publisher_pytest")
    assert found.value == "publisher_pytest"


def test_it_imports_nothing_until_a_fixture_is_used(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        """
import sys

def test_inert():
    assert "publisher_pytest" in sys.modules
    loaded = {"publisher", "boto3", "botocore", "tenacity", "moto"} & sys.modules.keys()
    assert not loaded, loaded

def test_used(published):
    assert "publisher" in sys.modules
    assert "moto" not in sys.modules
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:xdist", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
