"""Hand-made bodies and readers for the two batch operations, put in place by botocore's events.

botocore spends most of a large batch in its serialiser, its validation and its response parser,
which are made for every operation there is. Here the body of a batch is made for that one
operation, and its answer read for that one shape; credentials, endpoint, signing, transport and
modelled errors stay botocore's. Only on clients that this package makes: a client that the user
passed in is not touched.

What these do not know falls through to botocore's own path: another protocol than the one they were
written for, an answer that is no success or larger than its request can have, or any body that
looks unusual. So does everything while somebody listens to a request or wraps it (``_listeners``).
``BOTO3_PUBLISHER_FAST=0`` in the environment turns them off.

Reading costs time linear in the answer's size, whatever it holds: it may come from anybody.
"""

from __future__ import annotations

import json
import os
import re
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as json_string
from typing import Any
from urllib.parse import quote_plus

from botocore import xform_name

from ..services.sns import SNS, Rich
from .listeners import Listeners

#: Under this key the body waits in botocore's request context, between the two events.
_CONTEXT = "boto3_publisher_body"


class Body(list):  # type: ignore[type-arg]  # botocore passes on what it is given: nobody looks inside
    """Stands in for the entries in boto3's parameters until our handler exchanges it."""

    __slots__ = ("encoded",)

    encoded: bytes


