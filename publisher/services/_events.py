"""EventBridge's entries: checked and counted; ``PutEvents`` in JSON 1.1: body made, answer read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.serialize import JSONSerializer
from botocore.utils import parse_to_aware_datetime

from .._engine.contract import Fast
from ..errors import InvalidMessage
from ._checks import check_str, utf8_size, wrong_type
from ._json import reader

if TYPE_CHECKING:
    from ._tabled import Tabled

SOURCE = (
    "https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html"
)
SIZE = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html"
PARTS = frozenset(
    {"Time", "Source", "Resources", "DetailType", "Detail", "EventBusName", "TraceHeader"}
)
#: Codes of its own that are final for an entry, in whatever company.
FINAL = (
    "InvalidAccountIdException",
    "InvalidArgument",
    "MalformedDetail",
    "RedactionFailure",
    "NotAuthorizedForSourceException",
    "NotAuthorizedForDetailTypeException",
)
_ALLOW = "see what the bus's resource policy allows"
CAUSES = {
    "InvalidArgument": (
        "an event lacks its Source, DetailType or Detail, or one of them is not allowed",
        "give each event all three; a DetailType has 128 characters at most",
    ),
    "MalformedDetail": (
        "an event's Detail is not a JSON object as text",
        "make it with json.dumps of a dict",
    ),
    "NotAuthorizedForSourceException": ("the bus does not take events of this Source", _ALLOW),
    "NotAuthorizedForDetailTypeException": (
        "the bus does not take events of this DetailType",
        _ALLOW,
    ),
}
_COUNTED = ("Source", "DetailType", "Detail")
_TIME = 14  # bytes, as EventBridge counts a time
_SERIALIZER: Any = JSONSerializer()
#: What botocore raises for no time; the last is of an unknown zone, where warnings are errors.
_NO_TIME = (TypeError, ValueError, AttributeError, OverflowError, RuntimeError, RuntimeWarning)
_RESOURCE, _TRACE_HEADER = 2048, 500  # characters


class Event(NamedTuple):
    """An entry: boto3's own parameters, and their size in bytes as EventBridge counts it."""

    size: int
    params: Mapping[str, Any]


def checked_event(service: Tabled, params: Mapping[str, Any]) -> tuple[Event, int]:
    """A copy that the caller cannot change, and its bytes. Raises InvalidMessage.

    What EventBridge answers of one entry beside others (no ``Source``, a ``Detail`` that is no
    JSON) is left to it: boto3 does not raise for it either.
    """
    size, kept = 0, {}
    for name, value in params.items():
        if name == "Time":
            kept[name] = _checked_time(value)
            size += _TIME
            continue
        if name == "Resources":
            kept[name] = _checked_resources(service, value)
            size += sum(utf8_size(one, name) for one in kept[name])
            continue
        kept[name] = text = check_str(name, value)
        counted = utf8_size(text, name)
        if name in _COUNTED:
            size += counted
        elif name == "TraceHeader" and not 1 <= len(text) <= _TRACE_HEADER:
            report = f"TraceHeader has {len(text)} characters; 1 to {_TRACE_HEADER} are allowed"
            if not text:  # boto3 does not send it
                raise InvalidMessage(f"{report} ({SOURCE})")
            raise service.refused(f"{report} ({SOURCE})")
    if size > service.max_message:
        raise service.too_large(f"the event has {size:,} bytes")
    return Event(size, kept), size


def _checked_time(value: Any) -> Any:
    try:
        parse_to_aware_datetime(value)
    except _NO_TIME:
        raise wrong_type("Time", value, "a datetime, or a timestamp as text or number") from None
    return check_str("Time", value) if isinstance(value, str) else value


def _checked_resources(service: Tabled, value: Any) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise wrong_type("Resources", value, "a list of str")
    kept = [check_str(f"Resources[{index}]", one) for index, one in enumerate(value)]
    for index, one in enumerate(kept):
        if len(one) > _RESOURCE:
            raise service.refused(
                f"Resources[{index}] has {len(one):,} characters; at most {_RESOURCE:,} are"
                f" allowed ({SOURCE})"
            )
    return kept


def _encode(_: str, entries: Sequence[Event]) -> tuple[dict[str, Any], bytes]:
    made = [
        {name: _stamp(value) if name == "Time" else value for name, value in entry.params.items()}
        for entry in entries
    ]
    return {}, json.dumps({"Entries": made}).encode()


def _stamp(value: Any) -> Any:
    """Seconds since the epoch as botocore has them, whose versions differ in it."""
    return _SERIALIZER._convert_timestamp_to_str(value)


FAST = Fast(
    protocol="json",
    stub=[{"Source": "0"}],
    encode=_encode,
    read=reader(
        "Entries", ("EventId", "ErrorCode", "ErrorMessage"), ("FailedEntryCount", "Entries")
    ),
    largest=64 * 1024,  # 6 KiB for each of ten entries
)
