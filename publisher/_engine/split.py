"""What a request leaves to send: retries, and the pieces of one that was rejected as a whole.

Pure: no thread, no clock, no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .message import Message


class Split:
    """What is learnt from the pieces of one rejected request: one bad entry, or the whole lane?

    The first rejection is cut into a single entry and two halves of the rest. When all three are
    rejected alike, no entry is to blame and the splitting stops; as soon as one piece is accepted,
    it goes on until the culprit stands alone. Pieces of pieces do not count, and they wait until
    the first three have come back: where everything is rejected they would be many, for nothing.
    """

    __slots__ = ("_accepted", "_first", "_out", "_rejected", "code")

    def __init__(self, code: str, pieces: int = 3, first: Split | None = None) -> None:
        self.code = code  # that the request was rejected with
        self._first = self if first is None else first  # what the first three pieces share
        self._accepted = False
        self._rejected = 0
        self._out = pieces if first is None else 0  # pieces that have not come back

    def deeper(self) -> Split:
        """What the pieces of a piece share."""
        return Split(self.code, first=self._first)

    def note_back(self) -> None:
        """A piece has come back, whatever became of it, or will not be sent any more."""
        self._out -= 1

    @property
    def may_go(self) -> bool:
        """Whether these pieces may be sent."""
        return self._first is self or self._first._out <= 0

    def note_accepted(self) -> None:
        """A piece was answered entry by entry."""
        self._first._accepted = True

    def note_rejected(self, code: str) -> None:
        """A piece was rejected as a whole."""
        if code != self.code:
            self.note_accepted()  # it got further than its siblings: not the same cause
        self._rejected += 1

    @property
    def hopeless(self) -> bool:
        """True once both halves and a single entry were rejected alike and nothing was accepted."""
        return not self._first._accepted and self._first._rejected >= 3


@dataclass(slots=True)
class Remainder:
    """What the outcome of a request leaves to do.

    Attributes:
        retries: the messages to send again, each with the time it is due.
        pieces: the parts of a rejected request, each to go alone and at once.
        split: what those pieces share.
        cautious: True after a time-out, False after a success, None where neither is known.
        hold: seconds for which the service wants to be left alone.
        stays: those of its messages that stay in the store, and are offered again from there.
    """

    retries: list[tuple[Message, float]] = field(default_factory=list)
    pieces: list[list[Message]] = field(default_factory=list)
    split: Split | None = None
    cautious: bool | None = None
    hold: float = 0.0
    stays: Sequence[Message] = ()


def cut(
    units: Sequence[list[Message]], split: Split | None, code: str
) -> tuple[list[list[Message]], Split]:
    """The pieces in which a rejected request of several messages goes again; what they share.

    Args:
        units: the messages, those that travelled as one entry together: such an entry is cut only
            where it was the whole request.
        split: what the pieces share of which this request was one.
        code: that it was rejected with.
    """
    if len(units) == 1:
        units = [[message] for message in units[0]]
    if split is None:
        first, rest = units[:1], units[1:]
        middle = (len(rest) + 1) // 2
        pieces = [_joined(piece) for piece in (first, rest[:middle], rest[middle:]) if piece]
        return pieces, Split(code, len(pieces))
    middle = (len(units) + 1) // 2
    return [_joined(units[:middle]), _joined(units[middle:])], split.deeper()


def _joined(units: Sequence[list[Message]]) -> list[Message]:
    return [message for unit in units for message in unit]
