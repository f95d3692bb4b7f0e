"""What the test servers share: the parsed request, the vocabulary of faults, and both wire formats.

SNS speaks the query protocol (a form in, XML out), the others speak JSON. A request is parsed into
entries with their exact bytes; an answer is rendered from one result per entry. `Answer` says how
to deviate from the normal answer, and means the same to the endpoint and to the proxy.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import threading
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

SNS_NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
BATCHES = {
    "PublishBatch",
    "SendMessageBatch",
    "PutRecords",
    "PutRecordBatch",
    "PutEvents",
    "PutParcels",
}
SINGLES = {"PutParcel", "Publish", "SendMessage", "PutRecord"}
#: Batches whose entries have Ids, and what stands before an entry's number in the query protocol.
BY_ID = {
    "PublishBatch": "PublishBatchRequestEntries.member.",
    "SendMessageBatch": "SendMessageBatchRequestEntry.",
}
#: Of the services that speak JSON: the beginning of their operations' names on the wire.
TARGETS = {
    "Kinesis_": "kinesis",
    "Firehose_": "firehose",
    "AWSEvents": "events",
    "Parcels_": "parcels",
    "AmazonSQS": "sqs",
}


class Listed(NamedTuple):
    """The names in a batch that is answered by position."""

    entries: str
    outcomes: str
    failed: str


LISTS = {
    "PutRecords": Listed("Records", "Records", "FailedRecordCount"),
    "PutRecordBatch": Listed("Records", "RequestResponses", "FailedPutCount"),
    "PutParcels": Listed("Parcels", "Outcomes", "FailedCount"),  # of a service that is made up
    "PutEvents": Listed("Entries", "Entries", "FailedEntryCount"),
}


@dataclasses.dataclass(frozen=True)
class Failure:
    """One entry's failure inside a 200 answer. Kinesis has no `sender_fault`."""

    code: str
    message: str = "failed by the test"
    sender_fault: bool = False


@dataclasses.dataclass(frozen=True)
class Error:
    """A failure of the whole request."""

    status: int
    code: str
    message: str = "failed by the test"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """How to deviate from the normal answer; the fields combine. Times are in seconds.

    Entries: `failures` (index -> Failure or its code), `results` (answer exactly so many entries),
    `unknown_ids` (indices answered under an Id nobody sent), `omit` (indices left out of the
    answer; in SNS these are in neither list), `failed_count` (what the count of failures claims).

    Whole answers: `error`; `body` (raw, with `status` and `content_type`); `headers` (added, or
    replacing the server's own of that name).

    Transport, in this order, all after the request was stored (unless `store` says otherwise):
    `latency`; `hold` (until the event is set, which `close()` of the server does too);
    `reset` ("before" or "after" the store: RST instead of an answer); `truncate` (so many bytes of
    the body under the full Content-Length, then closed); `drip` (a piece every so many seconds:
    byte by byte and without end, or the whole body in `pieces`); `close` (the connection is closed
    after the answer, without having said so).

    `store`: whether the good entries are stored. By default they are, except with `error` and with
    `reset="before"`.
    """

    failures: Mapping[int, Failure | str] = dataclasses.field(default_factory=dict)
    results: int | None = None
    unknown_ids: Collection[int] = ()
    omit: Collection[int] = ()
    failed_count: int | None = None
    error: Error | None = None
    body: bytes | None = None
    status: int = 200
    content_type: str = "text/html"
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    latency: float = 0
    hold: threading.Event | None = None
    reset: Literal["before", "after"] | None = None
    truncate: int | None = None
    drip: float | None = None
    pieces: int | None = None
    close: bool = False
    store: bool | None = None

    @property
    def stores(self) -> bool:
        if self.store is not None:
            return self.store
        return self.error is None and self.reset != "before"

    def failure(self, index: int) -> Failure | None:
        found = self.failures.get(index)
        return Failure(found) if isinstance(found, str) else found


