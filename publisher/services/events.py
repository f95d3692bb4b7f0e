"""EventBridge: the entries of ``put_events`` calls share requests, matched by position."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from .._engine.contract import Limits
from ..errors import InvalidMessage
from ._checks import shown_address
from ._events import CAUSES, FAST, FINAL, PARTS, SIZE, SOURCE, checked_event
from ._no_single import NoSingle
from ._tabled import verdicts
from .words.events import WORDS

_BUS = re.compile(
    r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus/)?[._A-Za-z0-9-]+", re.ASCII
)


class EventBridge(NoSingle):
    """An address is the name or the ARN of a bus."""

    name, system, words = "events", "aws.eventbridge", WORDS
    single = batch = "put_events"
    entries_parameter = "Entries"
    places, parts, needs = ("EventBusName",), PARTS, ()
    default_place, source = "default", SOURCE
    limits = Limits(entries=10, bytes=1_000_000)
    max_message, max_message_source = 1024 * 1024, SIZE
    outcomes_in, failed_count, receipt = "Entries", "FailedEntryCount", "EventId"
    permission = single_permission = "events:PutEvents"
    fast = FAST
    option, option_help = "bus", "name or ARN of an EventBridge bus"
    look = "describe_event_bus"
    details: ClassVar = {
        "source": ("boto3-publisher", "Source of the events"),
        "detail_type": ("line", "DetailType of the events, up to 128 characters"),
    }
    throttled, refusal = "ThrottlingException", "ValidationException"
    probe_codes = frozenset({"ValidationException"})
    verdicts: ClassVar = verdicts(final=FINAL, retry=("InternalException",))
    causes: ClassVar = CAUSES

    def entry(self, params: Mapping[str, Any]) -> tuple[Any, int]:
        return checked_event(self, params)

    def check_address(self, address: Any) -> None:
        found = f"EventBusName ({shown_address(address)})"
        if not address:  # boto3 does not send it
            raise InvalidMessage(f"{found} is empty; 1 to 1,600 are allowed ({SOURCE})")
        if len(address) > 1600 or not _BUS.fullmatch(address):
            raise self.refused(
                f"{found} must be a bus's ARN, or 1 to 1,600 letters, digits, dots, hyphens and"
                f" underscores ({SOURCE})"
            )

    def label(self, address: Any) -> str:
        return str(address).rpartition("/")[2]

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        return {"EventId": str(uuid.uuid4())}

    def look_at(self, named: Mapping[str, str]) -> dict[str, str]:
        return {"Name": named["EventBusName"]}

    def message(self, text: bytes | str, key: str, **details: str) -> dict[str, Any]:
        source, kind = (details.get(name, self.details[name][0]) for name in self.details)
        detail = text if isinstance(text, str) else text.decode()
        return {"Entries": [{"Source": source, "DetailType": kind, "Detail": detail}]}

    def body(self, params: Mapping[str, Any]) -> bytes:
        return str(params["Entries"][0]["Detail"]).encode()

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        event = {"Source": "doctor", "DetailType": "never stored", "Detail": "{}"}
        return {"Entries": [event] * (self.limits.entries + 1)}
