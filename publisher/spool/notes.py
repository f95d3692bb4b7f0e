"""What has become of this process's own messages on disk: noted by any thread, written by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .._store.log import Log
from .._threads.primitives import tell_error

if TYPE_CHECKING:
    from .._engine.message import Message

_MARKS = 1_000  # are written in one go


class Notes:
    """Deques, for callers come here too, and who reads the files holds their lock for long.

    Args:
        open_log: the log that they are written to; it raises where there cannot be one.
    """

    def __init__(self, open_log: Callable[[], Log]) -> None:
        self._open_log = open_log
        self._settled: deque[int] = deque()
        self._stays: deque[int | Message] = deque()

    def settle(self, kept: Iterable[int]) -> None:
        """These have ended for good."""
        self._settled.extend(kept)

    def stay(self, kept: Iterable[int]) -> None:
        """These are to be offered again."""
        self._stays.extend(kept)

    def stays(self, message: Message) -> None:
        """A message that is to be offered again; it may be said twice, and counts once."""
        self._stays.append(message)

    @property
    def unmarked(self) -> int:
        """How many have ended and are not marked as settled yet."""
        return len(self._settled)

    def unread(self) -> bool:
        """Whether more is to be offered again by now than the log knows."""
        return bool(self._stays)

    # -- the spool's thread's

    def write_marks(self) -> None:
        """Mark what has ended as settled."""
        settled = self._settled
        while some := [settled.popleft() for _ in range(min(len(settled), _MARKS))]:
            try:
                self._open_log().settle(some)
            except BaseException:  # noqa: BLE001 - logged; these may be sent again
                tell_error("the spool could not note what has ended")

    def tell_stays(self, log: Log) -> None:
        """Tell the log what is to be offered again."""
        while self._stays:
            one = self._stays[0]
            if isinstance(one, int):
                log.stay([one])
            elif one.kept is not None:
                log.stay([one.kept])
                one.kept = None
            self._stays.popleft()  # not before: until then nobody counts it as read
