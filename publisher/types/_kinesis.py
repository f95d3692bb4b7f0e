"""The types of Kinesis's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict

    from types_boto3_kinesis import KinesisClient as _Boto3
    from typing_extensions import NotRequired

    from .._client import Client
    from ._common import Answer, ResponseMetadata, later

    class PutRecordsRequestEntry(TypedDict):
        """A record of ``put_records``."""

        Data: str | bytes | bytearray | memoryview
        PartitionKey: str
        ExplicitHashKey: NotRequired[str]

    class PutRecordResponse(TypedDict):
        """The answer to ``put_record``."""

        ShardId: str
        SequenceNumber: str
        EncryptionType: NotRequired[str]
        ResponseMetadata: ResponseMetadata

    class PutRecordsResultEntry(TypedDict):
        """A record in the answer to ``put_records``: stored, or with an error."""

        SequenceNumber: NotRequired[str]
        ShardId: NotRequired[str]
        ErrorCode: NotRequired[str]
        ErrorMessage: NotRequired[str]

    class PutRecordsResponse(TypedDict):
        """The answer to ``put_records``."""

        FailedRecordCount: int
        Records: list[PutRecordsResultEntry]
        EncryptionType: NotRequired[str]
        ResponseMetadata: ResponseMetadata

    class KinesisClient(Client):
        """``publisher.client("kinesis")``."""

        def __init__(self, kinesis: _Boto3) -> None:
            self.add_tags_to_stream = later(kinesis.add_tags_to_stream)
            self.create_channel = later(kinesis.create_channel)
            self.create_stream = later(kinesis.create_stream)
            self.decrease_stream_retention_period = later(kinesis.decrease_stream_retention_period)
            self.delete_channel = later(kinesis.delete_channel)
            self.delete_resource_policy = later(kinesis.delete_resource_policy)
            self.delete_stream = later(kinesis.delete_stream)
            self.deregister_stream_consumer = later(kinesis.deregister_stream_consumer)
            self.describe_account_settings = later(kinesis.describe_account_settings)
            self.describe_channel = later(kinesis.describe_channel)
            self.describe_limits = later(kinesis.describe_limits)
            self.describe_stream = later(kinesis.describe_stream)
            self.describe_stream_consumer = later(kinesis.describe_stream_consumer)
            self.describe_stream_summary = later(kinesis.describe_stream_summary)
            self.disable_enhanced_monitoring = later(kinesis.disable_enhanced_monitoring)
            self.enable_enhanced_monitoring = later(kinesis.enable_enhanced_monitoring)
            self.get_records = later(kinesis.get_records)
            self.get_resource_policy = later(kinesis.get_resource_policy)
            self.get_shard_iterator = later(kinesis.get_shard_iterator)
            self.increase_stream_retention_period = later(kinesis.increase_stream_retention_period)
            self.list_channels = later(kinesis.list_channels)
            self.list_shards = later(kinesis.list_shards)
            self.list_stream_consumers = later(kinesis.list_stream_consumers)
            self.list_streams = later(kinesis.list_streams)
            self.list_tags_for_resource = later(kinesis.list_tags_for_resource)
            self.list_tags_for_stream = later(kinesis.list_tags_for_stream)
            self.merge_shards = later(kinesis.merge_shards)
            self.put_resource_policy = later(kinesis.put_resource_policy)
            self.register_stream_consumer = later(kinesis.register_stream_consumer)
            self.remove_tags_from_stream = later(kinesis.remove_tags_from_stream)
            self.split_shard = later(kinesis.split_shard)
            self.start_stream_encryption = later(kinesis.start_stream_encryption)
            self.stop_stream_encryption = later(kinesis.stop_stream_encryption)
            self.tag_resource = later(kinesis.tag_resource)
            self.untag_resource = later(kinesis.untag_resource)
            self.update_account_settings = later(kinesis.update_account_settings)
            self.update_channel = later(kinesis.update_channel)
            self.update_max_record_size = later(kinesis.update_max_record_size)
            self.update_shard_count = later(kinesis.update_shard_count)
            self.update_stream_mode = later(kinesis.update_stream_mode)
            self.update_stream_record_distribution_strategy = later(
                kinesis.update_stream_record_distribution_strategy
            )
            self.update_stream_warm_throughput = later(kinesis.update_stream_warm_throughput)

        def put_record(
            self,
            *,
            Data: str | bytes | bytearray | memoryview,
            PartitionKey: str = ...,
            StreamName: str = ...,
            StreamARN: str = ...,
            StreamId: str = ...,
            ExplicitHashKey: str = ...,
            SequenceNumberForOrdering: str = ...,
            DryRun: bool = ...,
        ) -> Answer[PutRecordResponse]: ...
        def put_records(
            self,
            *,
            Records: Sequence[PutRecordsRequestEntry],
            StreamName: str = ...,
            StreamARN: str = ...,
            StreamId: str = ...,
            DryRun: bool = ...,
        ) -> Answer[PutRecordsResponse]: ...
