"""What the queues ask of the files of one owner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .._store.reading import Kept


class Source(Protocol):
    """Where records come from: the files of one owner."""

    rank: int  # among the sources: what it has goes before that of higher ones

    def take(self, limit: int) -> list[Kept]:
        """The next unsettled records, in their order; none where there are none now."""

    def read_again(self, kepts: Sequence[Kept]) -> list[Kept]:
        """Those of records that were taken which can be read still; the others are settled."""

    def settle_taken(self, kepts: Sequence[Kept]) -> None:
        """These have ended for good."""


def settle(kepts: Iterable[Kept]) -> None:
    """Have each source note which of its records have ended."""
    by_source: dict[Source, list[Kept]] = {}
    for kept in kepts:
        by_source.setdefault(kept.source, []).append(kept)
    for source, some in by_source.items():
        source.settle_taken(some)
