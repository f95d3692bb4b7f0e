"""`Endpoint`: the services as far as publishing goes, in a thread of the test process.

It takes every message to the byte, any size, and remembers all: what no emulator does. Topics and
streams need not be created; deleting one makes its messages fail as they do on AWS.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from tests.servers import limits
from tests.servers.recording import RecordingServer
from tests.servers.wire import (
    BATCHES,
    Error,
    Reply,
    Request,
    Result,
    Stored,
    error_reply,
    json_reply,
    numbered,
    shard_of,
    stream_of,
    xml_reply,
)

_ARN = "arn:aws:{}:us-east-1:000000000000:{}"


class Endpoint(RecordingServer):
    """See `RecordingServer`. With `strict`, AWS's limits are enforced (`limits.violation`)."""

    def __init__(self, *, strict: bool = False, **options: Any) -> None:
        self.strict = strict
        self.topics: dict[str, dict[str, str]] = {}  # ARN -> attributes; guarded by _changed
        self.streams: dict[str, int] = {}  # name -> shards; guarded by _changed
        self._deleted: set[str] = set()  # ARNs and stream names; guarded by _changed
        self._sequence = 0  # guarded by _changed
        super().__init__(**options)

    def execute(self, request: Request, good: Sequence[int]) -> Reply | dict[int, Result]:
        destination = request.destination
        with self._changed:
            if destination in self._deleted:
                return error_reply(request, self._missing(request))
            if self.strict and (error := limits.violation(request, self.topics)):
                return error_reply(request, error)
            shards = self.streams.get(destination, self.shards)
            numbers = range(self._sequence, self._sequence + len(good))
            self._sequence += len(good)
        ordered = request.service == "kinesis" or destination.endswith(".fifo")
        return {
            index: Stored(
                str(uuid.uuid4()),
                f"{4 * 10**55 + number}" if ordered else None,
                f"shardId-{shard_of(request.entries[index], shards):012}",
            )
            for index, number in zip(good, numbers, strict=True)
        }

    def _missing(self, request: Request) -> Error:
        if request.service == "sns":
            return Error(404, "NotFound", "Topic does not exist")
        if request.service == "sqs":
            code = "AWS.SimpleQueueService.NonExistentQueue"
            return Error(400, code, "The specified queue does not exist.")
        text = f"Stream {request.destination} under account 000000000000 not found."
        return Error(400, "ResourceNotFoundException", text)

    def control(self, request: Request) -> Reply:
        if request.operation in BATCHES:  # with no entries in it
            error = limits.violation(request, {}) if self.strict else None
            return error_reply(request, error or Error(400, "ValidationException", "empty"))
        with self._changed:
            if request.service == "sns":
                return self._topics_locked(request.operation, request.params)
            if request.service == "kinesis":
                return self._streams_locked(request.operation, request.params)
        if request.operation == "DescribeDepot":
            return json_reply(request.params)
        error = Error(400, "UnknownOperationException", f"{request.operation} is not supported")
        return error_reply(request, error)

    def _topics_locked(self, operation: str, params: dict[str, Any]) -> Reply:
        arn = str(params.get("TopicArn", ""))
        if operation == "CreateTopic":
            arn = _ARN.format("sns", params["Name"])
            pairs = numbered(params.get("Attributes", {}), "entry")
            self.topics[arn] = {pair["key"]: pair["value"] for pair in pairs}
            self._deleted.discard(arn)
            return xml_reply(operation, f"<TopicArn>{escape(arn)}</TopicArn>")
        if operation == "DeleteTopic":
            self.topics.pop(arn, None)
            self._deleted.add(arn)
            return xml_reply(operation, "")
        if operation == "ListTopics":
            members = "".join(
                f"<member><TopicArn>{escape(arn)}</TopicArn></member>" for arn in self.topics
            )
            return xml_reply(operation, f"<Topics>{members}</Topics>")
        if operation == "GetTopicAttributes":
            if arn not in self.topics:
                return error_reply("sns", Error(404, "NotFound", "Topic does not exist"))
            pairs_ = {"TopicArn": arn, **self.topics[arn]}
            items = "".join(
                f"<entry><key>{escape(key)}</key><value>{escape(value)}</value></entry>"
                for key, value in pairs_.items()
            )
            return xml_reply(operation, f"<Attributes>{items}</Attributes>")
        if operation == "Subscribe":
            subscription = f"{escape(arn)}:{uuid.uuid4()}"
            return xml_reply(operation, f"<SubscriptionArn>{subscription}</SubscriptionArn>")
        return error_reply("sns", Error(400, "InvalidAction", f"{operation} is not supported here"))

    def _streams_locked(self, operation: str, params: dict[str, Any]) -> Reply:
        name = stream_of(params)
        if operation == "CreateStream":
            self.streams[name] = params.get("ShardCount", self.shards)
            self._deleted.discard(name)
            return Reply(200, "application/x-amz-json-1.1", b"")
        if operation == "DeleteStream":
            self.streams.pop(name, None)
            self._deleted.add(name)
            return Reply(200, "application/x-amz-json-1.1", b"")
        if operation == "ListStreams":
            return json_reply({"StreamNames": list(self.streams), "HasMoreStreams": False})
        if operation == "DescribeStreamSummary":
            if name not in self.streams:
                error = Error(400, "ResourceNotFoundException", f"Stream {name} not found.")
                return error_reply("kinesis", error)
            return json_reply(
                {
                    "StreamDescriptionSummary": {
                        "StreamName": name,
                        "StreamARN": _ARN.format("kinesis", f"stream/{name}"),
                        "StreamStatus": "ACTIVE",
                        "RetentionPeriodHours": 24,
                        "StreamCreationTimestamp": 0,
                        "EnhancedMonitoring": [],
                        "OpenShardCount": self.streams[name],
                    }
                }
            )
        error = Error(400, "UnknownOperationException", f"{operation} is not supported here")
        return error_reply("kinesis", error)