HTML = Answer(body=b"<html><body><h1>Service is busy</h1></body></html>")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One message or record, as it was on the wire. `data` is the body, decoded, byte for byte."""

    service: str
    destination: str  # topic ARN, target ARN, phone number; stream name
    data: bytes
    id: str | None = None
    partition_key: str | None = None
    explicit_hash_key: str | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    subject: str | None = None
    structure: str | None = None
    attributes: Mapping[str, tuple[str, bytes]] = dataclasses.field(default_factory=dict)
    event: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # EventBridge's, whole

    delay: int | None = None
    trace: str | None = None  # AWSTraceHeader

    @property
    def size(self) -> int:
        """Bytes as AWS counts them: body, attribute names, types and values, partition key.

        Of an event: 14 for its time, and its source, type, detail and resources.
        """
        if self.event:
            texts = [self.event.get(name, "") for name in ("Source", "DetailType", "Detail")]
            texts += self.event.get("Resources", [])
            return sum(len(text.encode()) for text in texts) + (14 if "Time" in self.event else 0)
        attributes = sum(
            len(name.encode()) + len(kind.encode()) + len(value)
            for name, (kind, value) in self.attributes.items()
        )
        return len(self.data) + len((self.partition_key or "").encode()) + attributes


@dataclasses.dataclass(eq=False)
class Request:
    """One request as it arrived; `finished` is set when its answer is out or its connection broke.

    `headers` has lower-case names. `params` is the parsed body (nested dicts for SNS). Times are
    `time.monotonic()`.
    """

    number: int
    connection: int
    arrived: float
    service: str
    operation: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    params: dict[str, Any]
    entries: tuple[Entry, ...]
    method: str = "POST"
    finished: float | None = None

    @property
    def speaks_json(self) -> bool:
        return "x-amz-target" in self.headers

    @property
    def destination(self) -> str:
        return self.entries[0].destination if self.entries else ""


@dataclasses.dataclass(frozen=True)
class Stored:
    """What the service says about an entry that it took."""

    message_id: str = ""  # SNS; Firehose's RecordId, EventBridge's EventId
    sequence_number: str | None = None
    shard_id: str = ""  # Kinesis


Result = Stored | Failure


@dataclasses.dataclass(frozen=True)
class Reply:
    """A complete HTTP answer."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class BadRequestError(Exception):
    """The body cannot be understood; answered with a whole-request error."""

    def __init__(self, service: str, error: Error) -> None:
        super().__init__(error.message)
        self.service = service
        self.error = error


# Requests


def service_of(headers: Mapping[str, str]) -> str:
    for beginning, service in TARGETS.items():
        if headers.get("x-amz-target", "").startswith(beginning):
            return service
    scope = headers.get("authorization", "").partition("Credential=")[2].split(",")[0].split("/")
    return scope[3] if len(scope) > 3 else "sns"


def parse(service: str, headers: Mapping[str, str], body: bytes) -> tuple[str, dict[str, Any]]:
    """The operation and the parameters of a request. Raises BadRequestError."""
    if "x-amz-target" in headers:
        operation = headers["x-amz-target"].rpartition(".")[2]
        try:
            params = json.loads(body or b"{}")
        except ValueError as error:
            raise BadRequestError(
                service, Error(400, "SerializationException", str(error))
            ) from error
        return operation, params
    params = unflatten(form(body))
    return str(params.get("Action", "")), params


