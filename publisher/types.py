"""Types of the clients, for type checkers: what is coalesced, its arguments and responses.

No stub package is needed for that. Where ``types-boto3`` is installed with the stubs of the
service, every other operation has its arguments and its response too; elsewhere they are ``Any``.

For a type checker only. At run time both clients are plain :class:`publisher.Client` objects, and
responses plain dicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._client import Client
from ._engine.future import PublishFuture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Literal, TypeAlias, TypedDict, TypeVar

    from boto3 import Session
    from botocore.client import BaseClient
    from botocore.config import Config
    from tenacity import Retrying
    from types_boto3_kinesis import KinesisClient as _Boto3Kinesis
    from types_boto3_sns import SNSClient as _Boto3SNS
    from typing_extensions import NotRequired, ParamSpec, Self

    R = TypeVar("R")
    P = ParamSpec("P")

    #: The services that ``publisher.client`` knows.
    ServiceName: TypeAlias = Literal["sns", "kinesis"]
    OnFull: TypeAlias = Literal["block", "drop", "drop_oldest", "raise"]

    class PublisherOptions(TypedDict, total=False):
        """The options of ``publisher.configure`` and ``publisher.Publisher``."""

        max_workers: int
        linger: float | Mapping[str, float]
        max_messages: int
        max_bytes: int
        on_full: OnFull
        max_block: float | None
        delivery_timeout: float
        retry: Retrying | None
        connect_timeout: float
        read_timeout: float
        close_timeout: float
        hooks: Iterable[object]

    class _OfBoto3(TypedDict, total=False):
        """What ``boto3.client`` takes beside the service and the region."""

        api_version: str | None
        use_ssl: bool | None
        verify: bool | str | None
        endpoint_url: str | None
        aws_access_key_id: str | None
        aws_secret_access_key: str | None
        aws_session_token: str | None
        aws_account_id: str | None
        config: Config | None

    class ClientArguments(_OfBoto3, total=False):
        """What ``publisher.client`` takes beside the service and the region."""

        session: Session | None
        client: BaseClient | None

    class BotoArguments(_OfBoto3, total=False):
        """What ``boto3.client`` takes: for a framework's settings."""

        region_name: str | None

    class HealthLimits(TypedDict, total=False):
        """From what share of messages lost of late on the health view says 503."""

        share: float | None
        minimum: int
        window: float

    class DjangoSettings(TypedDict, total=False):
        """One alias of Django's ``AWS_PUBLISHER``."""

        MAX_WORKERS: int
        LINGER: float | Mapping[str, float]
        MAX_MESSAGES: int
        MAX_BYTES: int
        ON_FULL: OnFull
        MAX_BLOCK: float | None
        DELIVERY_TIMEOUT: float
        RETRY: Retrying | None
        CONNECT_TIMEOUT: float
        READ_TIMEOUT: float
        CLOSE_TIMEOUT: float
        HOOKS: Sequence[object]
        CLIENT: BotoArguments
        BACKEND: Literal["aws", "console", "local"]
        HEALTH: HealthLimits

    class FlaskSettings(TypedDict, total=False):
        """The names that ``FlaskPublisher`` reads from an application's configuration."""

        PUBLISHER_MAX_WORKERS: int
        PUBLISHER_LINGER: float | Mapping[str, float]
        PUBLISHER_MAX_MESSAGES: int
        PUBLISHER_MAX_BYTES: int
        PUBLISHER_ON_FULL: OnFull
        PUBLISHER_MAX_BLOCK: float | None
        PUBLISHER_DELIVERY_TIMEOUT: float
        PUBLISHER_RETRY: Retrying | None
        PUBLISHER_CONNECT_TIMEOUT: float
        PUBLISHER_READ_TIMEOUT: float
        PUBLISHER_CLOSE_TIMEOUT: float
        PUBLISHER_HOOKS: Sequence[object]
        PUBLISHER_CLIENT: BotoArguments
        PUBLISHER_BACKEND: Literal["aws", "console", "local"]
        PUBLISHER_HEALTH: HealthLimits

    class ResponseMetadata(TypedDict):
        """What boto3 says of every answer."""

        RequestId: str
        HTTPStatusCode: int
        HTTPHeaders: dict[str, str]
        RetryAttempts: int
        HostId: NotRequired[str]

    class MessageAttribute(TypedDict):
        """One of SNS's message attributes."""

        DataType: str
        StringValue: NotRequired[str]
        BinaryValue: NotRequired[str | bytes | bytearray | memoryview]

    class PublishBatchRequestEntry(TypedDict):
        """A message of ``publish_batch``."""

        Id: str
        Message: str
        Subject: NotRequired[str]
        MessageStructure: NotRequired[str]
        MessageAttributes: NotRequired[Mapping[str, MessageAttribute]]
        MessageDeduplicationId: NotRequired[str]
        MessageGroupId: NotRequired[str]

    class PublishResponse(TypedDict):
        """The answer to ``publish``."""

        MessageId: str
        SequenceNumber: NotRequired[str]
        ResponseMetadata: ResponseMetadata

    class PublishBatchResultEntry(TypedDict):
        """A message of ``publish_batch`` that was delivered."""

        Id: str
        MessageId: str
        SequenceNumber: NotRequired[str]

    class BatchResultErrorEntry(TypedDict):
        """A message of ``publish_batch`` that was not."""

        Id: str
        Code: str
        Message: str
        SenderFault: bool

    class PublishBatchResponse(TypedDict):
        """The answer to ``publish_batch``."""

        Successful: list[PublishBatchResultEntry]
        Failed: list[BatchResultErrorEntry]
        ResponseMetadata: ResponseMetadata

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

    Answer: TypeAlias = PublishFuture[R]

    def _later(call: Callable[P, R]) -> Callable[P, Answer[R]]: ...

    class SNSClient(Client):
        """``publisher.client("sns")``."""

        def __init__(self, sns: _Boto3SNS) -> None:
            self.add_permission = _later(sns.add_permission)
            self.check_if_phone_number_is_opted_out = _later(sns.check_if_phone_number_is_opted_out)
            self.confirm_subscription = _later(sns.confirm_subscription)
            self.create_platform_application = _later(sns.create_platform_application)
            self.create_platform_endpoint = _later(sns.create_platform_endpoint)
            self.create_sms_sandbox_phone_number = _later(sns.create_sms_sandbox_phone_number)
            self.create_topic = _later(sns.create_topic)
            self.delete_endpoint = _later(sns.delete_endpoint)
            self.delete_platform_application = _later(sns.delete_platform_application)
            self.delete_sms_sandbox_phone_number = _later(sns.delete_sms_sandbox_phone_number)
            self.delete_topic = _later(sns.delete_topic)
            self.get_data_protection_policy = _later(sns.get_data_protection_policy)
            self.get_endpoint_attributes = _later(sns.get_endpoint_attributes)
            self.get_platform_application_attributes = _later(
                sns.get_platform_application_attributes
            )
            self.get_sms_attributes = _later(sns.get_sms_attributes)
            self.get_sms_sandbox_account_status = _later(sns.get_sms_sandbox_account_status)
            self.get_subscription_attributes = _later(sns.get_subscription_attributes)
            self.get_topic_attributes = _later(sns.get_topic_attributes)
            self.list_endpoints_by_platform_application = _later(
                sns.list_endpoints_by_platform_application
            )
            self.list_origination_numbers = _later(sns.list_origination_numbers)
            self.list_phone_numbers_opted_out = _later(sns.list_phone_numbers_opted_out)
            self.list_platform_applications = _later(sns.list_platform_applications)
            self.list_sms_sandbox_phone_numbers = _later(sns.list_sms_sandbox_phone_numbers)
            self.list_subscriptions = _later(sns.list_subscriptions)
            self.list_subscriptions_by_topic = _later(sns.list_subscriptions_by_topic)
            self.list_tags_for_resource = _later(sns.list_tags_for_resource)
            self.list_topics = _later(sns.list_topics)
            self.opt_in_phone_number = _later(sns.opt_in_phone_number)
            self.put_data_protection_policy = _later(sns.put_data_protection_policy)
            self.remove_permission = _later(sns.remove_permission)
            self.set_endpoint_attributes = _later(sns.set_endpoint_attributes)
            self.set_platform_application_attributes = _later(
                sns.set_platform_application_attributes
            )
            self.set_sms_attributes = _later(sns.set_sms_attributes)
            self.set_subscription_attributes = _later(sns.set_subscription_attributes)
            self.set_topic_attributes = _later(sns.set_topic_attributes)
            self.subscribe = _later(sns.subscribe)
            self.tag_resource = _later(sns.tag_resource)
            self.unsubscribe = _later(sns.unsubscribe)
            self.untag_resource = _later(sns.untag_resource)
            self.verify_sms_sandbox_phone_number = _later(sns.verify_sms_sandbox_phone_number)

        def with_options(
            self,
            *,
            delivery_timeout: float | None = None,
            linger: float | None = None,
            retry: Retrying | None = None,
        ) -> Self: ...
        def publish(
            self,
            *,
            Message: str,
            TopicArn: str = ...,
            TargetArn: str = ...,
            PhoneNumber: str = ...,
            Subject: str = ...,
            MessageStructure: str = ...,
            MessageAttributes: Mapping[str, MessageAttribute] = ...,
            MessageDeduplicationId: str = ...,
            MessageGroupId: str = ...,
        ) -> Answer[PublishResponse]: ...
        def publish_batch(
            self,
            *,
            TopicArn: str,
            PublishBatchRequestEntries: Sequence[PublishBatchRequestEntry],
        ) -> Answer[PublishBatchResponse]: ...

    class KinesisClient(Client):
        """``publisher.client("kinesis")``."""

        def __init__(self, kinesis: _Boto3Kinesis) -> None:
            self.add_tags_to_stream = _later(kinesis.add_tags_to_stream)
            self.create_channel = _later(kinesis.create_channel)
            self.create_stream = _later(kinesis.create_stream)
            self.decrease_stream_retention_period = _later(kinesis.decrease_stream_retention_period)
            self.delete_channel = _later(kinesis.delete_channel)
            self.delete_resource_policy = _later(kinesis.delete_resource_policy)
            self.delete_stream = _later(kinesis.delete_stream)
            self.deregister_stream_consumer = _later(kinesis.deregister_stream_consumer)
            self.describe_account_settings = _later(kinesis.describe_account_settings)
            self.describe_channel = _later(kinesis.describe_channel)
            self.describe_limits = _later(kinesis.describe_limits)
            self.describe_stream = _later(kinesis.describe_stream)
            self.describe_stream_consumer = _later(kinesis.describe_stream_consumer)
            self.describe_stream_summary = _later(kinesis.describe_stream_summary)
            self.disable_enhanced_monitoring = _later(kinesis.disable_enhanced_monitoring)
            self.enable_enhanced_monitoring = _later(kinesis.enable_enhanced_monitoring)
            self.get_records = _later(kinesis.get_records)
            self.get_resource_policy = _later(kinesis.get_resource_policy)
            self.get_shard_iterator = _later(kinesis.get_shard_iterator)
            self.increase_stream_retention_period = _later(kinesis.increase_stream_retention_period)
            self.list_channels = _later(kinesis.list_channels)
            self.list_shards = _later(kinesis.list_shards)
            self.list_stream_consumers = _later(kinesis.list_stream_consumers)
            self.list_streams = _later(kinesis.list_streams)
            self.list_tags_for_resource = _later(kinesis.list_tags_for_resource)
            self.list_tags_for_stream = _later(kinesis.list_tags_for_stream)
            self.merge_shards = _later(kinesis.merge_shards)
            self.put_resource_policy = _later(kinesis.put_resource_policy)
            self.register_stream_consumer = _later(kinesis.register_stream_consumer)
            self.remove_tags_from_stream = _later(kinesis.remove_tags_from_stream)
            self.split_shard = _later(kinesis.split_shard)
            self.start_stream_encryption = _later(kinesis.start_stream_encryption)
            self.stop_stream_encryption = _later(kinesis.stop_stream_encryption)
            self.tag_resource = _later(kinesis.tag_resource)
            self.untag_resource = _later(kinesis.untag_resource)
            self.update_account_settings = _later(kinesis.update_account_settings)
            self.update_channel = _later(kinesis.update_channel)
            self.update_max_record_size = _later(kinesis.update_max_record_size)
            self.update_shard_count = _later(kinesis.update_shard_count)
            self.update_stream_mode = _later(kinesis.update_stream_mode)
            self.update_stream_record_distribution_strategy = _later(
                kinesis.update_stream_record_distribution_strategy
            )
            self.update_stream_warm_throughput = _later(kinesis.update_stream_warm_throughput)

        def with_options(
            self,
            *,
            delivery_timeout: float | None = None,
            linger: float | None = None,
            retry: Retrying | None = None,
        ) -> Self: ...
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

else:
    SNSClient = KinesisClient = Client
    Answer = PublishFuture
    ServiceName = OnFull = str
    PublisherOptions = ClientArguments = BotoArguments = dict[str, Any]
    DjangoSettings = FlaskSettings = HealthLimits = dict[str, Any]
    PublishResponse = PublishBatchResponse = PutRecordResponse = PutRecordsResponse = dict[str, Any]
    PublishBatchRequestEntry = PutRecordsRequestEntry = MessageAttribute = dict[str, Any]
    PublishBatchResultEntry = PutRecordsResultEntry = BatchResultErrorEntry = dict[str, Any]
    ResponseMetadata = dict[str, Any]
