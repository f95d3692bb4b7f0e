from __future__ import annotations

from pathlib import Path

import pytest

from publisher._store.directory import Directory, prepare


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return prepare(tmp_path / "spool")
