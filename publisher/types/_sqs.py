"""The types of SQS's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypedDict

    from types_boto3_sqs import SQSClient as _Boto3
    from typing_extensions import NotRequired

    from .._client import Client
    from ._common import Answer, ResponseMetadata, later
    from ._sns import BatchResultErrorEntry, MessageAttribute

    class SendMessageBatchRequestEntry(TypedDict):
        """A message of ``send_message_batch``."""

        Id: str
        MessageBody: str
        DelaySeconds: NotRequired[int]
        MessageAttributes: NotRequired[Mapping[str, MessageAttribute]]
        MessageSystemAttributes: NotRequired[Mapping[str, MessageAttribute]]
        MessageDeduplicationId: NotRequired[str]
        MessageGroupId: NotRequired[str]

    class SendMessageResult(TypedDict):
        """The answer to ``send_message``."""

        MessageId: str
        MD5OfMessageBody: str
        MD5OfMessageAttributes: NotRequired[str]
        MD5OfMessageSystemAttributes: NotRequired[str]
        SequenceNumber: NotRequired[str]
        ResponseMetadata: ResponseMetadata

    class SendMessageBatchResultEntry(TypedDict):
        """A message of ``send_message_batch`` that was delivered."""

        Id: str
        MessageId: str
        MD5OfMessageBody: str
        MD5OfMessageAttributes: NotRequired[str]
        MD5OfMessageSystemAttributes: NotRequired[str]
        SequenceNumber: NotRequired[str]

    class SendMessageBatchResult(TypedDict):
        """The answer to ``send_message_batch``."""

        Successful: list[SendMessageBatchResultEntry]
        Failed: list[BatchResultErrorEntry]
        ResponseMetadata: ResponseMetadata

    class SQSClient(Client):
        """``publisher.client("sqs")``."""

        def __init__(self, sqs: _Boto3) -> None:
            self.add_permission = later(sqs.add_permission)
            self.cancel_message_move_task = later(sqs.cancel_message_move_task)
            self.change_message_visibility = later(sqs.change_message_visibility)
            self.change_message_visibility_batch = later(sqs.change_message_visibility_batch)
            self.create_queue = later(sqs.create_queue)
            self.delete_message = later(sqs.delete_message)
            self.delete_message_batch = later(sqs.delete_message_batch)
            self.delete_queue = later(sqs.delete_queue)
            self.get_queue_attributes = later(sqs.get_queue_attributes)
            self.get_queue_url = later(sqs.get_queue_url)
            self.list_dead_letter_source_queues = later(sqs.list_dead_letter_source_queues)
            self.list_message_move_tasks = later(sqs.list_message_move_tasks)
            self.list_queue_tags = later(sqs.list_queue_tags)
            self.list_queues = later(sqs.list_queues)
            self.purge_queue = later(sqs.purge_queue)
            self.receive_message = later(sqs.receive_message)
            self.remove_permission = later(sqs.remove_permission)
            self.set_queue_attributes = later(sqs.set_queue_attributes)
            self.start_message_move_task = later(sqs.start_message_move_task)
            self.tag_queue = later(sqs.tag_queue)
            self.untag_queue = later(sqs.untag_queue)

        def send_message(
            self,
            *,
            QueueUrl: str,
            MessageBody: str,
            DelaySeconds: int = ...,
            MessageAttributes: Mapping[str, MessageAttribute] = ...,
            MessageSystemAttributes: Mapping[str, MessageAttribute] = ...,
            MessageDeduplicationId: str = ...,
            MessageGroupId: str = ...,
        ) -> Answer[SendMessageResult]: ...
        def send_message_batch(
            self, *, QueueUrl: str, Entries: Sequence[SendMessageBatchRequestEntry]
        ) -> Answer[SendMessageBatchResult]: ...
