"""What ``help()`` says of SNS's operations."""

from __future__ import annotations

from ..._engine.contract import Words

WORDS: Words = {
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
            "MessageDeduplicationId": "str, optional: a FIFO topic stores one of it in 5 minutes.",
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
