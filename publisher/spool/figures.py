"""What is on disk, for those who ask: they must not wait for it."""

from __future__ import annotations

from typing import NamedTuple

from .._store.log import Log
from .feeder import Feeder
from .owners import Owners

_LOOKS = 1.0  # seconds between two looks in the files for how old the oldest is


class Figures(NamedTuple):
    """What the spool's thread has last found."""

    waiting: int = 0  # in the files of others
    bytes: int = 0  # of these files
    damaged: int = 0  # places in them, and messages that were none
    orphans: int = 0  # owners of which files were not taken over, or cannot be read
    oldest: float | None = None  # of all that stays, seconds since the epoch


class Finder:
    """Finds them; for one thread.

    Args:
        owners: whose files of others are offered.
        feeder: offers them.

    Attributes:
        last: what was found last; for any thread.
    """

    def __init__(self, owners: Owners, feeder: Feeder) -> None:
        self.last = Figures()
        self._owners = owners
        self._feeder = feeder
        self._dated: tuple[float, float | None] = (-_LOOKS, None)  # when, and the oldest in files

    def look(self, now: float, log: Log | None) -> None:
        """Look at what there is.

        Args:
            now: the core's clock.
            log: of this process, if there is one yet.
        """
        owners, feeder = self._owners, self._feeder
        sources = list(owners.sources.values())
        if now - self._dated[0] >= _LOOKS:  # this may read files
            ages = [source.oldest for source in sources]
            ages += [] if log is None else [log.oldest]
            self._dated = now, min((age for age in ages if age is not None), default=None)
        ages = [self._dated[1], feeder.queues.oldest]
        self.last = Figures(
            waiting=sum(source.waiting for source in sources),
            bytes=sum(source.bytes for source in sources),
            damaged=feeder.skipped + owners.damaged + sum(one.damaged for one in sources),
            orphans=owners.orphans + sum(source in feeder.queues.unread for source in sources),
            oldest=min((age for age in ages if age is not None), default=None),
        )
