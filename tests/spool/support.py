"""What several tests of the spool share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import publisher
from publisher._store.directory import prepare
from publisher._store.reading import Kept
from publisher._store.source import adopt
from tests.servers import Answer, Endpoint

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


def plain_client(made: publisher.Publisher, server: Endpoint) -> Any:
    """One that is named on disk by its arguments, so that another process can make it."""
    return made.client("kinesis", endpoint_url=server.url, region_name="us-east-1")


def files(folder: Path) -> list[str]:
    """The names in it; none where there is none."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def on_disk(made: publisher.Publisher) -> publisher.SpoolStats:
    """What it says of its spool."""
    found = made.stats().spool
    assert found is not None
    return found
