"""What the stub endpoint answers: the shapes of the real services' responses, and the counts."""

# ruff: noqa: ARG002 - the handlers of all operations take the same arguments
from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote

from benchmarks.stub_settings import Settings, decoded_size, shards

JSON = "application/x-amz-json-1.1"
XML = "text/xml"
XMLNS = "http://sns.amazonaws.com/doc/2010-03-31/"
ACTION = re.compile(rb"(?:^|&)Action=([A-Za-z]+)")
ENTRY_ID = re.compile(rb"PublishBatchRequestEntries\.member\.\d+\.Id=([^&]*)")
TOPIC = re.compile(rb"(?:^|&)T(?:opic|arget)Arn=([^&]*)")
NAMED = re.compile(rb'"(?:(?:Delivery)?Stream(?:Name|ARN)|QueueUrl|EventBusName)": ?"([^"]*)"')
THROTTLED = "ProvisionedThroughputExceededException"
MESSAGES = {THROTTLED: "Rate exceeded for shard.", "InternalFailure": "Internal service failure."}
COUNTS = ["requests", "records", "bytes", "entry_bytes", "failed_records", "failed_bytes"]
COUNTS += ["connections", "open_connections", "by_action", "by_destination"]
COUNTS += ["span"]  # seconds from the first request with messages to the last one
Answer = tuple[float, int, str, bytes]


