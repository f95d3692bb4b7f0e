"""What travels as one entry of a request: a message, or several that are packed into one record.

A request carries wire entries. Each stands for one message or, where the target has a packer, for
several, and what became of the entry became of all of them. Everything else is a message's own: its
future, its tries, its deadline, its permit and its place in the ledger. So what failed is packed
anew at its next try, with whatever it then travels with.

A :class:`publisher._engine.message.Chunk` is the other way round: one object that stands for all
the entries of a request, while they share one fate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from .contract import Packer

T = TypeVar("T")


class Packed(NamedTuple):
    """A request's entries, and the messages that each of them stands for.

    Attributes:
        entries: as they travel.
        places: for each, those of its messages in the request; None where each stands for one
            message, in their order.
    """

    entries: Sequence[Any]
    places: Sequence[Sequence[int]] | None = None

    def each(self, outcomes: Sequence[T]) -> Sequence[T]:
        """The outcomes of the messages, from those of the entries.

        Raises:
            ValueError: there are not as many outcomes as entries.
        """
        if self.places is None:
            return outcomes
        found: dict[int, T] = {}
        for places, outcome in zip(self.places, outcomes, strict=True):
            found.update(dict.fromkeys(places, outcome))
        return [found[place] for place in range(len(found))]

    def units(self, messages: Sequence[T]) -> list[list[T]]:
        """The messages, those of one entry together."""
        if self.places is None:
            return [[message] for message in messages]
        return [[messages[place] for place in places] for places in self.places]


def pack(packer: Packer | None, entries: Sequence[Any]) -> Packed:
    """What these messages' entries travel as.

    Raises:
        ValueError: the packer left one out, or has one twice.
    """
    if packer is None:
        return Packed(entries)
    packed = packer(entries)
    places = [places for _, places in packed]
    if sorted(place for some in places for place in some) != list(range(len(entries))):
        raise ValueError(f"the packer does not have each of {len(entries)} entries once")
    return Packed([entry for entry, _ in packed], places)
