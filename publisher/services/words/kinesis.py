"""What ``help()`` says of Kinesis's operations."""

from __future__ import annotations

from ..._engine.contract import Words

WORDS: Words = {
    "put_record": (
        "Put a record into a Kinesis stream in the background.",
        {
            "Data": "bytes or str: the record, up to 1 MiB with its key (10 MiB where the"
            " stream allows).",
            "PartitionKey": "str, optional: up to 256 characters; its hash picks the shard.",
            "StreamName": "str, optional: the stream; or StreamARN, or StreamId.",
            "StreamARN": "str, optional: the stream.",
            "StreamId": "str, optional: the stream.",
            "ExplicitHashKey": "str, optional: picks the shard in place of the key.",
            "SequenceNumberForOrdering": "str, optional: keeps the record out of batches.",
            "DryRun": "bool, optional: asks whether it is allowed; nothing is stored.",
        },
        '``{"ShardId": ..., "SequenceNumber": ...}``',
    ),
    "put_records": (
        "Put any number of records into one Kinesis stream, in as many requests as needed.",
        {
            "Records": 'list of dict: {"Data": ..., "PartitionKey": ...}, and'
            ' "ExplicitHashKey" where it is wanted.',
            "StreamName": "str, optional: the stream; or StreamARN, or StreamId.",
            "StreamARN": "str, optional: the stream.",
            "StreamId": "str, optional: the stream.",
            "DryRun": "bool, optional: asks whether it is allowed; nothing is stored.",
        },
        '``{"FailedRecordCount": ..., "Records": [...]}``, in the order of the call',
    ),
}
