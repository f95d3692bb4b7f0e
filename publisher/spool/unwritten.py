"""What is done about messages that could not be written down."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..errors import spool_unavailable

if TYPE_CHECKING:
    from .._engine.core import Core
    from .._spooling import Spool

logger = logging.getLogger("publisher")

_WARNS = 10.0  # seconds between two lines about a disk that fails


def let_handlers_through(error: Exception) -> None:
    """Raise what a signal handler has raised: what the system does has a number."""
    if isinstance(error, OSError) and error.errno is None:
        raise error


class Unwritten:
    """Counts and tells of them, as ``on_unavailable`` says.

    Args:
        core: whose messages they are.
        spool: of the options.

    Attributes:
        count: messages that go on in memory alone.
    """

    def __init__(self, core: Core, spool: Spool) -> None:
        self.count = 0
        self._core = core
        self._spool = spool
        self._warned_at = -_WARNS

    def note(self, error: Exception) -> None:
        """A message could not be written.

        Raises:
            SpoolUnavailable: the options say so.
        """
        told = spool_unavailable(
            self._spool.path, error if isinstance(error, OSError) else OSError(str(error))
        )
        if self._spool.on_unavailable == "raise":
            raise told
        self.count += 1
        now = self._core.clock()
        if now - self._warned_at >= _WARNS:
            self._warned_at = now
            self._core.runtime.call([(self._warn, told)])  # handlers of logging are user code

    def _warn(self, told: Exception) -> None:
        logger.warning(
            "%s: messages are sent from memory alone, and a crash would lose them; %d so far",
            told,
            self.count,
            extra={"event": "publisher.spool_unavailable", "messages": self.count},
        )
