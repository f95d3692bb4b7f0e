"""What an ordered lane does while messages of it stay in a store: none is overtaken. Pure."""

from __future__ import annotations

from .message import Message


class Staying:
    """Whether what comes in may be sent, or stays as well.

    Attributes:
        halted: something that was in the lane stays. Nothing is sent until everything has been
            taken out and the last request has returned.
        behind: what stays goes before whatever comes in.
        fresh: came in meanwhile, to be taken out as well.
    """

    __slots__ = ("behind", "fresh", "halted")

    def __init__(self) -> None:
        self.halted = False
        self.behind = False
        self.fresh: list[Message] = []

    def halt(self) -> None:
        """Something that was in the lane stays."""
        self.halted = self.behind = True

    def keeps_out(self, message: Message) -> bool:
        """Whether a message that comes in now stays; one that no store keeps never does."""
        if message.kept is None:
            return False
        return self.halted or (self.behind and not message.replayed)

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
