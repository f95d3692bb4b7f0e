"""What ``help()`` says of Firehose's operations."""

from __future__ import annotations

from ..._engine.contract import Words

WORDS: Words = {
    "put_record": (
        "Put a record into a Firehose stream in the background.",
        {
            "DeliveryStreamName": "str: the stream.",
            "Record": 'dict: {"Data": ...}, bytes or str of up to 1,000 KiB.',
        },
        '``{"RecordId": ..., "Encrypted": ...}``',
    ),
    "put_record_batch": (
        "Put any number of records into one Firehose stream, in as many requests as needed.",
        {
            "DeliveryStreamName": "str: the stream.",
            "Records": 'list of dict: {"Data": ...} each, bytes or str of up to 1,000 KiB.',
        },
        '``{"FailedPutCount": ..., "RequestResponses": [...]}``, in the order of the call',
    ),
}
