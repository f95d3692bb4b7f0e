"""EventBridge: the entries of ``put_events`` calls share requests, matched by position.

There is no single operation: calls of up to ten entries are coalesced instead.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from .._engine.contract import Accepted, Limits
from ..errors import InvalidMessage
from ._by_position import ByPosition
from ._checks import shown_address
from ._events import FAST, SOURCE, checked_event
from ._tabled import verdicts
from .words.events import WORDS

_DEFAULT = "default"  # the bus of an entry that names none
_BUS = re.compile(
    r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus/)?[._A-Za-z0-9-]+", re.ASCII
)


class EventBridge(ByPosition):
    """An entry is boto3's own, with its size; an address is the name or the ARN of a bus."""

    name, system, words = "events", "aws.eventbridge", WORDS
    single = batch = "put_events"
    entries_parameter = "Entries"
    places, needs = ("EventBusName",), ()
    parts = frozenset(
        {"Time", "Source", "Resources", "DetailType", "Detail", "EventBusName", "TraceHeader"}
    )
    source = SOURCE
    limits = Limits(entries=10, bytes=1_000_000)
    max_message = 1024 * 1024
    max_message_source = (
        "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html"
    )
    outcomes_in, failed_count = "Entries", "FailedEntryCount"
    single_answer, receipt = (), "EventId"
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
    verdicts: ClassVar = verdicts(
        final=(
            "InvalidAccountIdException",
            "InvalidArgument",
            "MalformedDetail",
            "RedactionFailure",
            "NotAuthorizedForSourceException",
            "NotAuthorizedForDetailTypeException",
        ),
        retry=("InternalException",),
    )

    def accept(self, params: Mapping[str, Any]) -> Accepted | None:
        made = self.accept_batch(params)
        if made is None or len(made[1]) != 1:
            return None
        (address,), (entry,), (size,), _ = made
        return address, entry, size

    def accept_batch(
        self, params: Mapping[str, Any]
    ) -> tuple[Any, Sequence[Any], Sequence[int], Any] | None:
        if "EventBusName" in params:  # of an entry, not of the call
            return None
        made = super().accept_batch({**params, "EventBusName": _DEFAULT})
        if made is None:
            return None
        _, entries, *rest = made
        return [entry.params.get("EventBusName", _DEFAULT) for entry in entries], entries, *rest

    def entry(self, params: Mapping[str, Any]) -> tuple[Any, int]:
        return checked_event(self, params)

    def params(self, entry: Any) -> dict[str, Any]:
        return dict(entry.params)

    def measure(self, entry: Any) -> int:
        return int(entry.size)

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

    def single_request(self, address: Any, entry: Any) -> dict[str, Any]:
        return self.batch_request(address, [entry])

    def batch_request(self, address: Any, entries: Sequence[Any]) -> dict[str, Any]:
        return {"Entries": list(map(self.params, entries))}

    def single_response(
        self, response: Mapping[str, Any], outcome: Mapping[str, Any]
    ) -> dict[str, Any]:
        rest = {key: value for key, value in response.items() if key not in self.about_entries}
        return self.batch_response(None, [outcome], rest)

    def stored(self, params: Mapping[str, Any], number: int) -> dict[str, Any]:
        return {"EventId": str(uuid.uuid4())}

    def look_at(self, named: Mapping[str, str]) -> dict[str, str]:
        return {"Name": named["EventBusName"]}

    def addressed(self, named: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, Any]:
        return {"Entries": [{**named, **entry} for entry in params["Entries"]]}

    def message(self, text: bytes | str, key: str, **details: str) -> dict[str, Any]:
        source, kind = (details.get(name, self.details[name][0]) for name in self.details)
        detail = text if isinstance(text, str) else text.decode()
        return {"Entries": [{"Source": source, "DetailType": kind, "Detail": detail}]}

    def receipt_of(self, response: Mapping[str, Any]) -> str:
        (outcome,) = response["Entries"]
        if "ErrorCode" in outcome:
            raise ValueError(f"{outcome['ErrorCode']}: {outcome['ErrorMessage']}")
        return super().receipt_of(outcome)

    def body(self, params: Mapping[str, Any]) -> bytes:
        return str(params["Entries"][0]["Detail"]).encode()

    def probe(self, known: Collection[str]) -> dict[str, Any]:
        event = {"Source": "doctor", "DetailType": "never stored", "Detail": "{}"}
        return {"Entries": [event] * (self.limits.entries + 1)}
