"""Marks: what runs on every Python in CI says what could differ there; engines live apart."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MARK = "every_python"
ENGINES = "pytestmark = pytest.mark." + "engines"


def reasons(source: str) -> list[str]:
    """The reason of each use of the mark in ``source``; an empty text where none is given."""
    tree = ast.parse(source)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == MARK:
            call = calls.get(id(node))
            match call and (call.args, call.keywords):
                case ([ast.Constant(value=str(reason))], []):
                    found.append(reason.strip())
                case _:
                    found.append("")
    return found


def sources() -> dict[str, str]:
    return {
        str(path.relative_to(TESTS)): path.read_text()
        for path in sorted(TESTS.rglob("*.py"))
        if "node_modules" not in path.parts
    }


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('pytestmark = pytest.mark.every_python("exits differ")', ["exits differ"]),
        ('@pytest.mark.every_python("a " "b")\ndef test(): ...', ["a b"]),
        ('pytestmark = [mark.heavy, mark.every_python("why")]', ["why"]),
        ("pytestmark = pytest.mark.every_python", [""]),
        ("@pytest.mark.every_python()\ndef test(): ...", [""]),
        ('pytest.param(1, marks=pytest.mark.every_python(" "))', [""]),
        ("pytestmark = pytest.mark.every_python(WHY)", [""]),
        ("pytestmark = pytest.mark.every_python(3.13)", [""]),
        ("pytestmark = pytest.mark.heavy", []),
    ],
)
def test_a_reason_is_read_from_a_source(source: str, found: list[str]) -> None:
    assert reasons(source) == found


def test_each_use_of_the_mark_gives_its_reason() -> None:
    found = {name: reasons(source) for name, source in sources().items()}
    assert [name for name, given in found.items() if not all(given)] == []
    assert {"test_future.py", "test_fast.py", "hosts/test_exit.py"} <= {
        name for name, given in found.items() if given
    }


def test_only_a_run_that_names_the_folder_has_the_engines_tests() -> None:
    folder = TESTS / "engines"
    marked = [path for path in sorted(TESTS.rglob("test_*.py")) if ENGINES in path.read_text()]
    assert {path.parent for path in marked} == {folder}
    assert set(marked) == set(folder.glob("test_*.py"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", TESTS],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=TESTS.parent,
        check=False,
    )
    assert "tests/test_marks.py" in done.stdout, done.stdout + done.stderr
    assert "tests/engines" not in done.stdout
