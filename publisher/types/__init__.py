"""Types of the clients, for type checkers: what is coalesced, its arguments and responses.

No stub package is needed for that. Where ``types-boto3`` is installed with the stubs of the
service, every other operation has its arguments and its response too; elsewhere they are ``Any``.

For a type checker only. At run time all clients are plain :class:`publisher.Client` objects, and
responses plain dicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._common import Answer, ResponseMetadata, ServiceName
    from ._events import (
        EventBridgeClient,
        PutEventsRequestEntry,
        PutEventsResponse,
        PutEventsResultEntry,
    )
    from ._firehose import (
        FirehoseClient,
        PutRecordBatchOutput,
        PutRecordBatchResponseEntry,
        PutRecordOutput,
        Record,
    )
    from ._kinesis import (
        KinesisClient,
        PutRecordResponse,
        PutRecordsRequestEntry,
        PutRecordsResponse,
        PutRecordsResultEntry,
    )
    from ._settings import (
        BotoArguments,
        ClientArguments,
        DjangoSettings,
        FlaskSettings,
        HealthLimits,
        OnFull,
        PublisherOptions,
    )
    from ._sns import (
        BatchResultErrorEntry,
        MessageAttribute,
        PublishBatchRequestEntry,
        PublishBatchResponse,
        PublishBatchResultEntry,
        PublishResponse,
        SNSClient,
    )
    from ._sqs import (
        SendMessageBatchRequestEntry,
        SendMessageBatchResult,
        SendMessageBatchResultEntry,
        SendMessageResult,
        SQSClient,
    )

__all__ = [
    "Answer",
    "BatchResultErrorEntry",
    "BotoArguments",
    "ClientArguments",
    "DjangoSettings",
    "EventBridgeClient",
    "FirehoseClient",
    "FlaskSettings",
    "HealthLimits",
    "KinesisClient",
    "MessageAttribute",
    "OnFull",
    "PublishBatchRequestEntry",
    "PublishBatchResponse",
    "PublishBatchResultEntry",
    "PublishResponse",
    "PublisherOptions",
    "PutEventsRequestEntry",
    "PutEventsResponse",
    "PutEventsResultEntry",
    "PutRecordBatchOutput",
    "PutRecordBatchResponseEntry",
    "PutRecordOutput",
    "PutRecordResponse",
    "PutRecordsRequestEntry",
    "PutRecordsResponse",
    "PutRecordsResultEntry",
    "Record",
    "ResponseMetadata",
    "SNSClient",
    "SQSClient",
    "SendMessageBatchRequestEntry",
    "SendMessageBatchResult",
    "SendMessageBatchResultEntry",
    "SendMessageResult",
    "ServiceName",
]


if not TYPE_CHECKING:  # for a type checker every name would be known

    def __getattr__(name: str) -> Any:
        """What a name stands for at run time."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name.endswith("Client"):
            from .._client import Client

            return Client
        if name == "Answer":
            from .._engine.future import PublishFuture

            return PublishFuture
        return str if name in ("OnFull", "ServiceName") else dict[str, Any]
