"""What the tests of the spool get: a folder for it, and a server to send to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Endpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with Endpoint() as made:
        yield made
