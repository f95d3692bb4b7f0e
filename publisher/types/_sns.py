"""The types of SNS's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypedDict

    from types_boto3_sns import SNSClient as _Boto3
    from typing_extensions import NotRequired

    from .._client import Client
    from ._common import Answer, ResponseMetadata, later

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

    class SNSClient(Client):
        """``publisher.client("sns")``."""

        def __init__(self, sns: _Boto3) -> None:
            self.add_permission = later(sns.add_permission)
            self.check_if_phone_number_is_opted_out = later(sns.check_if_phone_number_is_opted_out)
            self.confirm_subscription = later(sns.confirm_subscription)
            self.create_platform_application = later(sns.create_platform_application)
            self.create_platform_endpoint = later(sns.create_platform_endpoint)
            self.create_sms_sandbox_phone_number = later(sns.create_sms_sandbox_phone_number)
            self.create_topic = later(sns.create_topic)
            self.delete_endpoint = later(sns.delete_endpoint)
            self.delete_platform_application = later(sns.delete_platform_application)
            self.delete_sms_sandbox_phone_number = later(sns.delete_sms_sandbox_phone_number)
            self.delete_topic = later(sns.delete_topic)
            self.get_data_protection_policy = later(sns.get_data_protection_policy)
            self.get_endpoint_attributes = later(sns.get_endpoint_attributes)
            self.get_platform_application_attributes = later(
                sns.get_platform_application_attributes
            )
            self.get_sms_attributes = later(sns.get_sms_attributes)
            self.get_sms_sandbox_account_status = later(sns.get_sms_sandbox_account_status)
            self.get_subscription_attributes = later(sns.get_subscription_attributes)
            self.get_topic_attributes = later(sns.get_topic_attributes)
            self.list_endpoints_by_platform_application = later(
                sns.list_endpoints_by_platform_application
            )
            self.list_origination_numbers = later(sns.list_origination_numbers)
            self.list_phone_numbers_opted_out = later(sns.list_phone_numbers_opted_out)
            self.list_platform_applications = later(sns.list_platform_applications)
            self.list_sms_sandbox_phone_numbers = later(sns.list_sms_sandbox_phone_numbers)
            self.list_subscriptions = later(sns.list_subscriptions)
            self.list_subscriptions_by_topic = later(sns.list_subscriptions_by_topic)
            self.list_tags_for_resource = later(sns.list_tags_for_resource)
            self.list_topics = later(sns.list_topics)
            self.opt_in_phone_number = later(sns.opt_in_phone_number)
            self.put_data_protection_policy = later(sns.put_data_protection_policy)
            self.remove_permission = later(sns.remove_permission)
            self.set_endpoint_attributes = later(sns.set_endpoint_attributes)
            self.set_platform_application_attributes = later(
                sns.set_platform_application_attributes
            )
            self.set_sms_attributes = later(sns.set_sms_attributes)
            self.set_subscription_attributes = later(sns.set_subscription_attributes)
            self.set_topic_attributes = later(sns.set_topic_attributes)
            self.subscribe = later(sns.subscribe)
            self.tag_resource = later(sns.tag_resource)
            self.unsubscribe = later(sns.unsubscribe)
            self.untag_resource = later(sns.untag_resource)
            self.verify_sms_sandbox_phone_number = later(sns.verify_sms_sandbox_phone_number)

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
