"""A local SNS, SQS and Kinesis that answer like distant, busy ones.

The services are moto's. The layer in front of them adds what moto does not have and a real region
does: a round trip (`LATENCY`), and entries that fail on the way (one in `FAULT_EVERY`). A failed
entry is never passed on, so it is stored only if somebody sends it again. Everything else passes
through unchanged.

Run as a module it serves on a free port of 127.0.0.1, prints that port, and ends when its standard
input does: it cannot outlive the process that started it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from io import BytesIO
from itertools import count, islice
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree as ET

from moto.moto_server.werkzeug_app import create_backend_app
from moto.sqs.models import Queue, SQSBackend
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from . import COUNT_PATH, FAULT_EVERY, LATENCY

_SNS_NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
_MEMBER = "PublishBatchRequestEntries.member."
_SIGNED_FOR = re.compile(r"/(kinesis|sns|sqs)/aws4_request")


class Front:
    """The WSGI application: counts, delays, makes entries fail, and hands the rest to moto."""

    def __init__(self) -> None:
        self._services = {name: create_backend_app(name) for name in ("kinesis", "sns", "sqs")}
        # One call at a time: moto's Kinesis loses records when two threads store at once.
        self._one_at_a_time = threading.Lock()
        self._counting = threading.Lock()
        self._requests = 0  # guarded by _counting
        self._entries = {name: count(1) for name in _OPERATIONS}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer one request, as WSGI has it."""
        request = Request(environ)
        return self._respond(request)(environ, start_response)

    def _respond(self, request: Request) -> Response:
        if request.path == COUNT_PATH:
            return Response(str(self._requests))
        body = request.get_data()
        operation = _operation(request, body)
        if operation not in _OPERATIONS:
            return self.forward(request, body)
        with self._counting:
            self._requests += 1
        time.sleep(LATENCY)  # the round trip, not a wait for anything
        return _OPERATIONS[operation](self, request, body)

    def forward(self, request: Request, body: bytes) -> Response:
        """Give `body` to moto in place of the request's own, and return moto's answer."""
        scope = _SIGNED_FOR.search(request.headers.get("Authorization", ""))
        if scope is None:
            return Response("not a signed request for SNS, SQS or Kinesis\n", status=404)
        environ = dict(request.environ)
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        with self._one_at_a_time:
            return Response.from_app(self._services[scope.group(1)], environ, buffered=True)

    def fails(self, operation: str) -> bool:
        """Whether the next entry of `operation` is one of those that fail."""
        return next(self._entries[operation]) % FAULT_EVERY == 5


def _operation(request: Request, body: bytes) -> str:
    target = request.headers.get("X-Amz-Target", "")
    if target:
        return target.rpartition(".")[2]
    return dict(parse_qsl(body.decode())).get("Action", "")


def _publish(front: Front, request: Request, body: bytes) -> Response:
    if not front.fails("Publish"):
        return front.forward(request, body)
    root = ET.Element("ErrorResponse", xmlns=_SNS_NAMESPACE)
    error = ET.SubElement(root, "Error")
    _texts(error, Type="Sender", Code="Throttling", Message="Rate exceeded")
    return Response(ET.tostring(root), status=400, mimetype="text/xml")


def _publish_batch(front: Front, request: Request, body: bytes) -> Response:
    common: list[tuple[str, str]] = []
    entries: dict[str, list[tuple[str, str]]] = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        if name.startswith(_MEMBER):
            position, _, field = name.removeprefix(_MEMBER).partition(".")
            entries.setdefault(position, []).append((field, value))
        else:
            common.append((name, value))
    failed = [position for position in entries if front.fails("PublishBatch")]
    if not failed:
        return front.forward(request, body)
    lost_ids = [dict(entries.pop(position))["Id"] for position in failed]
    if entries:
        kept = enumerate(entries.values(), start=1)
        renumbered = [(f"{_MEMBER}{n}.{field}", v) for n, entry in kept for field, v in entry]
        response = front.forward(request, urlencode(common + renumbered).encode())
        if response.status_code != 200:
            return response
        root = ET.fromstring(response.get_data())
    else:
        root = ET.Element(f"{{{_SNS_NAMESPACE}}}PublishBatchResponse")
        response = Response(mimetype="text/xml")
    result = _child(root, "PublishBatchResult")
    for lost_id in lost_ids:
        member = ET.SubElement(_child(result, "Failed"), f"{{{_SNS_NAMESPACE}}}member")
        _texts(member, Id=lost_id, Code="InternalError", Message="Try again", SenderFault="false")
    response.set_data(ET.tostring(root))
    return response


