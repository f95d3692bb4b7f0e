"""What ``help()`` says of EventBridge's operation."""

from __future__ import annotations

from ..._engine.contract import Words

WORDS: Words = {
    "put_events": (
        "Put any number of events onto EventBridge's buses; those of several calls share requests.",
        {
            "Entries": 'list of dict: {"Source": ..., "DetailType": ..., "Detail": ...}, Detail'
            ' being a JSON object as text; and "EventBusName", "Time", "Resources",'
            ' "TraceHeader" where they are wanted.',
            "EndpointId": "str, optional: a global endpoint; the call then travels alone.",
        },
        '``{"FailedEntryCount": ..., "Entries": [...]}``, in the order of the call',
    ),
}
