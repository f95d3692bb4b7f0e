"""What holds in every test of the direct way."""

from __future__ import annotations

import pytest

from tests.direct.ways import without_initializers


@pytest.fixture(autouse=True)
def _nobody_in_new_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    without_initializers(monkeypatch)