def install(client: Any, service: str) -> Listeners | None:
    """Put the fast path of ``service`` on a boto3 client.

    Returns:
        who looks at its requests, to be asked before each; None where there is no fast path for the
        service, or it is turned off.
    """
    made = _PATHS.get(service)
    if made is None or os.environ.get("BOTO3_PUBLISHER_FAST", "1") == "0":
        return None
    protocol, operation, parameter, stub, reader, largest = made
    model = client.meta.service_model
    if getattr(model, "resolved_protocol", model.metadata.get("protocol")) != protocol:
        return None

    def exchange(
        params: dict[str, Any], context: dict[str, Any], **_: Any
    ) -> dict[str, Any] | None:
        entries = params.get(parameter)
        if type(entries) is not Body:
            return None
        context[_CONTEXT] = entries.encoded
        return {**params, parameter: stub}

    def put_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        encoded = context.pop(_CONTEXT, None)
        if encoded is not None:
            params["body"] = encoded

    def read(
        response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> None:
        body = response_dict.get("body")
        plain = type(body) is bytes and len(body) <= largest and listeners.nobody()
        if plain and response_dict.get("status_code") == 200:
            found = reader(body)
            if found is not None:
                response, response_dict["body"] = found
                customized_response_dict.update(response)

    events = client.meta.events
    service_id = model.service_id.hyphenize()
    events.register(f"provide-client-params.{service_id}.{operation}", exchange)
    events.register(f"before-call.{service_id}.{operation}", put_body)
    events.register(f"before-parse.{service_id}.{operation}", read)
    listeners = Listeners(client, operation, xform_name(operation))
    return listeners


def encode(service: str, address: Any, entries: Sequence[Any]) -> dict[str, Any] | None:
    """boto3's parameters with the body in place of the entries.

    None for what only botocore's own path knows.
    """
    made: dict[str, Any] | None = _ENCODERS[service](address, entries)
    return made


# -- Kinesis: JSON 1.1


def kinesis_params(address: Any, entries: Sequence[Any]) -> dict[str, Any]:
    """``PutRecords`` to a stream, as botocore's serialiser would write it.

    Put together in one go: a large batch is worth not being copied once more.
    """
    pairs = {"StreamName": address} if isinstance(address, str) else dict(address)
    texts = [entry[1] for entry in entries]
    keys = json_texts(texts)
    for index, entry in enumerate(entries):
        if len(entry) == 3:  # a hash key is all digits
            keys[index] += b'", "ExplicitHashKey": "' + entry[2].encode()
    count = len(entries)
    parts = [b'"}, {"Data": "'] * (4 * count + 1)
    parts[0] = b'{"Records": [{"Data": "'
    parts[1::4] = [b2a_base64(entry[0], newline=False) for entry in entries]
    parts[2::4] = [b'", "PartitionKey": "'] * count
    parts[3::4] = keys
    if "" in texts:  # a record without a key
        for index, text in enumerate(texts):
            if not text:
                parts[2 + 4 * index] = b""
    rest = "".join(f", {json_string(name)}: {json_string(value)}" for name, value in pairs.items())
    parts[-1] = b'"}]%b}' % rest.encode()
    body = Body()
    body.encoded = b"".join(parts)
    return {"Records": body, **pairs}


def json_texts(texts: Sequence[str]) -> list[bytes]:
    """What stands between the quotes of each text in JSON; most texts stand there as they are."""
    together = "".join(texts)
    if together.isascii() and together.isprintable() and not _QUOTED_IN_JSON.search(together):
        return [text.encode() for text in texts]
    return [json_string(text)[1:-1].encode() for text in texts]


_QUOTED_IN_JSON = re.compile(r'["\\]')


#: A record of an answer, and the answer itself, as botocore's model has them.
_RECORD = frozenset({"SequenceNumber", "ShardId", "ErrorCode", "ErrorMessage"})
_ANSWER = ("FailedRecordCount", "Records", "EncryptionType")


def read_kinesis(body: bytes) -> tuple[dict[str, Any], bytes] | None:
    """The answer to ``PutRecords``: JSON's own objects are what boto3 returns.

    Like boto3 it leaves out what is null, and what the model does not know.
    """
    try:
        answer = json.loads(body.decode())
        records = answer["Records"]
        if type(records) is not list or set(map(type, records)) - {dict}:
            return None
        if b"null" in body or not set().union(*records) <= _RECORD:
            answer["Records"] = [_known(record, _RECORD) for record in records]
        return _known(answer, _ANSWER), b"{}"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _known(members: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: members[name] for name in names if members.get(name) is not None}


# -- SNS: the query protocol, form-encoded

#: The bytes that a form leaves as they are.
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
#: The printable ASCII that it escapes. The order matters: a percent sign before all that become
#: one, a plus before the space that becomes a plus.
_ESCAPED = [(bytes([byte]), b"%%%02X" % byte) for byte in b"%+\"#$&'()*,/:;<=>?@[\\]^`{|}!\n\r\t"]
_ESCAPED.append((b" ", b"+"))
_SEPARATOR = b"\xff"  # never part of UTF-8
_LISTED = _PLAIN + b"".join(char for char, _ in _ESCAPED) + _SEPARATOR
_RARE = 16  # up to one in so many bytes a pass for each that occurs is quicker than quote_plus
_ENTRY = "PublishBatchRequestEntries.member."
#: What stands before the message of an entry that has nothing else, and after the entry before.
_BEFORE_MESSAGE = [
    f"&{_ENTRY}{index + 1}.Id={index}&{_ENTRY}{index + 1}.Message=".encode()
    for index in range(SNS.limits.entries)
]


def form_quote(texts: Sequence[bytes]) -> list[bytes]:
    """``quote_plus`` of each text, which is UTF-8.

    A few passes of ``bytes.replace`` over all of them together take a fraction of its time.
    """
    together = _SEPARATOR.join(texts)
    # What neither list has: control characters, and the bytes of other alphabets than ASCII.
    others = together.translate(None, _LISTED)
    if len(others) * _RARE > len(together):  # many different ones: a pass for each takes longer
        return [quote_plus(text).encode() for text in texts]
    for char, escaped in _ESCAPED:
        if char in together:
            together = together.replace(char, escaped)
    for byte in set(others):
        together = together.replace(bytes([byte]), b"%%%02X" % byte)
    return together.split(_SEPARATOR)


def sns_params(address: Any, entries: Sequence[Any]) -> dict[str, Any] | None:
    """``PublishBatch`` to a topic, as botocore's serialiser and form encoding would write it."""
    names: list[bytes] = []
    values: list[Any] = []
    for index, entry in enumerate(entries):
        if type(entry) is not Rich:
            names.append(_BEFORE_MESSAGE[index])
            values.append(entry)
            continue
        member = f"&{_ENTRY}{index + 1}."
        names.append(f"{member}Id=".encode())
        values.append(str(index))
        for name, value in entry.params.items():
            if name == "MessageAttributes":
                _add_attributes(f"{member}MessageAttributes.entry.", value, names, values)
            else:
                names.append(f"{member}{name}=".encode())
                values.append(value)
    texts = [value.encode() if isinstance(value, str) else value for value in (address, *values)]
    parts = [b"Action=PublishBatch&Version=2010-03-31&TopicArn="] * (2 * len(texts))
    parts[1::2] = form_quote(texts)
    parts[2::2] = names
    body = Body()
    body.encoded = b"".join(parts)
    return {"TopicArn": address, "PublishBatchRequestEntries": body}


def _add_attributes(
    prefix: str, attributes: Mapping[str, Any], names: list[bytes], values: list[Any]
) -> None:
    for index, (name, attribute) in enumerate(attributes.items(), 1):
        names.append(f"{prefix}{index}.Name=".encode())
        values.append(name)
        for part, value in attribute.items():
            names.append(f"{prefix}{index}.Value.{part}=".encode())
            values.append(b2a_base64(value, newline=False) if isinstance(value, bytes) else value)


# None of these has two unbounded repeats side by side that match the same character: a run of
# blanks, or of anything else, must not be tried in all its parts. What stands between two tags is
# taken out before.
_BETWEEN_TAGS = re.compile(r">\s+<")
_MEMBER = re.compile(
    r"<member><MessageId>([0-9a-fA-F-]+)</MessageId><Id>(\d+)</Id>"
    r"(?:<SequenceNumber>(\d+)</SequenceNumber>)?</member>"
)
_MEMBER_ID_FIRST = re.compile(
    r"<member><Id>(\d+)</Id><MessageId>([0-9a-fA-F-]+)</MessageId>"
    r"(?:<SequenceNumber>(\d+)</SequenceNumber>)?</member>"
)
_HEAD = re.compile(
    r"(?:<\?xml[^<>]*>)?<PublishBatchResponse[^<>]*><PublishBatchResult>"
    r"(<Failed ?/>|<Failed></Failed>)?<Successful>"
)
_TAIL = re.compile(
    r"</Successful>(<Failed ?/>|<Failed></Failed>)?</PublishBatchResult>"
    r"<ResponseMetadata><RequestId>([^<>&]*)</RequestId></ResponseMetadata></PublishBatchResponse>"
)
_EMPTY = (
    b"<PublishBatchResponse><PublishBatchResult/><ResponseMetadata><RequestId>%b</RequestId></ResponseMetadata>"
    b"</PublishBatchResponse>"
)


def read_sns(body: bytes) -> tuple[dict[str, Any], bytes] | None:
    """The answer to ``PublishBatch`` where every entry was accepted.

    botocore's parser reads any other.
    """
    try:
        text = _BETWEEN_TAGS.sub("><", body.decode()).strip()
    except UnicodeDecodeError:
        return None
    head = _HEAD.match(text)
    if head is None:
        return None
    successful, at = [], head.end()
    while text.startswith("<member>", at):
        member = _MEMBER.match(text, at)
        if member is not None:
            message_id, entry_id, sequence = member.groups()
        else:
            member = _MEMBER_ID_FIRST.match(text, at)
            if member is None:
                return None
            entry_id, message_id, sequence = member.groups()
        entry = {"Id": entry_id, "MessageId": message_id}
        if sequence is not None:
            entry["SequenceNumber"] = sequence
        successful.append(entry)
        at = member.end()
    tail = _TAIL.fullmatch(text, at)
    if tail is None or (head[1] and tail[1]):
        return None
    response: dict[str, Any] = {"Successful": successful}
    if head[1] or tail[1]:
        response["Failed"] = []
    return response, _EMPTY % tail[2].encode()


_STUB_RECORDS = [{"Data": b"", "PartitionKey": "0"}]
_STUB_ENTRIES = [{"Id": "0", "Message": "0"}]
#: service: protocol, operation, parameter of the entries, what stands for them, reader, and the
#: most bytes that an answer can have: 2 KiB for each of 500 records, 6 KiB for each of ten entries
_PATHS: Mapping[str, tuple[str, str, str, Any, Any, int]] = {
    "kinesis": ("json", "PutRecords", "Records", _STUB_RECORDS, read_kinesis, 1024 * 1024),
    "sns": (
        *("query", "PublishBatch", "PublishBatchRequestEntries", _STUB_ENTRIES),
        *(read_sns, 64 * 1024),
    ),
}
_ENCODERS: Mapping[str, Any] = {"kinesis": kinesis_params, "sns": sns_params}