def form(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise BadRequestError("sns", Error(400, "MalformedQueryString", str(error))) from error


def unflatten(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """`a.member.1.Id=x` becomes `{"a": {"member": {"1": {"Id": "x"}}}}`."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        node = tree
        *parents, last = name.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def numbered(node: Mapping[str, Any] | str, kind: str) -> list[Any]:
    """The items of a query-protocol list or map, in the order of their numbers."""
    if isinstance(node, str):  # an empty list is `Name=`
        return []
    return [item for _, item in sorted(node.get(kind, {}).items(), key=lambda pair: int(pair[0]))]


def entries_of(service: str, operation: str, params: Mapping[str, Any]) -> tuple[Entry, ...]:
    """The messages in a request, in order; none for operations that carry none."""
    if operation == "PublishBatch":
        topic = params.get("TopicArn", "")
        batch = numbered(params.get("PublishBatchRequestEntries", {}), "member")
        return tuple(_message(topic, one) for one in batch)
    if operation == "Publish":
        target = params.get("TopicArn") or params.get("TargetArn") or params.get("PhoneNumber", "")
        return (_message(target, params),)
    if operation == "SendMessageBatch":
        queue = params.get("QueueUrl", "")
        found = params.get("Entries") or numbered(params, "SendMessageBatchRequestEntry")
        return tuple(_to_queue(queue, one) for one in found)
    if operation == "SendMessage":
        return (_to_queue(params.get("QueueUrl", ""), params),)
    if operation == "PutEvents":
        return tuple(_event(one) for one in params.get("Entries", ()))
    if operation in LISTS:
        entries = params.get(LISTS[operation].entries, ())
        return tuple(_record(service, stream_of(params), one) for one in entries)
    if operation == "PutRecord":
        return (_record(service, stream_of(params), params.get("Record", params)),)
    if operation == "PutParcel":
        return (_record(service, stream_of(params), params),)
    return ()


def stream_of(params: Mapping[str, Any]) -> str:
    name = params.get("StreamName") or params.get("DeliveryStreamName") or params.get("Depot")
    return str(name or params.get("StreamARN", "").rpartition("/")[2])


def _message(target: str, fields: Mapping[str, Any]) -> Entry:
    attributes = {}
    for one in numbered(fields.get("MessageAttributes", {}), "entry"):
        value = one["Value"]
        data = (
            base64.b64decode(value["BinaryValue"])
            if "BinaryValue" in value
            else value.get("StringValue", "").encode()
        )
        attributes[one["Name"]] = (value.get("DataType", ""), data)
    return Entry(
        service="sns",
        destination=target,
        data=fields.get("Message", "").encode(),
        id=fields.get("Id"),
        group_id=fields.get("MessageGroupId"),
        deduplication_id=fields.get("MessageDeduplicationId"),
        subject=fields.get("Subject"),
        structure=fields.get("MessageStructure"),
        attributes=attributes,
    )


def _to_queue(queue: str, fields: Mapping[str, Any]) -> Entry:
    delay = fields.get("DelaySeconds")
    system = _attributes(fields, "MessageSystemAttribute")
    return Entry(
        service="sqs",
        destination=queue,
        data=fields.get("MessageBody", "").encode(),
        id=fields.get("Id"),
        group_id=fields.get("MessageGroupId"),
        deduplication_id=fields.get("MessageDeduplicationId"),
        attributes=_attributes(fields, "MessageAttribute"),
        delay=None if delay is None else int(delay),
        trace=system["AWSTraceHeader"][1].decode() if system else None,
    )


def _attributes(fields: Mapping[str, Any], name: str) -> dict[str, tuple[str, bytes]]:
    """Of SQS: a dict in JSON, numbered in the query protocol."""
    pairs = numbered(fields, name)
    given = {one["Name"]: one["Value"] for one in pairs} or fields.get(f"{name}s", {})
    return {
        each: (
            value["DataType"],
            base64.b64decode(value["BinaryValue"])
            if "BinaryValue" in value
            else value.get("StringValue", "").encode(),
        )
        for each, value in given.items()
    }


def _event(fields: Mapping[str, Any]) -> Entry:
    return Entry(
        service="events",
        destination=fields.get("EventBusName", "default"),
        data=fields.get("Detail", "").encode(),
        event=fields,
    )


def _record(service: str, stream: str, fields: Mapping[str, Any]) -> Entry:
    return Entry(
        service=service,
        destination=stream,
        data=base64.b64decode(fields["Data"]),
        partition_key=fields.get("PartitionKey"),
        explicit_hash_key=fields.get("ExplicitHashKey"),
    )


def shard_of(entry: Entry, shards: int) -> int:
    """The shard of a record in a stream whose `shards` split the hash space evenly."""
    if entry.explicit_hash_key:
        hashed = int(entry.explicit_hash_key)
    else:
        hashed = int(hashlib.md5((entry.partition_key or "").encode()).hexdigest(), 16)
    return min(hashed * shards >> 128, shards - 1)


# Replies


def error_reply(of: Request | str, error: Error) -> Reply:
    """An error answer to a request, or to one of a service that could not be parsed."""
    service = of if isinstance(of, str) else of.service
    if service != "sns" if isinstance(of, str) else of.speaks_json:
        kind = error.code.rpartition(".")[2]
        body = json.dumps({"__type": kind, "message": error.message}).encode()
        query = {"x-amzn-query-error": f"{error.code};Sender"} if service == "sqs" else {}
        return Reply(error.status, "application/x-amz-json-1.1", body, query)
    kind = "Receiver" if error.status >= 500 else "Sender"
    text = (
        f'<ErrorResponse xmlns="{SNS_NAMESPACE}"><Error><Type>{kind}</Type>'
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return Reply(error.status, "text/xml", text.encode())


def xml_reply(operation: str, result: str) -> Reply:
    text = (
        f'<{operation}Response xmlns="{SNS_NAMESPACE}">'
        f"<{operation}Result>{result}</{operation}Result>"
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    )
    return Reply(200, "text/xml", text.encode())


def json_reply(value: Mapping[str, Any]) -> Reply:
    return Reply(200, "application/x-amz-json-1.1", json.dumps(value).encode())


def render(request: Request, results: Sequence[Result], answer: Answer) -> Reply:
    """The normal answer for one result per entry, bent as `answer` wants."""
    if request.operation in SINGLES:
        return _render_single(request, results[0])
    shown = [
        pair
        for index, pair in enumerate(zip(request.entries, results, strict=True))
        if index not in answer.omit
    ]
    if answer.results is not None:
        extra = answer.results - len(shown)
        filler = Stored(str(uuid.uuid4()), "1", "shardId-000000000000")
        shown = shown[: answer.results] + [(request.entries[0], filler)] * extra
    if request.operation in LISTS:
        return _render_list(request, [result for _, result in shown], answer)
    unknown = {request.entries[index].id for index in answer.unknown_ids}
    named = [
        (f"unknown-{uuid.uuid4()}" if entry.id in unknown else entry.id or "", result)
        for entry, result in shown
    ]
    if request.service == "sqs":
        return _render_queue_batch(request, named, [entry for entry, _ in shown])
    return _render_batch(named)


def _render_single(request: Request, result: Result) -> Reply:
    if isinstance(result, Failure):
        status = 500 if result.code.startswith("Internal") else 400
        return error_reply(request, Error(status, result.code, result.message))
    if request.service == "sqs":
        said = _of_queue(request.entries[0], result)
        return json_reply(said) if request.speaks_json else xml_reply("SendMessage", _xml(said))
    if request.service != "sns":
        return json_reply(_json_stored(request.service, result))
    return xml_reply("Publish", _xml_stored(result))


def _render_list(request: Request, results: Sequence[Result], answer: Answer) -> Reply:
    failed = sum(isinstance(result, Failure) for result in results)
    names = LISTS[request.operation]
    return json_reply(
        {
            names.failed: failed if answer.failed_count is None else answer.failed_count,
            names.outcomes: [
                {"ErrorCode": result.code, "ErrorMessage": result.message}
                if isinstance(result, Failure)
                else _json_stored(request.service, result)
                for result in results
            ],
        }
    )


def _json_stored(service: str, stored: Stored) -> dict[str, Any]:
    if service == "kinesis":
        return {"ShardId": stored.shard_id, "SequenceNumber": stored.sequence_number}
    names = {"firehose": "RecordId", "events": "EventId", "parcels": "ParcelId"}
    return {names[service]: stored.message_id}


def _render_batch(results: Sequence[tuple[str, Result]]) -> Reply:
    successful, failed = [], []
    for name, result in results:
        if isinstance(result, Failure):
            failed.append(
                f"<member><Id>{escape(name)}</Id><Code>{escape(result.code)}</Code>"
                f"<Message>{escape(result.message)}</Message>"
                f"<SenderFault>{str(result.sender_fault).lower()}</SenderFault></member>"
            )
        else:
            successful.append(f"<member><Id>{escape(name)}</Id>{_xml_stored(result)}</member>")
    return xml_reply(
        "PublishBatch",
        f"<Successful>{''.join(successful)}</Successful><Failed>{''.join(failed)}</Failed>",
    )


def _render_queue_batch(
    request: Request, results: Sequence[tuple[str, Result]], entries: Sequence[Entry]
) -> Reply:
    successful, failed = [], []
    for (name, result), entry in zip(results, entries, strict=True):
        if isinstance(result, Failure):
            error = {"Id": name, "Code": result.code, "Message": result.message}
            failed.append({**error, "SenderFault": result.sender_fault})
        else:
            successful.append({"Id": name, **_of_queue(entry, result)})
    if request.speaks_json:
        return json_reply({"Successful": successful, "Failed": failed})
    listed = {"SendMessageBatchResultEntry": successful, "BatchResultErrorEntry": failed}
    return xml_reply(
        "SendMessageBatch",
        "".join(f"<{tag}>{_xml(one)}</{tag}>" for tag, all_ in listed.items() for one in all_),
    )


def _of_queue(entry: Entry, stored: Stored) -> dict[str, Any]:
    said = {
        "MessageId": stored.message_id,
        "MD5OfMessageBody": hashlib.md5(entry.data).hexdigest(),
        "SequenceNumber": stored.sequence_number,
    }
    return {name: value for name, value in said.items() if value is not None}


def _xml(fields: Mapping[str, Any]) -> str:
    texts = {
        name: str(value).lower() if value is True or value is False else str(value)
        for name, value in fields.items()
    }
    return "".join(f"<{name}>{escape(text)}</{name}>" for name, text in texts.items())


def _xml_stored(stored: Stored) -> str:
    sequence = stored.sequence_number
    return f"<MessageId>{stored.message_id}</MessageId>" + (
        f"<SequenceNumber>{sequence}</SequenceNumber>" if sequence else ""
    )
