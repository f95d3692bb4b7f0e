"""What a store is to the engine: where messages are written down before their call returns.

A message that is written down is known to its store by what stands in ``Message.kept``. The store
learns what became of it: it has ended for good, or it stays and is offered again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .._account.ledger import SpoolStats
from .message import BatchEntry, Message


class StoredMessage(Message):
    """A message that a store may keep; ``kept`` is what the store knows it by, None until then."""

    __slots__ = ("kept",)

    def __init__(self, route: Any, entry: Any, accepted: float) -> None:
        super().__init__(route, entry, accepted)
        self.kept: Any = None


class StoredEntry(BatchEntry):
    """One entry of a caller's batch that a store may keep, as :class:`StoredMessage`."""

    __slots__ = ("kept",)

    def __init__(self, route: Any, entry: Any, accepted: float, batch: Any) -> None:
        super().__init__(route, entry, accepted, batch)
        self.kept: Any = None


class ReplayedMessage(StoredMessage):
    """A message that stayed in a store and is offered again."""

    __slots__ = ("since",)  # in a lane that keeps an order

    replayed = True


class Store(Protocol):
    """Keeps messages beyond the life of their process.

    Attributes:
        only_overflow: what finds room in memory is not written down.
        hands_over: what is written down is another process's to send.
    """

    only_overflow: bool
    hands_over: bool

    def use(self, publisher: Any) -> None:
        """The publisher that makes clients for what is offered again."""

    def keep(self, message: Message, *, later: bool = False) -> bool:
        """Write a message down, in its caller's thread.

        Its ``kept`` is set before the first byte is written: whatever strikes this thread, who has
        the message can tell what became of it.

        Args:
            message: it.
            later: :meth:`commit` follows, which sees to it that a loss of power does not lose it.

        Returns:
            False if it could not be written, and goes on in memory alone.

        Raises:
            SpoolFull: there is no room; nothing is written.
            SpoolUnavailable: it could not be written, and the options say that its caller is told.
        """

    def commit(self, messages: Sequence[Message]) -> bool:
        """Have the disk keep what was written of these, once for all.

        Returns:
            False if it does not: then none of them counts as written, and each is to be settled.
        """

    def check_room(self, messages: Sequence[Message]) -> None:
        """Say whether all of these could be written.

        Raises:
            SpoolFull: there is no room for so much.
        """

    def begin(self) -> None:
        """A message that may be kept goes into memory alone: offer what stays from now on.

        Called for each such message, in its caller's thread.
        """

    def wait_for_space(self, timeout: float) -> bool:
        """Wait until something was removed, at most ``timeout`` seconds; whether it was."""

    def receipt(self, kept: Any) -> Mapping[str, Any]:
        """What the caller is answered for a message that is handed over."""

    def since(self, kept: Any) -> float:
        """When a message that stayed was accepted, on the core's clock."""

    def settle(self, kept: Sequence[Any]) -> None:
        """These have ended for good. Called on a thread of ours."""

    def overflow(self, message: Message) -> None:
        """A message that is written down stays, as there is no room in memory.

        It may be said twice. Called in the caller's thread.
        """

    def stay(self, kept: Sequence[Any]) -> None:
        """These have ended here, and are to be offered again. Called on a thread of ours."""

    def stats(self) -> SpoolStats:
        """What it holds."""

    def stop(self) -> None:
        """Offer nothing from here on."""

    def close(self) -> None:
        """Let go of everything: what still stays is the next process's. Can be called again."""
