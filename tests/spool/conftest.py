"""What the tests of the spool get: a folder for it, a server to send to, and processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.conftest import start
from tests.servers import Endpoint

__all__ = ["folder", "server", "start"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with Endpoint() as made:
        yield made