def _put_record(front: Front, request: Request, body: bytes) -> Response:
    if not front.fails("PutRecord"):
        return front.forward(request, body)
    answer = {"__type": "ProvisionedThroughputExceededException", "message": "Rate exceeded"}
    return Response(json.dumps(answer), status=400, mimetype="application/x-amz-json-1.1")


def _put_records(front: Front, request: Request, body: bytes) -> Response:
    call = json.loads(body)
    records = call["Records"]
    failed = {position for position in range(len(records)) if front.fails("PutRecords")}
    call["Records"] = [r for position, r in enumerate(records) if position not in failed]
    stored: list[dict[str, Any]] = []
    response = Response(mimetype="application/x-amz-json-1.1")
    if call["Records"]:
        response = front.forward(request, json.dumps(call).encode())
        if response.status_code != 200:
            return response
        stored = json.loads(response.get_data())["Records"]
    refusal = {
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": "Rate exceeded",
    }
    rest = iter(stored)
    outcomes = [refusal if p in failed else next(rest) for p in range(len(records))]
    response.set_data(json.dumps({"FailedRecordCount": len(failed), "Records": outcomes}))
    return response


def _send_message(front: Front, request: Request, body: bytes) -> Response:
    if not front.fails("SendMessage"):
        return front.forward(request, body)
    answer = {"__type": "com.amazonaws.sqs#RequestThrottled", "message": "Rate exceeded"}
    headers = {"x-amzn-query-error": "RequestThrottled;Sender"}
    return Response(json.dumps(answer), 400, headers, mimetype="application/x-amz-json-1.0")


def _send_message_batch(front: Front, request: Request, body: bytes) -> Response:
    call = json.loads(body)
    failed = [entry["Id"] for entry in call["Entries"] if front.fails("SendMessageBatch")]
    call["Entries"] = [entry for entry in call["Entries"] if entry["Id"] not in failed]
    answer: dict[str, Any] = {"Successful": []}
    response = Response(mimetype="application/x-amz-json-1.0")
    if call["Entries"]:
        response = front.forward(request, json.dumps(call).encode())
        if response.status_code != 200:
            return response
        answer = json.loads(response.get_data())
    error = {"Code": "InternalError", "Message": "Try again", "SenderFault": False}
    answer["Failed"] = [*answer.get("Failed", ()), *({"Id": each, **error} for each in failed)]
    response.set_data(json.dumps(answer))
    return response


_OPERATIONS = {
    "SendMessage": _send_message,
    "SendMessageBatch": _send_message_batch,
    "Publish": _publish,
    "PublishBatch": _publish_batch,
    "PutRecord": _put_record,
    "PutRecords": _put_records,
}


def _child(parent: ET.Element, name: str) -> ET.Element:
    found = parent.find(f"{{*}}{name}")
    if found is None:
        found = ET.SubElement(parent, f"{{{_SNS_NAMESPACE}}}{name}")
    return found


def _texts(parent: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(parent, name).text = text


def _quicken_queues() -> None:
    """Keep moto's queues from getting slower with every message that waits in them.

    For each message that comes or goes moto looks at all that wait, several times over, and 10,000
    lines would take it hours. Here nobody asks how many wait, a reader takes ten at most, and the
    oldest are deleted first.
    """

    def first_ten(queue: Any) -> list[Any]:
        return list(islice((m for m in queue._messages if m.visible), 10))

    def delete(queue: Any, receipt: str) -> None:
        waiting = queue._messages
        for position, message in enumerate(waiting):
            if message.had_receipt_handle(receipt):
                queue.pending_messages.discard(message)
                del waiting[position]
                return

    queues: Any = Queue
    queues.messages = property(first_ten)
    queues.delete_message = delete
    queues.approximate_number_of_messages = 0
    queues.approximate_number_of_messages_delayed = 0
    queues.approximate_number_of_messages_not_visible = 0
    backend: Any = SQSBackend
    backend.is_message_valid_based_on_retention_period = lambda *_: True  # nothing gets that old


def serve() -> None:
    """Serve until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _quicken_queues()
    server = make_server("127.0.0.1", 0, Front(), threaded=True)

    def end_with_the_parent() -> None:
        sys.stdin.buffer.read()
        server.shutdown()

    threading.Thread(target=end_with_the_parent, name="end-with-the-parent", daemon=True).start()
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
