"""How these tests start processes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.process import Process


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts processes: `start(command, endpoint_url, NAME="value")`; they end with the test.

    A text in place of the command is a script, run after everything of `tests.hosts.app` was
    imported into it, and that after what `first` says.
    """
    started: list[Process] = []

    def start(
        command: list[str] | str, endpoint: str, *, first: str = "", **options: Any
    ) -> Process:
        if isinstance(command, str):
            path = tmp_path / f"script{len(started)}.py"
            path.write_text(first + "from tests.hosts.app import *\n" + command)
            command = [sys.executable, str(path)]
        started.append(Process(command, endpoint, **options))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture
def need() -> Callable[..., str]:
    """Skips the test where a host is not installed; in CI it fails. The command's path."""

    def need(module: str, command: str | None = None) -> str:
        path = shutil.which(command) if command else module
        if importlib.util.find_spec(module) is None or path is None:
            if os.environ.get("CI"):
                pytest.fail(f"{module} is not installed; nothing is skipped in CI")
            pytest.skip(f"{module} is not installed")
        return path

    return need
