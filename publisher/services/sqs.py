"""SQS: ``send_message`` travels in ``SendMessageBatch``, matched by Id."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import Accepted, Limits
from . import _queues
from ._by_id import ById
from ._texts import Rule, Texts
from .words.sqs import WORDS

_ID = Rule(re.compile("[!-~]{1,128}"), "1 to 128 letters, digits and punctuation", _queues.SINGLE)


class SQS(Texts):
    """An address is a queue's URL."""

    name, system, words = "sqs", "aws_sqs", WORDS
    single, batch, entries_parameter = "send_message", "send_message_batch", "Entries"
    places, text, needs = ("QueueUrl",), "MessageBody", ("MessageBody",)
    texts: ClassVar = {"MessageDeduplicationId": _ID, "MessageGroupId": _ID}
    others: ClassVar = {
        "DelaySeconds": _queues.checked_delay,
        "MessageSystemAttributes": _queues.checked_system_attributes,
    }
    parts = frozenset({"MessageBody", "MessageAttributes", *texts, *others})
    attributes, max_attributes, attributes_source = "MessageAttributes", 10, _queues.METADATA
    source, prefix = _queues.SOURCE, "AWS.SimpleQueueService."
    limits = Limits(entries=10, bytes=1024 * 1024)
    max_message, max_message_source = 1024 * 1024, _queues.QUOTAS
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html
    deduplication_window = 300.0
    receipt, throttled, refusal = "MessageId", "RequestThrottled", "InvalidParameterValue"
    about_entries = ById.about_entries | _queues.DIGESTS
    permission = single_permission = "sqs:SendMessage"
    fast = _queues.FAST
    option, option_help, look = "queue", "URL of an SQS queue", "get_queue_attributes"
    probe_codes = frozenset({"BatchEntryIdsNotDistinct", f"{prefix}BatchEntryIdsNotDistinct"})
    verdicts: ClassVar = _queues.VERDICTS
    causes: ClassVar = _queues.CAUSES

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        if len(params) == 2:  # the usual message, checked in one breath
            queue, body = params.get("QueueUrl"), params.get("MessageBody")
            if type(queue) is str and type(body) is str and body.isascii():
                size = len(body)
                usual = 0 < size <= self.max_message and not queue.endswith(".fifo")
                if usual and not body.encode().translate(None, _queues.TAKEN):
                    return queue, body, size
        accepted = super().accept(params)
        if accepted is not None and self.is_ordered(accepted[0]) and not self.group(accepted[1]):
            raise _queues.needs_group()
        return accepted

    def accept_batch(
        self, params: Mapping[str, Any]
    ) -> tuple[Any, Sequence[Any], Sequence[int], Any] | None:
        accepted = super().accept_batch(params)
        if accepted is not None and self.is_ordered(accepted[0]):
            for index, entry in enumerate(accepted[1]):
                if not self.group(entry):
                    raise _queues.needs_group().about(f"Entries[{index}]", self.batch)
        return accepted

    def check_text(self, text: str) -> None:
        _queues.check_characters("MessageBody", text)

    def copied(self, given: Any) -> tuple[dict[str, Any], int]:
        return _queues.checked_attributes(given)

    def check_address(self, address: Any) -> None:
        _queues.check_queue(address)

    def label(self, address: Any) -> str:
        return str(address.rpartition("/")[2])

    def home(self, address: Any) -> tuple[str, str]:
        return "", str(address.rpartition("/")[0].rpartition("/")[2])

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        return {**super().stored(params, number), **_queues.digests(params)}

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        twice = {"Id": "doctor", "MessageBody": "never stored: the same Id stands twice"}
        return {"Entries": [twice, twice]}
