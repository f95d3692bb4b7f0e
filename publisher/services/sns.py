"""SNS: ``publish`` to a topic travels in ``PublishBatch``, matched by Id.

An SMS or a mobile endpoint goes alone.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import Accepted, Limits, Verdict
from ..errors import InvalidMessage, RefusedMessage
from ._attributes import copied_attributes
from ._by_id import ById
from ._checks import check_str, missing, shown_address, utf8_size, wrong_type
from ._messages import FAST, MAX_ENTRIES, Rich

_PUBLISH = "https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"
_SOURCE = "https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html"
_TEXTS = ("Subject", "MessageStructure", "MessageDeduplicationId", "MessageGroupId")
_TABLE = frozenset({"TopicArn", "TargetArn", "Message", "MessageAttributes", *_TEXTS})
_ENTRY = frozenset({"Id", "Message", "MessageAttributes", *_TEXTS})
_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]{1,63}:[0-9]+:[A-Za-z0-9_.-]+")
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,100}")
_ID = re.compile(r".{0,128}", re.DOTALL)
#: Of texts, beside what is UTF-8: pattern, and what it says.
_RULES = {
    "Subject": (_SUBJECT, "up to 100 characters, no line breaks and no control characters"),
    "MessageGroupId": (_ID, _IDS := "up to 128 characters"),
    "MessageDeduplicationId": (_ID, _IDS),
}


class SNS(ById):
    """An entry is the message alone, or a :class:`Rich`; an address is a topic's ARN.

    The message of an entry is a str where it is ASCII, otherwise its UTF-8: a str with one emoji
    takes four bytes a character while it waits.
    """

    name = "sns"
    single, batch, entries_parameter = "publish", "publish_batch", "PublishBatchRequestEntries"
    option, option_help = "topic", "ARN of an SNS topic"
    look = "get_topic_attributes"
    probe_codes = frozenset({"BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinctException"})
    system = "aws.sns"
    receipt = "MessageId"
    throttled = "Throttled"
    words: ClassVar = {
        "publish": (
            "Publish a message to an SNS topic in the background; an SMS and a mobile push too.",
            {
                "Message": "str: the text, up to 256 KiB with its attributes (1 MiB where the"
                " topic allows).",
                "TopicArn": "str, optional: the topic; one of TopicArn, TargetArn and PhoneNumber.",
                "TargetArn": "str, optional: a topic, or the endpoint of a mobile device.",
                "PhoneNumber": "str, optional: for an SMS, in E.164 format.",
                "Subject": "str, optional: of an e-mail, up to 100 characters.",
                "MessageStructure": 'str, optional: "json" for a text of each protocol\'s own.',
                "MessageAttributes": 'dict, optional: {"DataType": ..., "StringValue": ...} by'
                ' name, or "BinaryValue".',
                "MessageGroupId": "str, optional: FIFO topics keep the order within it.",
                "MessageDeduplicationId": "str, optional: a FIFO topic stores one of it in 5"
                " minutes.",
            },
            '``{"MessageId": ...}``',
        ),
        "publish_batch": (
            "Publish any number of messages to one SNS topic, in as many requests as needed.",
            {
                "TopicArn": "str: the topic.",
                "PublishBatchRequestEntries": 'list of dict: {"Id": ..., "Message": ...} and the'
                " other parameters of publish(); Ids of 1 to 80 letters, digits, - and _, no two"
                " alike.",
            },
            '``{"Successful": [...], "Failed": [...]}``, in the order of the call',
        ),
    }
    permission = single_permission = "sns:Publish"
    # https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html
    deduplication_window = 300.0
    limits = Limits(entries=MAX_ENTRIES, bytes=256 * 1024)
    fast = FAST
    max_message = 1024 * 1024
    refusal = "InvalidParameter"
    max_message_source = "https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html"
    verdicts: ClassVar = {
        # (alone, in a request of many)
        "NotFound": (Verdict.FINAL, Verdict.FINAL),
        "EndpointDisabled": (Verdict.FINAL, Verdict.FINAL),
        "PlatformApplicationDisabled": (Verdict.FINAL, Verdict.FINAL),
        "InvalidParameter": (Verdict.FINAL, Verdict.SPLIT),
        "ParameterValueInvalid": (Verdict.FINAL, Verdict.SPLIT),
        "InvalidParameterValue": (Verdict.FINAL, Verdict.SPLIT),
        "InvalidBatchEntryId": (Verdict.FINAL, Verdict.SPLIT),
        "BatchEntryIdsNotDistinct": (Verdict.FINAL, Verdict.SPLIT),
        "BatchRequestTooLong": (Verdict.FINAL, Verdict.SPLIT),
        "TooManyEntriesInBatchRequest": (Verdict.FINAL, Verdict.SPLIT),
    }

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        if len(params) == 2:  # the usual message, checked in one breath
            topic, message = params.get("TopicArn"), params.get("Message")
            if type(topic) is str and type(message) is str and message.isascii():
                size = len(message)
                if size <= self.max_message:
                    return topic, message, size
        if not params.keys() <= _TABLE:
            return None
        topic = params.get("TopicArn")
        if topic is None:
            topic = self._target(params)
            if topic is None:
                return None
        elif "TargetArn" in params:
            return None
        elif type(topic) is not str:
            topic = check_str("TopicArn", topic)
        if "Message" not in params:
            raise missing("Message", "publish")
        entry, size = self._entry(params)
        return topic, entry, size

    def accept_batch(  # noqa: C901, PLR0912 - one check after the other
        self, params: Mapping[str, Any]
    ) -> tuple[Any, Sequence[Any], Sequence[int], Any] | None:
        if not params.keys() <= {"TopicArn", "PublishBatchRequestEntries"}:
            return None
        for parameter in ("TopicArn", "PublishBatchRequestEntries"):
            if parameter not in params:
                raise missing(parameter, "publish_batch")
        topic = check_str("TopicArn", params["TopicArn"])
        entries = params["PublishBatchRequestEntries"]
        if not isinstance(entries, (list, tuple)):
            raise wrong_type("PublishBatchRequestEntries", entries, "a list of dicts")
        if not entries:
            raise RefusedMessage(
                f"PublishBatchRequestEntries is empty; at least 1 entry is needed ({_SOURCE})",
                "EmptyBatchRequest",
                self.batch,
            )
        built, sizes, ids = [], [], []
        for index, entry in enumerate(entries):
            where = f"PublishBatchRequestEntries[{index}]"
            if not isinstance(entry, Mapping):
                raise wrong_type(where, entry, "a dict")
            if not entry.keys() <= _ENTRY:
                raise InvalidMessage(
                    f"{where} has unknown parameters:"
                    f" {', '.join(sorted(map(str, entry.keys() - _ENTRY)))}"
                )
            for parameter in ("Id", "Message"):
                if parameter not in entry:
                    raise InvalidMessage(f"{where} needs the parameter {parameter}")
            entry_id = check_str(f"{where}.Id", entry["Id"])
            if not _BATCH_ID.fullmatch(entry_id):
                raise RefusedMessage(
                    f"{where}.Id (str of {len(entry_id)} characters) must be 1 to 80 letters,"
                    f" digits, hyphens or underscores ({_SOURCE})",
                    "InvalidBatchEntryId",
                    self.batch,
                )
            ids.append(entry_id)
            try:
                made, size = self._entry(entry)
            except InvalidMessage as error:
                raise error.about(where, self.batch) from None
            built.append(made)
            sizes.append(size)
        if len(set(ids)) < len(ids):
            raise RefusedMessage(
                f"the Ids of {len(ids)} entries are not distinct: {len(set(ids))} different ones"
                f" ({_SOURCE})",
                "BatchEntryIdsNotDistinct",
                self.batch,
            )
        return topic, built, sizes, ids

    def check_address(self, address: Any) -> None:
        if not _TOPIC_ARN.fullmatch(address):
            raise self.refused(
                f"TopicArn ({shown_address(address)}) is not of the form"
                f" arn:aws:sns:region:account:name ({_PUBLISH})"
            )

    def measure(self, entry: Any) -> int:
        return entry.size if type(entry) is Rich else len(entry)

    def is_ordered(self, address: Any) -> bool:
        return bool(address.endswith(".fifo"))

    def group(self, entry: Any) -> str:
        return entry.params.get("MessageGroupId", "") if type(entry) is Rich else ""

    def label(self, address: Any) -> str:
        return str(address.rpartition(":")[2])

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        return {"TopicArn": address, **_params(entry)}

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        # The wire carries our Ids: the entry's place in this request.
        return {
            "TopicArn": address,
            "PublishBatchRequestEntries": [
                {"Id": str(index), **_params(entry)} for index, entry in enumerate(entries)
            ],
        }

    def named(self, text: str) -> dict[str, str]:
        return {"TopicArn": text}

    def address(self, params: Mapping[str, Any]) -> Any:
        return params["TopicArn"]

    def message(self, text: bytes | str, key: str) -> dict[str, Any]:
        return {"Message": text if isinstance(text, str) else text.decode()}

    def body(self, params: Mapping[str, Any]) -> bytes:
        return str(params["Message"]).encode()

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        stored = {"MessageId": str(uuid.uuid4())}
        if params.get("TopicArn", "").endswith(".fifo"):
            stored["SequenceNumber"] = f"1{number:019}"
        return stored

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        twice = {"Id": "doctor", "Message": "never stored: the same Id stands twice"}
        return {"PublishBatchRequestEntries": [twice, twice]}

    # -- details

    @staticmethod
    def _target(params: Mapping[str, Any]) -> str | None:
        target = params.get("TargetArn")
        if target is None:
            raise InvalidMessage(
                "publish() needs TopicArn, TargetArn or PhoneNumber to say where to"
            )
        target = check_str("TargetArn", target)
        return target if _TOPIC_ARN.fullmatch(target) else None

    def _entry(self, params: Mapping[str, Any]) -> tuple[Any, int]:
        message = check_str("Message", params["Message"])
        size = utf8_size(message, "Message")
        kept: dict[str, Any] = {"Message": message if size == len(message) else message.encode()}
        for parameter in _TEXTS:
            if parameter in params:
                kept[parameter] = text = check_str(parameter, params[parameter])
                counted = utf8_size(text, parameter)
                pattern, rule = _RULES.get(parameter, (None, ""))
                if pattern is not None and not pattern.fullmatch(text):
                    raise self.refused(
                        f"{parameter} (str of {len(text)} characters) must have {rule} ({_PUBLISH})"
                    )
                if parameter == "Subject":
                    size += counted
        if "MessageAttributes" in params:
            given = params["MessageAttributes"]
            kept["MessageAttributes"], attributes_size = copied_attributes(given)
            size += attributes_size
        if size > self.max_message:
            raise self._too_long(size)
        return (kept["Message"] if len(kept) == 1 else Rich(size, kept)), size

    def _too_long(self, size: int) -> InvalidMessage:
        return self.refused(
            f"Message has {size:,} bytes with its attributes; at most {self.max_message:,} are"
            f" allowed ({self.max_message_source})"
        )


def _params(entry: Any) -> dict[str, Any]:
    params = dict(entry.params) if type(entry) is Rich else {"Message": entry}
    if isinstance(params["Message"], bytes):
        params["Message"] = params["Message"].decode()
    return params