class Answers:
    """Turns a request into an answer and counts it. Touched by the event loop's thread alone."""

    def __init__(self) -> None:
        self.connections = 0
        self.open_connections = 0
        self._sequence = 0
        self._actions: dict[bytes, Callable[[bytes, Settings, str], tuple[int, bytes]]] = {
            b"Publish": self._publish,
            b"PublishBatch": self._publish_batch,
            b"PutRecordBatch": self._put_record_batch,
            b"PutEvents": self._put_events,
            b"SendMessage": self._send_message,
            b"SendMessageBatch": self._send_message_batch,
            b"PutRecord": self._put_record,
            b"PutRecords": self._put_records,
            b"ListShards": self._list_shards,
            b"DescribeStream": self._describe_stream,
            b"DescribeStreamSummary": self._describe_stream,
        }
        self._reset({})

    def _reset(self, settings: dict[str, Any]) -> None:
        special = settings.pop("destinations", {})
        known = {f.name for f in fields(Settings)} - {"levels"}
        for unknown in {*settings, *(key for each in special.values() for key in each)} - known:
            raise ValueError(f"no such setting: {unknown}")
        self._default = settings
        self._settings = {name: Settings(**{**settings, **own}) for name, own in special.items()}
        self._random = random.Random(7)
        self.connections = self.open_connections
        self.requests = self.records = self.bytes = 0
        self.entry_bytes = self.failed_records = self.failed_bytes = 0
        self._first = self.span = 0.0
        self.by_action: Counter[str] = Counter()
        self.by_destination: Counter[str] = Counter()
        self._cpu = time.process_time()

    def control(self, target: str, body: bytes) -> bytes:
        """Answer the control URL: `/reset` with settings, or `/stats`."""
        if target.endswith("/reset"):
            try:
                self._reset(json.loads(body or b"{}"))
            except ValueError as error:
                return json.dumps({"error": str(error)}).encode()
        stats = {name: getattr(self, name) for name in COUNTS}
        return json.dumps({**stats, "cpu": time.process_time() - self._cpu}).encode()

    def request_id(self) -> str:
        """Return a fresh request id of the real form."""
        self._sequence += 1
        return f"{self._sequence:08x}-5ca1-4ab1-8e57-{self._sequence:012x}"

    def answer(self, head: str, body: bytes) -> Answer:
        """Count a request and return latency (s), status, content type and body of its answer."""
        self.requests += 1
        self.bytes += len(body)
        at = head.lower().find("x-amz-target:")
        if at >= 0:
            line = head[at : head.find("\r\n", at) if head.find("\r\n", at) > 0 else None]
            action, kind = line.rpartition(".")[2].strip().encode(), JSON
            named = NAMED.search(body, 0, 512) or NAMED.search(body, max(0, len(body) - 512))
        else:
            found = ACTION.search(body, 0, 512) or ACTION.search(body)
            action, kind = found[1] if found else b"", XML
            named = TOPIC.search(body, 0, 512) or TOPIC.search(body)
        destination = (
            unquote(named[1].decode()).rpartition(":")[2].rpartition("/")[2] if named else ""
        )
        self.by_action[action.decode()] += 1
        settings = self._settings.get(destination)
        if settings is None:
            settings = self._settings[destination] = Settings(**self._default)
        handler = self._actions.get(action)
        if handler is None:
            return settings.latency, 400, kind, b'{"__type":"UnknownOperationException"}'
        status, answer = handler(body, settings, destination)
        return settings.latency, status, kind, answer

    def _fails(self, size: int, settings: Settings, key: str) -> str:
        """Decide the fate of one entry: the error code, or "" for success."""
        if settings.plain:
            return ""
        self.entry_bytes += size
        code = ""
        if settings.failure_rate and self._random.random() < settings.failure_rate:
            code = "InternalFailure"
        elif not settings.admits(settings.shard(key), size, time.monotonic()):
            code = THROTTLED
        if code:
            self.failed_records += 1
            self.failed_bytes += size
        return code

    def _count(self, records: int, destination: str) -> None:
        now = time.monotonic()
        self._first = self._first or now
        self.span = now - self._first
        self.records += records
        self.by_destination[destination] += records

    # ------------------------------------------------------------------ SNS

    def _publish(self, body: bytes, settings: Settings, topic: str) -> tuple[int, bytes]:
        self._count(1, topic)
        if not settings.plain and self._fails(len(parse_qs(body)[b"Message"][0]), settings, ""):
            return 500, (
                f'<ErrorResponse xmlns="{XMLNS}"><Error><Type>Receiver</Type>'
                "<Code>InternalError</Code><Message>Internal service error.</Message></Error>"
                f"<RequestId>{self.request_id()}</RequestId></ErrorResponse>"
            ).encode()
        return 200, (
            f'<PublishResponse xmlns="{XMLNS}"><PublishResult>'
            f"<MessageId>{self.request_id()}</MessageId></PublishResult><ResponseMetadata><RequestId>{self.request_id()}</RequestId>"
            "</ResponseMetadata></PublishResponse>"
        ).encode()

    def _publish_batch(self, body: bytes, settings: Settings, topic: str) -> tuple[int, bytes]:
        ids = [each.decode() for each in ENTRY_ID.findall(body)]
        self._count(len(ids), topic)
        failed: list[str] = []
        if not settings.plain:
            form = parse_qs(body)
            for number, each in enumerate(ids, 1):
                message = form[b"PublishBatchRequestEntries.member.%d.Message" % number][0]
                if self._fails(len(message), settings, each):
                    failed.append(each)
        bad = set(failed)
        good = "".join(
            f"<member><MessageId>{self.request_id()}</MessageId><Id>{each}</Id></member>"
            for each in ids
            if each not in bad
        )
        wrong = "".join(
            "<member><Code>InternalError</Code><Message>Internal service error.</Message>"
            f"<Id>{each}</Id><SenderFault>false</SenderFault></member>"
            for each in failed
        )
        return 200, (
            f'<PublishBatchResponse xmlns="{XMLNS}"><PublishBatchResult><Failed>{wrong}</Failed>'
            f"<Successful>{good}</Successful></PublishBatchResult><ResponseMetadata>"
            f"<RequestId>{self.request_id()}</RequestId></ResponseMetadata></PublishBatchResponse>"
        ).encode()

    # ------------------------------------------------------------------ SQS

    def _send_message(self, body: bytes, settings: Settings, queue: str) -> tuple[int, bytes]:
        self._count(1, queue)
        message = b"" if settings.plain else json.loads(body)["MessageBody"].encode()
        if self._fails(len(message), settings, ""):
            return 500, b'{"__type":"InternalFailure","message":"Internal service failure."}'
        return 200, json.dumps(self._queued()).encode()

    def _send_message_batch(self, body: bytes, settings: Settings, queue: str) -> tuple[int, bytes]:
        entries = json.loads(body)["Entries"]
        self._count(len(entries), queue)
        good, wrong = [], []
        for entry in entries:
            if self._fails(len(entry["MessageBody"].encode()), settings, entry["Id"]):
                error = {"Code": "InternalError", "Message": MESSAGES["InternalFailure"]}
                wrong.append({"Id": entry["Id"], "SenderFault": False, **error})
            else:
                good.append({"Id": entry["Id"], **self._queued()})
        return 200, json.dumps({"Successful": good, "Failed": wrong}).encode()

    def _queued(self) -> dict[str, str]:
        """As of a queue; no peer looks at the digest."""
        return {"MessageId": self.request_id(), "MD5OfMessageBody": "0" * 32}

    # -------------------------------------------------------------- Kinesis

    def _stored(self, shard: int) -> str:
        self._sequence += 1
        return stored(f"{self._sequence:031d}000", shard)

    def _put_record(self, body: bytes, settings: Settings, stream: str) -> tuple[int, bytes]:
        self._count(1, stream)
        if settings.plain and b'"PartitionKey"' in body:
            return 200, self._stored(0).encode()
        record = json.loads(body)
        if "Record" in record:  # Firehose's
            code = self._fails(decoded_size(record["Record"]["Data"]), settings, "")
            if code:
                return 500, json.dumps({"__type": code, "message": MESSAGES[code]}).encode()
            return 200, json.dumps({"RecordId": self.request_id()}).encode()
        key = record["PartitionKey"]
        code = self._fails(decoded_size(record["Data"]) + len(key.encode()), settings, key)
        if code:
            return 400, json.dumps({"__type": code, "message": MESSAGES[code]}).encode()
        return 200, self._stored(settings.shard(key)).encode()

    def _put_records(self, body: bytes, settings: Settings, stream: str) -> tuple[int, bytes]:
        if settings.plain and settings.shards == 1:
            # base64 holds no quotation mark, so this counts the records.
            count = body.count(b'"PartitionKey"')
            self._count(count, stream)
            self._sequence += 1
            return 200, all_stored(count).replace("@", f"{self._sequence:031d}").encode()
        records = json.loads(body)["Records"]
        self._count(len(records), stream)
        answers, failed = [], 0
        for record in records:
            key = record["PartitionKey"]
            size = decoded_size(record["Data"]) + len(key.encode())
            code = self._fails(size, settings, key)
            failed += bool(code)
            answers.append(
                json.dumps({"ErrorCode": code, "ErrorMessage": MESSAGES[code]})
                if code
                else self._stored(settings.shard(key))
            )
        return 200, f'{{"FailedRecordCount":{failed},"Records":[{",".join(answers)}]}}'.encode()

    # ------------------------------------------------- Firehose, EventBridge

    def _put_record_batch(self, body: bytes, settings: Settings, stream: str) -> tuple[int, bytes]:
        if settings.plain:
            count = body.count(b'"Data"')  # of which base64 has none
            sizes = [0] * count
        else:
            sizes = [decoded_size(one["Data"]) for one in json.loads(body)["Records"]]
        return self._listed(
            sizes, settings, stream, ("FailedPutCount", "RequestResponses", "RecordId")
        )

    def _put_events(self, body: bytes, settings: Settings, bus: str) -> tuple[int, bytes]:
        sizes = [len(one["Detail"].encode()) for one in json.loads(body)["Entries"]]
        return self._listed(sizes, settings, bus, ("FailedEntryCount", "Entries", "EventId"))

    def _listed(
        self, sizes: list[int], settings: Settings, name: str, names: tuple[str, str, str]
    ) -> tuple[int, bytes]:
        """An answer by position; `names`: of the count of failures, the list and the receipt."""
        self._count(len(sizes), name)
        count, outcomes, receipt = names
        made = []
        for size in sizes:
            code = self._fails(size, settings, "")
            failed = {"ErrorCode": code, "ErrorMessage": MESSAGES.get(code, "")}
            made.append(failed if code else {receipt: self.request_id()})
        lost = sum("ErrorCode" in one for one in made)
        return 200, json.dumps({count: lost, outcomes: made}).encode()

    def _list_shards(self, body: bytes, settings: Settings, stream: str) -> tuple[int, bytes]:
        return 200, json.dumps({"Shards": shards(settings.shards)}).encode()

    def _describe_stream(self, body: bytes, settings: Settings, stream: str) -> tuple[int, bytes]:
        description = {
            "StreamName": stream,
            "StreamARN": f"arn:aws:kinesis:us-east-1:123456789012:stream/{stream}",
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 1700000000,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "OpenShardCount": settings.shards,
            "HasMoreShards": False,
            "Shards": shards(settings.shards),
        }
        names = ("StreamDescription", "StreamDescriptionSummary")
        return 200, json.dumps(dict.fromkeys(names, description)).encode()


def stored(sequence: str, shard: int) -> str:
    """Return the answer to one stored record; `sequence`: the last 34 of its 56 digits."""
    return (
        f'{{"SequenceNumber":"4954346307654800757710{sequence}","ShardId":"shardId-{shard:012d}"}}'
    )


@lru_cache
def all_stored(count: int) -> str:
    """Return the answer to `count` stored records, "@" for the part that the request decides."""
    answers = ",".join(stored(f"@{number:03d}", 0) for number in range(count))
    return f'{{"FailedRecordCount":0,"Records":[{answers}]}}'
