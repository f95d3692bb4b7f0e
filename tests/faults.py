"""The faults of a network and of a service, and what a publisher makes of each.

`tests/test_faults.py` provokes every one on a live server and holds the publisher to what is
written here; `python -m tests.fault_table` makes the table in docs/faults.md of the same data.
"""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.gate import Gate, certificate
from tests.servers import (
    HTML,
    Answer,
    Error,
    Failure,
    FaultProxy,
    Kinesalite,
    Request,
    ShardLimit,
)
from tests.support import until

BRIEF = 1.0  # a time-out that is to be met, seconds
BATCHES = ("PublishBatch", "SendMessageBatch", "PutRecords", "PutRecordBatch", "PutEvents")
#: Those that answer with two lists, by Id; and with an outcome for each entry, by position.
BY_ID = ("sns", "sqs")
BY_POSITION = ("kinesis", "firehose", "events")
HOST = "sns.nowhere.invalid"


@dataclasses.dataclass
class Stage:
    """A live server, the proxy in front of it, and how a client gets there."""

    service: str
    server: Any  # moto's, or kinesalite
    proxy: FaultProxy
    destination: str
    patch: pytest.MonkeyPatch
    folder: Path
    stack: ExitStack
    url: str = ""
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)  # of the client
    heal: Callable[[], Any] = lambda: None  # ends the fault


