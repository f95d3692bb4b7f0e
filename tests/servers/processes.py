"""Real servers in processes of their own: moto (SNS, SQS, Kinesis) and kinesalite (Kinesis).

Each says its port when it listens, and ends when the pipe to its standard input closes: at the end
of the `with` block, and also when the test process is killed. Kinesis records are counted in
kinesalite only: moto loses some under threads.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import fcntl
import importlib.util
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers.recording import make_client

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
READY_TIMEOUT = 60.0  # seconds; importing moto on a busy machine takes a few
NPM_TIMEOUT = 300.0


class UnavailableError(Exception):
    """A server cannot be had on this machine; says what is missing."""


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    def client(self, service: str, **kwargs: Any) -> Any:
        """A plain boto3 client of this server (dummy credentials, us-east-1)."""
        return make_client(service, self.url, **kwargs)


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Starts a command that prints `port N` when it listens; its URL and process. Stops it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env=environment,
        ) as process,
    ):
        try:
            line = _first_line(process)
            if not line.startswith(b"port "):
                log.seek(0)
                raise RuntimeError(f"{command} did not start: {line!r} {log.read()[-2000:]!r}")
            yield f"http://127.0.0.1:{int(line.split()[1])}", process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """What the process prints first; less than a line if it ends or is not ready in time."""
    assert process.stdout is not None
    deadline = time.monotonic() + READY_TIMEOUT
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n") and selector.select(max(0, deadline - time.monotonic())):
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                break
            line += piece
    return line


# SNS, by moto, read back through a queue


@dataclasses.dataclass(frozen=True)
class Message:
    """A message as it arrived in the queue behind a topic."""

    body: str
    attributes: dict[str, tuple[str, bytes]]  # name -> type, value; as in `Entry`
    system: dict[str, str]  # `Attributes`: MessageGroupId, MessageDeduplicationId, ...
    subject: str | None = None  # with `raw=False` only


@dataclasses.dataclass(frozen=True)
class Topic:
    """A topic with a queue behind it that gets every message."""

    arn: str
    queue_url: str
    raw: bool
    sqs: Any

    def drain(self, expect: int = 0, timeout: float = 30) -> list[Message]:
        """Takes all messages out of the queue, in its order, waiting until there are `expect`.

        Returns what there is, more or fewer, after `timeout` seconds at the latest; what arrives
        after the first empty answer beyond `expect` is not waited for. Publish first, drain then:
        moto may lose a message that is sent while another is deleted, and it forgets the
        de-duplication ids of the messages it has deleted.
        """
        deadline = time.monotonic() + timeout
        messages: list[Message] = []
        while True:
            wait = 1 if len(messages) < expect else 0
            received = self.sqs.receive_message(
                QueueUrl=self.queue_url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=wait,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not received and (len(messages) >= expect or time.monotonic() >= deadline):
                return messages
            messages += [_raw(one) if self.raw else _enveloped(one) for one in received]
            if received:
                self.sqs.delete_message_batch(
                    QueueUrl=self.queue_url,
                    Entries=[
                        {"Id": str(i), "ReceiptHandle": one["ReceiptHandle"]}
                        for i, one in enumerate(received)
                    ],
                )


def _raw(received: dict[str, Any]) -> Message:
    attributes = {
        name: (value["DataType"], value.get("StringValue", "").encode())
        for name, value in received.get("MessageAttributes", {}).items()
    }
    return Message(received["Body"], attributes, received.get("Attributes", {}))


def _enveloped(received: dict[str, Any]) -> Message:
    envelope = json.loads(received["Body"])
    attributes = {
        name: (
            value["Type"],
            base64.b64decode(value["Value"])
            if value["Type"].startswith("Binary")
            else str(value["Value"]).encode(),
        )
        for name, value in envelope.get("MessageAttributes", {}).items()
    }
    return Message(
        envelope["Message"], attributes, received.get("Attributes", {}), envelope.get("Subject")
    )


@dataclasses.dataclass(frozen=True)
class Moto(Server):
    """moto's server; its state is shared by all tests: use topics of your own."""

    def topic(
        self, name: str | None = None, *, fifo: bool = False, raw: bool = True, **attributes: str
    ) -> Topic:
        """Creates a topic and a queue that gets its messages; a unique name unless one is given.

        `attributes` are the topic's, for example `ContentBasedDeduplication="true"`. `raw` is for
        raw message delivery; without it messages travel in SNS's envelope, where binary attributes
        are whole (moto 5.2 cannot deliver them raw: the queue then fails to hand the message out).
        """
        name = (name or f"topic-{uuid.uuid4().hex}").removesuffix(".fifo") + ".fifo" * fifo
        sns, sqs = self.client("sns"), self.client("sqs")
        kind = {"FifoTopic": "true"} if fifo else {}
        arn = sns.create_topic(Name=name, Attributes={**kind, **attributes})["TopicArn"]
        queue = {"FifoQueue": "true"} if fifo else {}
        queue_url = sqs.create_queue(QueueName=name, Attributes=queue)["QueueUrl"]
        queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        sns.subscribe(
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=queue_arn["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"} if raw else {},
        )
        return Topic(arn, queue_url, raw, sqs)


