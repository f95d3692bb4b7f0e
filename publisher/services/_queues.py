"""What SQS asks of a message, and ``SendMessageBatch`` in JSON: body made, answer read, by hand."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as json_string
from typing import Any

from .._engine.contract import Fast
from ..errors import InvalidMessage, RefusedMessage
from ._attributes import copied_attributes
from ._checks import shown_address, wrong_type
from ._json import json_of, reader_of_lists
from ._tabled import verdicts
from ._texts import Rich

SOURCE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"
SINGLE = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"
)
METADATA = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"
QUOTAS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"
_CREATE = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"
)
#: Of whatever host: the request goes to the client's endpoint, as with boto3.
_QUEUE_URL = re.compile(r"(?:[^\s/?#]+://[^\s?#]+/)?(?=.{1,80}\Z)[A-Za-z0-9_-]+(?:\.fifo)?")
DIGESTS = frozenset({"MD5OfMessageBody", "MD5OfMessageAttributes", "MD5OfMessageSystemAttributes"})
_MAX_DELAY = 900  # seconds
_MAX_ATTRIBUTES = 10
_WRONG = "InvalidParameterValue"
#: What XML 1.0 lacks: most control characters, and two that are none.
_UNKNOWN_TO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: The ASCII that it has: what is left without them is found in a fraction of a search's time.
TAKEN = b"\t\n\r" + bytes(range(32, 128))
#: Letters of whatever alphabet: the documentation has A to Z, and others are SQS's to judge.
_ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[\w.-]{1,256}(?<!\.)")
_ATTRIBUTE_TYPE = re.compile(r"(?=.{1,256}\Z)(?:String|Number|Binary)(?:\..+)?", re.DOTALL)

#: By the names of the query protocol, which botocore gives of either, and by the model's.
VERDICTS = verdicts(
    final=(
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "InvalidAddress",
        "InvalidSecurity",
        "KMS.AccessDeniedException",
        "KmsAccessDenied",
        "KMS.DisabledException",
        "KmsDisabled",
        "KMS.InvalidKeyUsageException",
        "KmsInvalidKeyUsage",
        "KMS.NotFoundException",
        "KmsNotFound",
        "KMS.OptInRequired",
        "KmsOptInRequired",
    ),
    split=(
        "InvalidMessageContents",
        "MissingParameter",
        *(
            prefix + code
            for prefix in ("AWS.SimpleQueueService.", "")
            for code in (
                "BatchEntryIdsNotDistinct",
                "BatchRequestTooLong",
                "EmptyBatchRequest",
                "InvalidBatchEntryId",
                "TooManyEntriesInBatchRequest",
                "UnsupportedOperation",
            )
        ),
    ),
    retry=("KMS.InvalidStateException", "KmsInvalidState", "OverLimit"),
)

_ASK = "look at the queue's name, and whether the client is for its account and region"
#: What lies behind a code, and what to do.
CAUSES = {
    "AWS.SimpleQueueService.NonExistentQueue": (
        "no such queue there: wrong name, account or region",
        _ASK,
    ),
    "QueueDoesNotExist": ("no such queue there: wrong name, account or region", _ASK),
    "InvalidAddress": ("the queue's URL is not one of this endpoint", _ASK),
    "InvalidMessageContents": (
        "a message has a character that XML 1.0 lacks",
        "encode the body, in base64 say",
    ),
}


def check_queue(address: str) -> None:
    """Raise RefusedMessage for a URL, or a name, that is no queue's."""
    if not _QUEUE_URL.fullmatch(address):
        raise RefusedMessage(
            f"QueueUrl ({shown_address(address)}) must end with a queue's name: 1 to 80 letters,"
            f" digits, hyphens and underscores, with .fifo that of a FIFO queue ({_CREATE})",
            "InvalidAddress",
            "send_message",
        )


def check_characters(parameter: str, text: str) -> None:
    """Raise RefusedMessage for no text, and for one with a character that XML 1.0 lacks."""
    if not text:
        report = f"{parameter} is empty; at least 1 character is needed ({SINGLE})"
        raise RefusedMessage(report, "MissingParameter", "send_message")
    if text.isascii() and not text.encode().translate(None, TAKEN):
        return
    if found := _UNKNOWN_TO_XML.search(text):
        raise RefusedMessage(
            f"{parameter} (str of {len(text)} characters) has one at {found.start()} that XML 1.0"
            f" lacks: SQS takes tabs, line breaks and no other control characters ({SINGLE})",
            "InvalidMessageContents",
            "send_message",
        )