Start = Callable[[Stage], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault, and what the user sees of it.

    `code` is the error code of a try that met it, by service where they differ; None: it is
    delivered all the same. `ends` is the exception's class while the fault stays. Of three
    messages in one request `hit` are concerned, the others are delivered at once. `twice`: the
    service stored it although the try failed, so that a retry duplicates it. `tries`: how many are
    seen while it stays, where a policy allows two; `splits`: after it was cut out of its company,
    which no policy counts. `careful`: said to be perhaps stored, although
    here it never is.
    """

    name: str
    start: Start
    code: str | Mapping[str, str] | None
    ends: str | Mapping[str, str]
    tries: int = 2
    hit: tuple[int, ...] = (0, 1, 2)
    twice: bool = False
    careful: bool = False
    splits: bool = False
    inside: bool = False  # said of entries, by an answer with status 200 or one that is unreadable
    services: tuple[str, ...] = (*BY_ID, *BY_POSITION)
    connect_timeout: float = 3
    read_timeout: float = 10
    delivery_timeout: float = 20
    note: str = ""
    pause: float = 0.01  # seconds until a try meets that it has passed

    def of(self, value: Any, service: str) -> Any:
        """The value for a service: its own, or that of all which speak JSON."""
        if not isinstance(value, Mapping):
            return value
        return value[service if service in value else "json"]

    def raises(self, service: str) -> bool:
        """Whether the future of the call raises; put_events answers where boto3 does."""
        return bool(self.of(self.ends, service)) and not (self.inside and service == "events")

    @property
    def within(self) -> float:
        """Seconds within which every future ends."""
        return self.delivery_timeout + self.connect_timeout + self.read_timeout

    @property
    def final(self) -> bool:
        """Whether it ends a message at the first try, so that there is no second to succeed."""
        return self.tries < 2


def answer(made: Answer | Mapping[str, Answer]) -> Start:
    """Batches are answered so; everything else normally."""

    def start(stage: Stage) -> None:
        service = stage.service if isinstance(made, Answer) or stage.service in made else "json"
        chosen = made if isinstance(made, Answer) else made[service]
        stage.proxy.script(lambda request: chosen if request.operation in BATCHES else None)
        stage.heal = lambda: stage.proxy.script(None)

    return start


def entry(made: Callable[[int], Answer]) -> Start:
    """The answer for the place of the second message, wherever it is in the request."""

    def start(stage: Stage) -> None:
        def script(request: Request) -> Answer | None:
            places = [i for i, one in enumerate(request.entries) if b"message 1" in one.data]
            return made(places[0]) if places else None

        stage.proxy.script(script)
        stage.heal = lambda: stage.proxy.script(None)

    return start


def error(status: int, code: str, store: bool = False, text: str = "no") -> Answer:
    return Answer(error=Error(status, code, text), store=store)


def at_the_gate(fault: str) -> Start:
    def start(stage: Stage) -> None:
        gate = stage.stack.enter_context(Gate(stage.proxy.port, fault))
        stage.url = f"http://127.0.0.1:{gate.port}"
        stage.heal = gate.open

    return start


def tls_stall(stage: Stage) -> None:
    context, public = certificate(stage.folder)
    gate = stage.stack.enter_context(Gate(stage.proxy.port, "stall", context))
    stage.url = f"https://127.0.0.1:{gate.port}"
    stage.arguments["verify"] = public
    stage.heal = gate.open


def resolving(found: Callable[[], None]) -> Start:
    """The name of the endpoint is looked up by `found`, which raises or waits."""

    def start(stage: Stage) -> None:
        original, healed = socket.getaddrinfo, threading.Event()

        def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            if host != HOST:
                return original(host, *args, **kwargs)
            if not healed.is_set():
                found()
            return original("127.0.0.1", *args, **kwargs)

        stage.patch.setattr(socket, "getaddrinfo", look_up)
        stage.url = f"http://{HOST}:{stage.proxy.port}"
        stage.heal = healed.set

    return start


def unresolved() -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def throttled_shards(stage: Stage) -> None:
    stage.proxy.shard_limit = ShardLimit(records=0.001)
    stage.heal = lambda: setattr(stage.proxy, "shard_limit", None)


def no_credentials(stage: Stage) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        stage.patch.delenv(name)
    stage.arguments["session"] = boto3.Session()

    def heal() -> None:
        stage.patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        stage.patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")

    stage.heal = heal


def deleted(stage: Stage) -> None:
    name = stage.destination.rpartition(":")[2]
    server, ours = stage.server, stage.server.client(stage.service)
    if stage.service == "sns":
        ours.delete_topic(TopicArn=stage.destination)
        stage.heal = lambda: ours.create_topic(Name=name)
    elif stage.service == "sqs":
        ours.delete_queue(QueueUrl=stage.destination)
        stage.heal = lambda: ours.create_queue(QueueName=stage.destination.rpartition("/")[2])
    elif stage.service == "firehose":
        ours.delete_delivery_stream(DeliveryStreamName=name)
        stage.heal = lambda: delivery(server, name)
    elif stage.service == "events":
        ours.delete_event_bus(Name=name)
        stage.heal = lambda: ours.create_event_bus(Name=name)
    else:
        assert isinstance(server, Kinesalite)
        ours.delete_stream(StreamName=name)
        until(lambda: name not in ours.list_streams()["StreamNames"])
        stage.heal = lambda: server.stream(name=name)


def delivery(server: Any, name: str) -> None:
    """A Firehose stream of moto's that answers, and drops what it gets."""
    server.client("firehose").create_delivery_stream(
        DeliveryStreamName=name,
        RedshiftDestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/firehose",
            "ClusterJDBCURL": "jdbc:redshift://clicks.example:5439/clicks",
            "CopyCommand": {"DataTableName": "clicks"},
            "Username": "user",
            "Password": "password",
            "S3Configuration": {
                "RoleARN": "arn:aws:iam::123456789012:role/firehose",
                "BucketARN": "arn:aws:s3:::clicks",
            },
        },
    )


