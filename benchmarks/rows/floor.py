"""The CPU of one `put_records(500)`: this package, boto3, and the floor under both."""

from __future__ import annotations

import json
import resource
from binascii import b2a_base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from benchmarks.harness import Bench, Goal, Variant
from benchmarks.load import (
    ENVIRONMENT,
    REGION,
    STREAM,
    boto3_client,
    entries,
    messages,
    package,
)
from benchmarks.worker import Meter

Records = list[dict[str, Any]]


def open_floor(endpoint: str) -> Callable[[Records], int]:
    """The least that a signed request costs with botocore's signer and urllib3."""
    import urllib3
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    pool = urllib3.connectionpool.connection_from_url(endpoint, maxsize=1)
    credentials = Credentials(
        ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]
    )
    signer = SigV4Auth(credentials, "kinesis", REGION)
    ending = f'], "StreamName": {json.dumps(STREAM)}}}'.encode()

    def call(records: Records) -> int:
        parts = [
            b'{"Data": "%b", "PartitionKey": %b}'
            % (b2a_base64(each["Data"], newline=False), quote(each["PartitionKey"]).encode())
            for each in records
        ]
        body = b'{"Records": [' + b", ".join(parts) + ending
        headers = {
            "X-Amz-Target": "Kinesis_20131202.PutRecords",
            "Content-Type": "application/x-amz-json-1.1",
        }
        request = AWSRequest("POST", endpoint + "/", headers, body)
        signer.add_auth(request)
        answer = pool.urlopen(
            "POST", "/", body, headers=dict(request.headers.items()), retries=False
        )
        return sum("ErrorCode" in each for each in json.loads(answer.data)["Records"])

    return call


def open_boto3(endpoint: str) -> Callable[[Records], int]:
    """boto3's own call."""
    client = boto3_client("kinesis", endpoint)
    return lambda records: int(
        client.put_records(StreamName=STREAM, Records=records)["FailedRecordCount"]
    )


def open_publisher(endpoint: str) -> Callable[[Records], int]:
    """This package's call, its future awaited."""
    client = package().client("kinesis", endpoint_url=endpoint, region_name=REGION)
    return lambda records: int(
        client.put_records(StreamName=STREAM, Records=records).result(30)["FailedRecordCount"]
    )


def open_threaded(endpoint: str) -> Callable[[Records], int]:
    """The floor's call made by another thread, which is what a future is for."""
    call, pool = open_floor(endpoint), ThreadPoolExecutor(1)
    return lambda records: pool.submit(call, records).result(30)


KINDS = {
    "publisher": open_publisher,
    "boto3": open_boto3,
    "floor": open_floor,
    "floor on a thread": open_threaded,
}


def page_faults() -> int:
    """Return how often this process was given memory anew.

    A body that stands last in the heap goes back to the system at each call, and costs that again:
    whether it does is chance.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def measure(kind: str, endpoint: str, calls: int) -> dict[str, float]:
    """Make `calls` calls of 500 records one after the other; process CPU a call (ms)."""
    call = KINDS[kind](endpoint)
    records = entries("kinesis", messages("kinesis", 500))
    for _ in range(10):
        call(records)
    faults, meter = page_faults(), Meter()
    failed = sum(call(records) for _ in range(calls))
    wall, cpu = meter.read()
    faults = page_faults() - faults
    if failed:
        raise RuntimeError(f"{failed} records failed")
    return {"cpu_ms": cpu / calls * 1e3, "wall_ms": wall / calls * 1e3, "faults": faults / calls}


def goal_floor(bench: Bench) -> Goal:
    """CPU of one `put_records(500)` against the floor."""
    calls = bench.scale(100, 15)
    variants = {
        kind: Variant(measure, {"kind": kind, "calls": calls}, expect=calls * 500) for kind in KINDS
    }
    rows = bench.interleave("floor", variants)
    goal = Goal("CPU of one `put_records(500)` against own body + botocore's signer + urllib3")
    goal.at_most("times the floor", rows, "publisher", "floor", "cpu_ms", 1.1)
    threaded = goal.ratio(rows, "floor on a thread", "floor", "cpu_ms")
    goal.add("the floor on a thread of a pool, times the floor", threaded)
    goal.at_most(
        "times the floor on a thread", rows, "publisher", "floor on a thread", "cpu_ms", 1.1
    )
    for kind in KINDS:
        goal.add(f"{kind}: page faults a call", [row["faults"] for row in rows.get(kind, ())])
    goal.add("boto3, times the floor", goal.ratio(rows, "boto3", "floor", "cpu_ms"))
    return goal
