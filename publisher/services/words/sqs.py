"""What ``help()`` says of SQS's operations."""

from __future__ import annotations

from ..._engine.contract import Words

WORDS: Words = {
    "send_message": (
        "Send a message to an SQS queue in the background.",
        {
            "QueueUrl": "str: of the queue.",
            "MessageBody": "str: the text, up to 1 MiB with its attributes.",
            "DelaySeconds": "int, optional: seconds in which nobody receives it, up to 900.",
            "MessageAttributes": 'dict, optional: {"DataType": ..., "StringValue": ...} by'
            ' name, or "BinaryValue"; up to 10.',
            "MessageSystemAttributes": "dict, optional: AWSTraceHeader for X-Ray, in the same form;"
            " its bytes do not count.",
            "MessageGroupId": "str, optional: FIFO queues need it and keep the order within it;"
            " standard queues share fairly between groups.",
            "MessageDeduplicationId": "str, optional: a FIFO queue stores one of it in 5 minutes.",
        },
        '``{"MessageId": ..., "MD5OfMessageBody": ...}``',
    ),
    "send_message_batch": (
        "Send any number of messages to one SQS queue, in as many requests as needed.",
        {
            "QueueUrl": "str: of the queue.",
            "Entries": 'list of dict: {"Id": ..., "MessageBody": ...} and the other parameters of'
            " send_message(); Ids of 1 to 80 letters, digits, - and _, no two alike.",
        },
        '``{"Successful": [...], "Failed": [...]}``, in the order of the call',
    ),
}