_WRONG_SIGNATURE = "The request signature we calculated does not match the signature you provided."
FAULTS = [
    Fault(
        name="connection refused",
        start=at_the_gate("refuse"),
        code="EndpointConnectionError",
        ends="EndpointConnectionError",
    ),
    Fault(
        name="SYN black hole: no packet is answered",
        start=at_the_gate("swallow"),
        connect_timeout=BRIEF,
        code="ConnectTimeoutError",
        ends="ConnectTimeoutError",
    ),
    Fault(
        name="TLS stall: connected, no handshake",
        start=tls_stall,
        connect_timeout=BRIEF,
        read_timeout=BRIEF,
        code="ReadTimeoutError",
        ends="ReadTimeoutError",
    ),
    Fault(
        name="DNS: the name is not found",
        start=resolving(unresolved),
        code="EndpointConnectionError",
        ends="EndpointConnectionError",
    ),
    Fault(
        name="reset before the service stored it",
        start=answer(Answer(reset="before")),
        code="ConnectionClosedError",
        ends="ConnectionClosedError",
        careful=True,
    ),
    Fault(
        name="reset after the service stored it",
        start=answer(Answer(reset="after")),
        code="ConnectionClosedError",
        ends="ConnectionClosedError",
        twice=True,
    ),
    Fault(
        name="500, not stored",
        start=answer(error(500, "InternalFailure")),
        code="InternalFailure",
        ends="ClientError",
        careful=True,
    ),
    Fault(
        name="500, stored all the same",
        start=answer(error(500, "InternalFailure", store=True)),
        code="InternalFailure",
        ends="ClientError",
        twice=True,
    ),
    Fault(
        name="503",
        start=answer(error(503, "ServiceUnavailable")),
        code="ServiceUnavailable",
        ends="ClientError",
        careful=True,
    ),
    Fault(
        name="429: the whole call is throttled",
        start=answer(
            {
                "sns": error(429, "Throttled"),
                "sqs": error(429, "RequestThrottled"),
                "json": error(429, "Throttling"),
            }
        ),
        code={"sns": "Throttled", "sqs": "RequestThrottled", "json": "Throttling"},
        ends={"sns": "ThrottledException", "sqs": "RequestThrottled", "json": "ClientError"},
    ),
    Fault(
        name="a shard's token bucket is empty",
        start=throttled_shards,
        code="ProvisionedThroughputExceededException",
        ends="ProvisionedThroughputExceededException",
        services=("kinesis",),
    ),
    Fault(
        name="an entry fails inside a 200",
        inside=True,
        start=entry(lambda i: Answer(failures={i: "InternalFailure"})),
        code="InternalFailure",
        ends="ClientError",
        hit=(1,),
    ),
    Fault(
        name="an entry is throttled inside a 200, and called its sender's fault",
        inside=True,
        start=entry(lambda i: Answer(failures={i: Failure("KMSThrottling", sender_fault=True)})),
        code="KMSThrottling",
        ends={"sns": "KMSThrottlingException", "json": "ClientError"},
        hit=(1,),
    ),
    Fault(
        name="a firewall answers 403 with a page of its own, because of one entry",
        start=entry(lambda _: Answer(status=403, body=b"<html>blocked</html>", store=False)),
        code="403",
        ends="ClientError",
        hit=(1,),
        splits=True,
    ),
    Fault(
        name="a redirect, 307",
        start=answer(Answer(status=307, body=b"", store=False)),
        code="307",
        ends={"sns": "ResponseParserError", "json": "ClientError"},
        note="not followed",
    ),
    Fault(
        name="slow, within `read_timeout`",
        start=answer(Answer(latency=0.2)),
        code=None,
        ends="",
    ),
    Fault(
        name="slower than `read_timeout`",
        start=answer(Answer(latency=BRIEF * 3)),
        read_timeout=BRIEF,
        code="ReadTimeoutError",
        ends="ReadTimeoutError",
        twice=True,
    ),
    Fault(
        name="dripping, complete after `read_timeout`",
        start=answer(Answer(drip=BRIEF / 2, pieces=5)),
        read_timeout=2 * BRIEF,
        code=None,
        ends="",
        note="`read_timeout` is for each piece, not for all of it",
    ),
    Fault(
        name="dripping without end",
        start=answer(Answer(drip=BRIEF / 5)),
        connect_timeout=0.2,
        read_timeout=BRIEF,
        code=None,
        ends="DeliveryTimeout",
        tries=0,
        twice=True,
        delivery_timeout=1,
        note="ends at `delivery_timeout` plus `connect_timeout` plus `read_timeout`",
    ),
    Fault(
        name="truncated body",
        inside=True,
        start=answer(Answer(truncate=20)),
        code={"sns": "ResponseParserError", "json": "MalformedResponse"},
        ends={"sns": "ResponseParserError", "json": "ClientError"},
        twice=True,
    ),
    Fault(
        name="HTML with status 200",
        inside=True,
        start=answer(HTML),
        code={"sns": "KeyError", "json": "MalformedResponse"},
        ends={"sns": "KeyError", "json": "ClientError"},
        twice=True,
    ),
    Fault(
        name="too few answers",
        inside=True,
        start=answer(Answer(results=2)),
        code="MalformedResponse",
        ends="ClientError",
        twice=True,
        services=BY_POSITION,
    ),
    Fault(
        name="too many answers",
        inside=True,
        start=answer(Answer(results=5)),
        code="MalformedResponse",
        ends="ClientError",
        twice=True,
        services=BY_POSITION,
    ),
    Fault(
        name="an answer for an Id nobody sent",
        start=entry(lambda i: Answer(unknown_ids={i})),
        code="MalformedResponse",
        ends="ClientError",
        hit=(1,),
        twice=True,
        services=BY_ID,
    ),
    Fault(
        name="an Id in neither list",
        start=entry(lambda i: Answer(omit={i})),
        code="MalformedResponse",
        ends="ClientError",
        hit=(1,),
        twice=True,
        services=BY_ID,
    ),
    Fault(
        name="the count of failures is 0 beside an error code",
        inside=True,
        start=entry(lambda i: Answer(failures={i: "InternalFailure"}, failed_count=0)),
        code="InternalFailure",
        ends="ClientError",
        hit=(1,),
        services=BY_POSITION,
    ),
    Fault(
        name="the count of failures is 3 without an error code",
        start=answer(Answer(failed_count=3)),
        code=None,
        ends="",
        services=BY_POSITION,
    ),
    Fault(
        name="expired credentials",
        start=answer(
            {"sns": error(403, "ExpiredToken"), "json": error(400, "ExpiredTokenException")}
        ),
        code={"sns": "ExpiredToken", "json": "ExpiredTokenException"},
        ends="ClientError",
        note="for 10 s, then final: another client is made meanwhile, at most once a second",
    ),
    Fault(
        name="no credentials",
        start=no_credentials,
        code="NoCredentialsError",
        ends="NoCredentialsError",
        note="for 10 s, then final: they are looked for again at most once a second",
        pause=1.1,
    ),
    Fault(
        name="the signature has expired",
        start=answer(
            {
                "sns": error(403, "SignatureDoesNotMatch", text="Signature expired"),
                "json": error(400, "InvalidSignatureException", text="Signature expired"),
            }
        ),
        code={"sns": "SignatureDoesNotMatch", "json": "InvalidSignatureException"},
        ends="ClientError",
        note="signed anew at once, twice at most: a wrong clock is final",
    ),
    Fault(
        name="a wrong secret key",
        start=answer(
            {
                "sns": error(403, "SignatureDoesNotMatch", text=_WRONG_SIGNATURE),
                "json": error(400, "InvalidSignatureException", text=_WRONG_SIGNATURE),
            }
        ),
        code={"sns": "SignatureDoesNotMatch", "json": "InvalidSignatureException"},
        ends="ClientError",
        tries=1,
    ),
    Fault(
        name="topic, queue, stream or bus deleted half-way",
        start=deleted,
        code={
            "sns": "NotFound",
            "sqs": "AWS.SimpleQueueService.NonExistentQueue",
            "json": "ResourceNotFoundException",
        },
        ends={
            "sns": "NotFoundException",
            "sqs": "QueueDoesNotExist",
            "json": "ResourceNotFoundException",
        },
        tries=1,
    ),
]
