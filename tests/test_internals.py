"""docs/internals.md names files and functions that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "internals.md").read_text()
FILES = sorted(set(re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE)))


def defined(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_named_is_there_and_has_what_is_named_with_it(name: str) -> None:
    path = ROOT / name if name.startswith("tests/") else ROOT / "publisher" / name
    assert path.is_file()
    text = " ".join(PAGE.split())
    functions = set(re.findall(rf"`{re.escape(name)}`, `(\w+)`", text))
    assert {each for each in functions if not each.isupper() and each != "_CHECKS"} <= defined(path)


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in (ROOT / "publisher").glob("*/__init__.py")}
    assert rooms == set(re.findall(r"`(\w+)/`", PAGE.split("| room")[1].split("## The way")[0]))
