"""SNS: ``publish`` to a topic travels in ``PublishBatch``, matched by Id.

An SMS or a mobile endpoint goes alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from .._engine.contract import Accepted, Limits
from ..errors import InvalidMessage
from ._checks import check_str, shown_address
from ._messages import FAST, MAX_ENTRIES, MAX_MESSAGE
from ._tabled import verdicts
from ._texts import ANY, Rule, Texts
from .words.sns import WORDS

_PUBLISH = "https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"
_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]{1,63}:[0-9]+:[A-Za-z0-9_.-]+")
_ID = Rule(re.compile(r".{0,128}", re.DOTALL), "up to 128 characters", _PUBLISH)
_SUBJECT = Rule(
    re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,100}"),
    "up to 100 characters, no line breaks and no control characters",
    _PUBLISH,
    counts=True,
)


class SNS(Texts):
    """An address is a topic's ARN."""

    name, system, words, fast = "sns", "aws.sns", WORDS, FAST
    single, batch, entries_parameter = "publish", "publish_batch", "PublishBatchRequestEntries"
    places, text, needs = ("TopicArn",), "Message", ("Message",)
    texts: ClassVar = {
        "Subject": _SUBJECT,
        "MessageStructure": ANY,
        "MessageDeduplicationId": _ID,
        "MessageGroupId": _ID,
    }
    parts = frozenset({"Message", "MessageAttributes", *texts})
    source = "https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html"
    attributes_source = "https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html"
    limits = Limits(entries=MAX_ENTRIES, bytes=256 * 1024)
    max_message = MAX_MESSAGE
    max_message_source = "https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html"
    deduplication_window = 300.0  # docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html
    # SNS delivers no more of them to a queue in raw form.
    attributes, max_attributes = "MessageAttributes", 10
    receipt, throttled, refusal = "MessageId", "Throttled", "InvalidParameter"
    permission = single_permission = "sns:Publish"
    option, option_help, look = "topic", "ARN of an SNS topic", "get_topic_attributes"
    probe_codes = frozenset({"BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinctException"})
    verdicts: ClassVar = verdicts(
        final=("NotFound", "EndpointDisabled", "PlatformApplicationDisabled"),
        split=(
            "InvalidParameter",
            "ParameterValueInvalid",
            "InvalidParameterValue",
            "InvalidBatchEntryId",
            "BatchEntryIdsNotDistinct",
            "BatchRequestTooLong",
            "TooManyEntriesInBatchRequest",
        ),
    )

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        if len(params) == 2:  # the usual message, checked in one breath
            topic, message = params.get("TopicArn"), params.get("Message")
            if type(topic) is str and type(message) is str and message.isascii():
                size = len(message)
                if size <= MAX_MESSAGE:
                    return topic, message, size
        if params.get("TopicArn") is None and params.keys() <= {*self.parts, "TargetArn"}:
            target = params.get("TargetArn")
            if target is None:
                raise InvalidMessage(
                    "publish() needs TopicArn, TargetArn or PhoneNumber to say where to"
                )
            if _TOPIC_ARN.fullmatch(check_str("TargetArn", target)):
                rest = {name: value for name, value in params.items() if name != "TargetArn"}
                return super().accept({**rest, "TopicArn": target})
        return super().accept(params)

    def check_address(self, address: Any) -> None:
        if not _TOPIC_ARN.fullmatch(address):
            raise self.refused(
                f"TopicArn ({shown_address(address)}) is not of the form"
                f" arn:aws:sns:region:account:name ({_PUBLISH})"
            )

    def label(self, address: Any) -> str:
        return str(address.rpartition(":")[2])

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        twice = {"Id": "doctor", "Message": "never stored: the same Id stands twice"}
        return {"PublishBatchRequestEntries": [twice, twice]}
