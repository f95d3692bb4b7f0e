"""What several tests of the spool share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from publisher._store.directory import prepare
from publisher._store.reading import Kept
from publisher._store.source import adopt
from tests.servers import Answer

#: Nothing is stored, and it may pass.
DOWN = Answer(status=503, body=b"{}", store=False)


class Holder:
    """Who is told what the log knows a message by."""

    kept: Any = None


def take_back(folder: Path) -> Kept:
    """The only message of the only owner, which has died; nothing is left of it."""
    directory = prepare(folder)
    (owner,) = directory.dead_owners()
    source = adopt(directory, owner)
    assert source is not None
    (kept,) = source.take(9)
    source.settle([kept])
    assert source.finished
    return kept
