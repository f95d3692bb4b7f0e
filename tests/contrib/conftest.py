"""What the tests of the frameworks share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contrib.processes import ROOT, Running


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts commands: `start(command, cwd=..., NAME="value")`; they end with the test."""
    with ExitStack() as stack:
        yield lambda command, cwd=ROOT, **environment: stack.enter_context(
            Running(command, environment, cwd)
        )


@pytest.fixture(scope="session")
def need() -> Callable[[str], Path]:
    """Skips where a module is not installed; in CI it fails. Returns the folder of commands."""

    def need(module: str) -> Path:
        if importlib.util.find_spec(module) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{module} is not installed; nothing is skipped in CI")
            pytest.skip(f"{module} is not installed")
        return Path(sys.executable).parent

    return need
