"""The types of EventBridge's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import TypedDict

    from types_boto3_events import EventBridgeClient as _Boto3
    from typing_extensions import NotRequired

    from .._client import Client
    from ._common import Answer, ResponseMetadata, later

    class PutEventsRequestEntry(TypedDict, total=False):
        """An event of ``put_events``."""

        Time: datetime | str
        Source: str
        Resources: Sequence[str]
        DetailType: str
        Detail: str
        EventBusName: str
        TraceHeader: str

    class PutEventsResultEntry(TypedDict):
        """An event in the answer to ``put_events``: stored, or with an error."""

        EventId: NotRequired[str]
        ErrorCode: NotRequired[str]
        ErrorMessage: NotRequired[str]

    class PutEventsResponse(TypedDict):
        """The answer to ``put_events``."""

        FailedEntryCount: int
        Entries: list[PutEventsResultEntry]
        ResponseMetadata: ResponseMetadata

    class EventBridgeClient(Client):
        """``publisher.client("events")``."""

        def __init__(self, events: _Boto3) -> None:
            self.activate_event_source = later(events.activate_event_source)
            self.cancel_replay = later(events.cancel_replay)
            self.create_api_destination = later(events.create_api_destination)
            self.create_archive = later(events.create_archive)
            self.create_connection = later(events.create_connection)
            self.create_endpoint = later(events.create_endpoint)
            self.create_event_bus = later(events.create_event_bus)
            self.create_partner_event_source = later(events.create_partner_event_source)
            self.deactivate_event_source = later(events.deactivate_event_source)
            self.deauthorize_connection = later(events.deauthorize_connection)
            self.delete_api_destination = later(events.delete_api_destination)
            self.delete_archive = later(events.delete_archive)
            self.delete_connection = later(events.delete_connection)
            self.delete_endpoint = later(events.delete_endpoint)
            self.delete_event_bus = later(events.delete_event_bus)
            self.delete_partner_event_source = later(events.delete_partner_event_source)
            self.delete_rule = later(events.delete_rule)
            self.describe_api_destination = later(events.describe_api_destination)
            self.describe_archive = later(events.describe_archive)
            self.describe_connection = later(events.describe_connection)
            self.describe_endpoint = later(events.describe_endpoint)
            self.describe_event_bus = later(events.describe_event_bus)
            self.describe_event_source = later(events.describe_event_source)
            self.describe_partner_event_source = later(events.describe_partner_event_source)
            self.describe_replay = later(events.describe_replay)
            self.describe_rule = later(events.describe_rule)
            self.disable_rule = later(events.disable_rule)
            self.enable_rule = later(events.enable_rule)
            self.list_api_destinations = later(events.list_api_destinations)
            self.list_archives = later(events.list_archives)
            self.list_connections = later(events.list_connections)
            self.list_endpoints = later(events.list_endpoints)
            self.list_event_buses = later(events.list_event_buses)
            self.list_event_sources = later(events.list_event_sources)
            self.list_partner_event_source_accounts = later(
                events.list_partner_event_source_accounts
            )
            self.list_partner_event_sources = later(events.list_partner_event_sources)
            self.list_replays = later(events.list_replays)
            self.list_rule_names_by_target = later(events.list_rule_names_by_target)
            self.list_rules = later(events.list_rules)
            self.list_tags_for_resource = later(events.list_tags_for_resource)
            self.list_targets_by_rule = later(events.list_targets_by_rule)
            self.put_partner_events = later(events.put_partner_events)
            self.put_permission = later(events.put_permission)
            self.put_rule = later(events.put_rule)
            self.put_targets = later(events.put_targets)
            self.remove_permission = later(events.remove_permission)
            self.remove_targets = later(events.remove_targets)
            self.start_replay = later(events.start_replay)
            self.tag_resource = later(events.tag_resource)
            self.test_event_pattern = later(events.test_event_pattern)
            self.untag_resource = later(events.untag_resource)
            self.update_api_destination = later(events.update_api_destination)
            self.update_archive = later(events.update_archive)
            self.update_connection = later(events.update_connection)
            self.update_endpoint = later(events.update_endpoint)
            self.update_event_bus = later(events.update_event_bus)

        def put_events(
            self, *, Entries: Sequence[PutEventsRequestEntry], EndpointId: str = ...
        ) -> Answer[PutEventsResponse]: ...