def checked_attributes(given: Any) -> tuple[dict[str, dict[str, Any]], int]:
    """A copy of a message's attributes, and their bytes. Raises InvalidMessage."""
    attributes, size = copied_attributes(given, METADATA)
    if len(attributes) > _MAX_ATTRIBUTES:
        raise RefusedMessage(
            f"MessageAttributes has {len(attributes)}; at most {_MAX_ATTRIBUTES} are allowed"
            f" ({QUOTAS})",
            _WRONG,
            "send_message",
        )
    for place, (name, attribute) in enumerate(attributes.items()):
        where = f"MessageAttributes (number {place})"
        if not _ATTRIBUTE_NAME.fullmatch(name):
            raise RefusedMessage(
                f"{where}: its name (str of {len(name)} characters) must be 1 to 256 letters,"
                " digits, underscores, hyphens and single periods, none of them at an end, and not"
                f" begin with AWS. or Amazon. ({METADATA})",
                _WRONG,
                "send_message",
            )
        if not _ATTRIBUTE_TYPE.fullmatch(attribute["DataType"]):
            raise RefusedMessage(
                f"{where}: its DataType must be String, Number or Binary, or one of them with a"
                f" period and a label, of up to 256 characters ({METADATA})",
                _WRONG,
                "send_message",
            )
        part = "BinaryValue" if attribute["DataType"].startswith("Binary") else "StringValue"
        if not attribute.get(part):
            raise RefusedMessage(
                f"{where} needs a {part} that is not empty ({METADATA})", _WRONG, "send_message"
            )
        if part == "StringValue":
            check_characters(f"{where}.StringValue", attribute[part])
    return attributes, size


def checked_system_attributes(given: Any) -> dict[str, dict[str, Any]]:
    """A copy of the attributes for AWS's own use, which do not count. Raises InvalidMessage."""
    attributes, _ = copied_attributes(given, SINGLE, "MessageSystemAttributes")
    for name, attribute in attributes.items():
        if name != "AWSTraceHeader" or attribute["DataType"] != "String":
            raise RefusedMessage(
                f"MessageSystemAttributes takes AWSTraceHeader with the DataType String ({SINGLE})",
                _WRONG,
                "send_message",
            )
    return attributes


def checked_delay(given: Any) -> int:
    """``DelaySeconds``, a whole number of seconds. Raises InvalidMessage."""
    if not isinstance(given, int):
        raise wrong_type("DelaySeconds", given, "int")
    if not 0 <= given <= _MAX_DELAY:
        raise RefusedMessage(
            f"DelaySeconds is {given}; 0 to {_MAX_DELAY} are allowed ({SINGLE})",
            _WRONG,
            "send_message",
        )
    return int(given)


def needs_group() -> InvalidMessage:
    """The error for a message to a FIFO queue that belongs to no group."""
    return RefusedMessage(
        f"a message to a FIFO queue needs a MessageGroupId ({SINGLE})",
        "MissingParameter",
        "send_message",
    )


def digests(params: Mapping[str, Any]) -> dict[str, str]:
    """The MD5 fields of SQS's answer to a message."""
    found = {"MD5OfMessageBody": _md5(str(params["MessageBody"]).encode())}
    for given in ("MessageAttributes", "MessageSystemAttributes"):
        if params.get(given):
            found[f"MD5Of{given}"] = _md5(_joined(params[given]))
    return found


def _joined(attributes: Mapping[str, Mapping[str, Any]]) -> bytes:
    """As SQS hashes them: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation."""
    parts: list[bytes] = []
    for name, attribute in sorted(attributes.items()):
        binary = attribute["DataType"].startswith("Binary")
        value = attribute["BinaryValue" if binary else "StringValue"]
        for part in (name, attribute["DataType"]):
            parts += (len(part.encode()).to_bytes(4, "big"), part.encode())
        content = bytes(value) if binary else str(value).encode()
        parts += (b"\x02" if binary else b"\x01", len(content).to_bytes(4, "big"), content)
    return b"".join(parts)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def encode_messages(address: Any, entries: Sequence[Any]) -> tuple[dict[str, Any], bytes]:
    """``SendMessageBatch`` to a queue, as botocore's serialiser would write it.

    Returns the parameters beside the messages, and the body.
    """
    parts = []
    for index, entry in enumerate(entries):
        if type(entry) is Rich:
            parts.append(f'{{"Id": "{index}", {json_of(_text_first(entry))[1:]}')
        else:
            text = json_string(entry if isinstance(entry, str) else entry.decode())
            parts.append(f'{{"Id": "{index}", "MessageBody": {text}}}')
    body = f'{{"QueueUrl": {json_string(address)}, "Entries": [{", ".join(parts)}]}}'
    return {"QueueUrl": address}, body.encode()


def _text_first(entry: Rich) -> Mapping[str, Any]:
    body = entry.params["MessageBody"]
    return entry.params if isinstance(body, str) else {**entry.params, "MessageBody": body.decode()}


read_messages = reader_of_lists(
    {
        "Successful": DIGESTS | {"Id", "MessageId", "SequenceNumber"},
        "Failed": {"Id", "SenderFault", "Code", "Message"},
    },
    ("Successful", "Failed"),
)


#: The largest answer: 6 KiB for each of ten messages. A botocore older than 1.31.81 speaks SQS's
#: query protocol, and goes its own way.
FAST = Fast(
    protocol="json",
    stub=[{"Id": "0", "MessageBody": "0"}],
    encode=encode_messages,
    read=read_messages,
    largest=64 * 1024,
)
