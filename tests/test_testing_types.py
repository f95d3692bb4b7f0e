"""Type checkers know the clients: with no stub package, and more with types-boto3.

The files in ``tests/typing`` say in a comment where an error is due, and none is due elsewhere.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy  # type checkers

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "tests" / "typing"


def due(names: list[str]) -> set[tuple[str, int]]:
    """Where the files say that an error is due."""
    return {
        (name, number)
        for name in names
        for number, line in enumerate((EXAMPLES / name).read_text().splitlines(), 1)
        if "# error" in line
    }


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 0: no errors, 1: errors
    return done.stdout


def mypy(names: list[str], folder: Path, *options: str) -> set[tuple[str, int]]:
    files = [EXAMPLES / name for name in names]
    (folder / "mypy.ini").write_text(f"[mypy]\nmypy_path = {ROOT}\nstrict = true\n")
    output = run("mypy", "--config-file=mypy.ini", *options, *files, cwd=folder)
    return {
        (Path(path).name, int(line))
        for path, line in re.findall(r"^(.*?):(\d+): error:", output, re.MULTILINE)
    }


def pyright(names: list[str], folder: Path, python: str) -> set[tuple[str, int]]:
    for name in names:
        shutil.copy(EXAMPLES / name, folder)
    (folder / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    output = run("pyright", "-p", folder, "--pythonpath", python, "--outputjson", cwd=folder)
    found = json.loads(output)["generalDiagnostics"]
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in found
        if one["severity"] == "error"
    }


def test_mypy_with_no_stub_package(tmp_path: Path) -> None:
    names = ["accepted.py", "rejected.py"]
    # Without site-packages boto3, botocore and tenacity are unknown as well: all the harder.
    options = ["--no-site-packages", "--ignore-missing-imports", "--follow-imports=silent"]
    assert mypy(names, tmp_path, *options) == due(names)


def test_mypy_with_types_boto3(tmp_path: Path) -> None:
    names = ["accepted.py", "rejected.py", "with_stubs.py", "frameworks.py"]
    assert mypy(names, tmp_path, "--follow-imports=silent") == due(names)


@pytest.mark.parametrize("stubs", [False, True])
def test_pyright(tmp_path: Path, stubs: bool) -> None:
    names = ["accepted.py", "rejected.py", *(["with_stubs.py", "frameworks.py"] if stubs else [])]
    without = getattr(sys, "_base_executable", sys.executable)  # no virtual environment's packages
    assert pyright(names, tmp_path, sys.executable if stubs else without) == due(names)
