"""What an ordered lane does while messages of it stay in a store: none is overtaken. Pure."""

from __future__ import annotations

from collections import deque

from .message import Message


class Staying:
    """Whether what comes in may be sent, or stays as well.

    Attributes:
        halted: something that was in the lane stays. Nothing is sent until everything has been
            taken out and the last request has returned.
        behind: what stays goes before whatever comes in.
        fresh: came in meanwhile, to be taken out as well.
        later: is kept by no store, and goes when all that stays has gone.
    """

    __slots__ = ("behind", "fresh", "halted", "later")

    def __init__(self) -> None:
        self.halted = False
        self.behind = False
        self.fresh: list[Message] = []
        self.later: deque[Message] = deque()

    def halt(self) -> None:
        """Something that was in the lane stays."""
        self.halted = self.behind = True

    def keeps_out(self, message: Message) -> bool:
        """Whether a message that comes in now stays; one that no store keeps never does."""
        if message.kept is None:
            return False
        return self.halted or (self.behind and not message.replayed)

    def holds_back(self, message: Message) -> bool:
        """Whether a message that comes in now waits until all that stays has gone."""
        return self.behind and message.kept is None

    def clear(self) -> None:
        """Forget what waits."""
        self.fresh = []
        self.later.clear()

    def begin_offering(self, idle: bool) -> bool:
        """Whether what stays may be offered now."""
        if self.halted and not idle:
            return False
        self.halted = False
        self.behind = True
        return True

    def end_offering(self) -> bool:
        """All that stayed was offered, and stands before what comes: whether it still does."""
        if self.halted or self.fresh:
            return False
        self.behind = False
        return True
