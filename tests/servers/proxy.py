"""`FaultProxy`: a reverse proxy that makes a real server's answers go wrong.

Clients are pointed at it by `endpoint_url`. Of a batch it forwards only the entries that are to
succeed, and splices the failures into the server's answer, by position or by Id; faults of the
whole request and of the transport are those of `Answer`. Requests are not signed again: the
emulators behind it do not check signatures.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

from tests.servers.recording import RecordingServer
from tests.servers.wire import (
    BY_ID,
    LISTS,
    SNS_NAMESPACE,
    Error,
    Failure,
    Reply,
    Request,
    Result,
    Stored,
    error_reply,
    form,
)

_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "host", "expect", "keep-alive"}


class FaultProxy(RecordingServer):
    """See `RecordingServer`. What the server behind it has acknowledged counts as stored.

    Each connection of a client has one of its own to the server behind, kept alive. `shards` must
    be the stream's number of shards where `shard_limit` is used.
    """

    def __init__(self, upstream_url: str, *, timeout: float = 60, **options: Any) -> None:
        """`timeout` is for the server behind, in seconds; when it is over, the answer is 502."""
        self._netloc = urlsplit(upstream_url).netloc
        self._timeout = timeout
        self._upstream = threading.local()  # .connection, one for each thread that serves
        super().__init__(**options)

    def execute(self, request: Request, good: Sequence[int]) -> Reply | dict[int, Result]:
        reply = self._forward(request, _body(request, good))
        if reply.status != 200:
            return reply
        results = _results(request, reply.body)
        if request.operation in BY_ID:
            named = [(index, request.entries[index].id) for index in good]
            return {index: results[name] for index, name in named if name in results}
        return {index: results[position] for position, index in enumerate(good)}

    def control(self, request: Request) -> Reply:
        return self._forward(request, request.body)

    def disconnected(self) -> None:
        if connection := getattr(self._upstream, "connection", None):
            connection.close()

    def _forward(self, request: Request, body: bytes) -> Reply:
        headers = {k: v for k, v in request.headers.items() if k not in _HOP_BY_HOP}
        connection = getattr(self._upstream, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._netloc, timeout=self._timeout)
            self._upstream.connection = connection
        try:
            connection.request(request.method, request.path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # the next request connects anew
            return error_reply(request, Error(502, "BadGateway", repr(error)))
        kept = {k: v for k, v in response.getheaders() if k.lower().startswith("x-amz")}
        return Reply(response.status, response.getheader("Content-Type", ""), content, kept)


def _body(request: Request, good: Sequence[int]) -> bytes:
    """The request's body with these entries only."""
    if len(good) == len(request.entries):
        return request.body
    if request.operation in LISTS:
        name = LISTS[request.operation].entries
        entries = request.params[name]
        return json.dumps({**request.params, name: [entries[i] for i in good]}).encode()
    prefix = BY_ID[request.operation]
    if request.speaks_json:
        entries = request.params["Entries"]
        return json.dumps({**request.params, "Entries": [entries[i] for i in good]}).encode()
    renumbered = {}
    numbers = sorted(
        {
            int(name[len(prefix) :].split(".")[0])
            for name, _ in form(request.body)
            if name.startswith(prefix)
        }
    )
    for new, index in enumerate(good, 1):
        renumbered[str(numbers[index])] = str(new)
    pairs = []
    for name, value in form(request.body):
        if not name.startswith(prefix):
            pairs.append((name, value))
            continue
        number, _, rest = name[len(prefix) :].partition(".")
        if number in renumbered:
            pairs.append((f"{prefix}{renumbered[number]}.{rest}", value))
    return urlencode(pairs).encode()


def _results(request: Request, body: bytes) -> Mapping[Any, Result]:
    """What the server said, by position, or by Id for batches whose entries have them."""
    if request.speaks_json:
        answer = json.loads(body)
        if request.service == "sqs":
            return _of_queue(request, answer)
        is_batch = request.operation in LISTS
        outcomes = answer[LISTS[request.operation].outcomes] if is_batch else [answer]
        return dict(enumerate(map(_outcome, outcomes)))
    root = ET.fromstring(body)
    results: dict[Any, Result] = {}
    if request.operation in ("Publish", "SendMessage"):
        results[0] = _stored(_texts(next(_find(root, f"{request.operation}Result"))))
        return results
    if request.operation == "SendMessageBatch":
        found = {
            name: [_texts(each) for each in root.iter() if each.tag.endswith("}" + tag)]
            for name, tag in (
                ("Successful", "SendMessageBatchResultEntry"),
                ("Failed", "BatchResultErrorEntry"),
            )
        }
        return _of_queue(request, found)
    for member in _find(root, "Successful", "member"):
        fields = _texts(member)
        results[fields["Id"]] = _stored(fields)
    for member in _find(root, "Failed", "member"):
        fields = _texts(member)
        results[fields["Id"]] = Failure(
            fields["Code"], fields.get("Message", ""), fields.get("SenderFault") == "true"
        )
    return results


def _of_queue(request: Request, answer: Mapping[str, Any]) -> Mapping[Any, Result]:
    if request.operation == "SendMessage":
        return {0: _stored(answer)}
    results: dict[Any, Result] = {one["Id"]: _stored(one) for one in answer.get("Successful", ())}
    for one in answer.get("Failed", ()):
        fault = str(one["SenderFault"]).lower() == "true"
        results[one["Id"]] = Failure(one["Code"], one.get("Message", ""), fault)
    return results


def _outcome(said: Mapping[str, Any]) -> Result:
    if code := said.get("ErrorCode"):
        return Failure(code, said.get("ErrorMessage", ""))
    if "SequenceNumber" in said:
        return Stored("", said["SequenceNumber"], said["ShardId"])
    return Stored(said["RecordId" if "RecordId" in said else "EventId"])


def _find(root: ET.Element, *names: str) -> Any:
    return root.iterfind(".//" + "/".join(f"{{{SNS_NAMESPACE}}}{name}" for name in names))


def _texts(element: ET.Element) -> dict[str, str]:
    return {child.tag.rpartition("}")[2]: child.text or "" for child in element}


def _stored(fields: Mapping[str, str]) -> Stored:
    return Stored(fields["MessageId"], fields.get("SequenceNumber"))