@contextlib.contextmanager
def moto() -> Iterator[Moto]:
    """Raises UnavailableError where moto is not installed."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        raise UnavailableError("moto[server] is not installed")
    with running([sys.executable, "-m", "tests.servers.moto_main"]) as (url, process):
        yield Moto(url, process)


# Kinesis, by kinesalite


@dataclasses.dataclass(frozen=True)
class Kinesalite(Server):
    """kinesalite; takes records of up to 1 MiB and requests of up to 7 MiB (as JSON).

    It knows streams by `StreamName` only, not by ARN.
    """

    def stream(self, shards: int = 1, name: str | None = None, timeout: float = 10) -> str:
        """Creates a stream, waits until it is active, and returns its name (unique by default)."""
        name = name or f"stream-{uuid.uuid4().hex}"
        kinesis = self.client("kinesis")
        kinesis.create_stream(StreamName=name, ShardCount=shards)
        deadline = time.monotonic() + timeout
        while True:
            described = kinesis.describe_stream_summary(StreamName=name)
            status = described["StreamDescriptionSummary"]["StreamStatus"]
            if status == "ACTIVE":
                return name
            if time.monotonic() > deadline:
                raise TimeoutError(f"stream {name} is still {status} after {timeout} s")

    def records(self, stream: str) -> list[dict[str, Any]]:
        """All records of a stream, shard after shard, as in `get_records`, with `ShardId` added."""
        kinesis = self.client("kinesis")
        found = []
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
            iterator = kinesis.get_shard_iterator(
                StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while page := kinesis.get_records(ShardIterator=iterator, Limit=10_000):
                found += [{**record, "ShardId": shard["ShardId"]} for record in page["Records"]]
                if not page["Records"]:
                    break
                iterator = page["NextShardIterator"]
        return found


def install_kinesalite() -> None:
    """Installs what tests/package-lock.json pins, unless it is there. Raises UnavailableError."""
    wanted = json.loads((TESTS / "package.json").read_text())["dependencies"]["kinesalite"]
    installed = TESTS / "node_modules" / "kinesalite" / "package.json"
    with (TESTS / "package.json").open() as lock:  # several test processes may start at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and json.loads(installed.read_text())["version"] == wanted:
            return
        npm = shutil.which("npm")
        if npm is None:
            raise UnavailableError("npm is not installed (kinesalite comes from there)")
        command = [npm, "ci", "--ignore-scripts", "--omit=optional", "--prefix", str(TESTS)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=NPM_TIMEOUT)
        except subprocess.CalledProcessError as error:
            raise UnavailableError(f"npm ci failed: {error.stderr.decode()[-500:]}") from error
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"npm ci took more than {NPM_TIMEOUT} s") from error


@contextlib.contextmanager
def kinesalite() -> Iterator[Kinesalite]:
    """Raises UnavailableError where node or npm is missing, or npm cannot install."""
    node = shutil.which("node")
    if node is None:
        raise UnavailableError("node is not installed (kinesalite runs on it)")
    install_kinesalite()
    with running([node, str(TESTS / "servers" / "kinesalite.js")]) as (url, process):
        yield Kinesalite(url, process)
