"""The types of Firehose's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict

    from types_boto3_firehose import FirehoseClient as _Boto3
    from typing_extensions import NotRequired

    from .._client import Client
    from ._common import Answer, ResponseMetadata, later

    class Record(TypedDict):
        """A record of ``put_record`` and ``put_record_batch``."""

        Data: str | bytes | bytearray | memoryview

    class PutRecordOutput(TypedDict):
        """The answer to ``put_record``."""

        RecordId: str
        Encrypted: NotRequired[bool]
        ResponseMetadata: ResponseMetadata

    class PutRecordBatchResponseEntry(TypedDict):
        """A record in the answer to ``put_record_batch``: stored, or with an error."""

        RecordId: NotRequired[str]
        ErrorCode: NotRequired[str]
        ErrorMessage: NotRequired[str]

    class PutRecordBatchOutput(TypedDict):
        """The answer to ``put_record_batch``."""

        FailedPutCount: int
        Encrypted: NotRequired[bool]
        RequestResponses: list[PutRecordBatchResponseEntry]
        ResponseMetadata: ResponseMetadata

    class FirehoseClient(Client):
        """``publisher.client("firehose")``."""

        def __init__(self, firehose: _Boto3) -> None:
            self.create_delivery_stream = later(firehose.create_delivery_stream)
            self.delete_delivery_stream = later(firehose.delete_delivery_stream)
            self.describe_delivery_stream = later(firehose.describe_delivery_stream)
            self.list_delivery_streams = later(firehose.list_delivery_streams)
            self.list_tags_for_delivery_stream = later(firehose.list_tags_for_delivery_stream)
            self.start_delivery_stream_encryption = later(firehose.start_delivery_stream_encryption)
            self.stop_delivery_stream_encryption = later(firehose.stop_delivery_stream_encryption)
            self.tag_delivery_stream = later(firehose.tag_delivery_stream)
            self.untag_delivery_stream = later(firehose.untag_delivery_stream)
            self.update_destination = later(firehose.update_destination)

        def put_record(
            self, *, DeliveryStreamName: str, Record: Record
        ) -> Answer[PutRecordOutput]: ...
        def put_record_batch(
            self, *, DeliveryStreamName: str, Records: Sequence[Record]
        ) -> Answer[PutRecordBatchOutput]: ...
