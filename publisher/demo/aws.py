"""The demo's side of its AWS: start it, make a topic, queue and stream, and read them back."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import ProxyHandler, build_opener

import boto3

from . import COUNT_PATH

START_TIMEOUT = 60.0
"""Seconds that the server may take to start, on a cold and busy machine."""

SHARDS = 4


class DemoError(Exception):
    """The demo cannot go on; the text is for the person at the terminal."""


def isolate() -> None:
    """Forget every AWS and proxy setting of this process, so that no account can be touched.

    Profiles, endpoints and proxies of the user's would otherwise apply to the local server too.
    """
    for name in list(os.environ):
        if name.upper().startswith("AWS_") or name.upper().endswith("_PROXY"):
            del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="demo",
        AWS_SECRET_ACCESS_KEY="demo",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )


@contextmanager
def running_server() -> Iterator[str]:
    """Start the server in its own process and yield its address; raise `DemoError` if it cannot."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for us: the server serves until we are done
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                started = selector.select(START_TIMEOUT)
            port = process.stdout.readline().strip() if started else ""
            if not port:
                errors.seek(0)
                last = (errors.read().strip().splitlines() or ["it said nothing"])[-1]
                raise DemoError(f"the local server did not start: {last}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()  # its sign to stop
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


class Sink:
    """A topic with a queue behind it and a stream: where the lines go, and what came out there."""

    def __init__(self, url: str) -> None:
        self.sns: Any = boto3.client("sns", endpoint_url=url)
        self.kinesis: Any = boto3.client("kinesis", endpoint_url=url)
        self.sqs: Any = boto3.client("sqs", endpoint_url=url)
        self._count_url = f"{url}{COUNT_PATH}"
        self.topic = self.sns.create_topic(Name="demo")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="demo")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        self.sns.subscribe(
            TopicArn=self.topic,
            Protocol="sqs",
            Endpoint=attributes["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        self.stream = "demo"
        self.kinesis.create_stream(StreamName=self.stream, ShardCount=SHARDS)
        self.kinesis.get_waiter("stream_exists").wait(
            StreamName=self.stream, WaiterConfig={"Delay": 1}
        )
        shards = self.kinesis.describe_stream(StreamName=self.stream)["StreamDescription"]["Shards"]
        self._iterators = [
            self.kinesis.get_shard_iterator(
                StreamName=self.stream,
                ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )["ShardIterator"]
            for shard in shards
        ]

    def requests(self) -> int:
        """How many requests to publish the server has seen so far."""
        with build_opener(ProxyHandler({})).open(self._count_url, timeout=10) as response:
            return int(response.read())

    def read_queue(self) -> Iterator[tuple[int, bytes]]:
        """Take everything out of the queue: the number and the bytes of each line."""
        while True:
            messages = self.sqs.receive_message(
                QueueUrl=self.queue, MaxNumberOfMessages=10, MessageAttributeNames=["line"]
            ).get("Messages", [])
            if not messages:
                return
            for message in messages:
                number = int(message["MessageAttributes"]["line"]["StringValue"])
                yield number, message["Body"].encode()
            self.sqs.delete_message_batch(
                QueueUrl=self.queue,
                Entries=[
                    {"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]}
                    for n, m in enumerate(messages)
                ],
            )

    def read_stream(self) -> Iterator[tuple[int, bytes]]:
        """Read what the stream got since the last call: the number and the bytes of each line."""
        for shard in range(SHARDS):
            while True:
                answer = self.kinesis.get_records(ShardIterator=self._iterators[shard], Limit=1000)
                self._iterators[shard] = answer["NextShardIterator"]
                if not answer["Records"]:
                    break
                for record in answer["Records"]:
                    yield int(record["PartitionKey"]), record["Data"]
