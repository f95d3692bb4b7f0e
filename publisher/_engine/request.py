"""One request: what travels together.

Pure: no thread, no clock, no network.
"""

from __future__ import annotations

from .lane import Lane
from .message import Message
from .split import Split


class Request:
    """Messages that travel together.

    Attributes:
        oldest: when the first of them was accepted.
        expires: when the first of them ends, come what may: its deadline and ``grace`` seconds.
        size: bytes, None where it was not counted yet.
        groups: the message groups that are busy because of it; None where the lane keeps no order.
        doubtful: the lane had timed out when it was sent.
    """

    __slots__ = ("doubtful", "expires", "groups", "lane", "messages", "oldest", "size", "split")

    def __init__(
        self, lane: Lane, messages: list[Message], split: Split | None, grace: float
    ) -> None:
        self.lane = lane
        self.messages = messages
        self.split = split
        self.size = lane.taken_size
        self.doubtful = lane.cautious
        self.groups = lane.groups_of(messages)
        self.oldest = min([message.accepted for message in messages])
        if len(lane.routes) == 1:
            self.expires = self.oldest + lane.routes[0].delivery.timeout + grace
        else:
            self.expires = min(message.deadline for message in messages) + grace
