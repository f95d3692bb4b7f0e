"""What the log says of messages on disk that cannot be sent now, or any more."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from .._account.losses import Limiter
from .._text import printable

if TYPE_CHECKING:
    from .._engine.core import Core

logger = logging.getLogger("publisher")


class Telling:
    """Writes lines now and then, on the thread of callbacks: handlers are user code.

    Args:
        core: whose.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._limiter = Limiter(core.clock)

    def unread(self, what: Any, error: OSError) -> None:
        """A part of ``what`` cannot be read now."""
        text = f"a part of the spool cannot be read now, and stays: {printable(error)}"
        self._tell(type(what), logging.WARNING, text, "publisher.spool_unread", 1)

    def unreachable(self, where: bytes, count: int, error: Exception) -> None:
        """There is no way from here to the destination of so many messages."""
        text = f"{count} messages stay in the spool: {printable(error)}"
        self._tell(where, logging.WARNING, text, "publisher.spool_unreachable", count)

    def given_up(self, where: bytes, count: int, max_age: float) -> None:
        """So many messages are lost, as there was no way to their destination."""
        text = (
            f"{count} messages of the spool are given up: there was no way to their destination"
            f" from here for {max_age:g} s"
        )
        self._tell(("old", where), logging.ERROR, text, "publisher.spool_expired", count)

    def unknown_version(self) -> None:
        """A later version of this package has written a message."""
        text = "a message in the spool is of a version that is not known here, and stays"
        self._tell("version", logging.WARNING, text, "publisher.spool_version", 1)

    def too_large(self, size: int) -> None:
        """A message of so many bytes never fits in the memory of this publisher."""
        text = f"a message in the spool has {size:,} bytes, more than max_bytes, and stays"
        self._tell("large", logging.WARNING, text, "publisher.spool_too_large", 1)

    def _tell(self, key: Any, level: int, text: str, event: str, count: int) -> None:
        suppressed = self._limiter.suppressed(key, 1)
        if suppressed is not None:
            extra = {"event": event, "messages": count}
            line = partial(logger.log, level, "%s (suppressed %d)", text, suppressed, extra=extra)
            self._core.runtime.call([(lambda _: line(), None)])
