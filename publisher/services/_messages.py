"""SNS's ``PublishBatch`` in the query protocol: the body made, and the answer read, by hand."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

from .._engine.contract import Fast
from ._texts import Rich

MAX_ENTRIES = 10  # of one request
#: Bytes of one message. A name of a module costs each call less than an attribute of the class.
MAX_MESSAGE = 1024 * 1024


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
    for index in range(MAX_ENTRIES)
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


def encode_messages(address: Any, entries: Sequence[Any]) -> tuple[dict[str, Any], bytes]:
    """``PublishBatch`` to a topic, as botocore's serialiser and form encoding would write it.

    Returns the parameters beside the entries, and the body.
    """
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
    return {"TopicArn": address}, b"".join(parts)


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


def read_messages(body: bytes) -> tuple[dict[str, Any], bytes] | None:
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


#: The largest answer: 6 KiB for each of ten entries.
FAST = Fast(
    protocol="query",
    stub=[{"Id": "0", "Message": "0"}],
    encode=encode_messages,
    read=read_messages,
    largest=64 * 1024,
)
