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


#: Python's and boto3's, and the tests' own.
OTHERS = {"concurrent", "futures", "wait", "help", "put_records", "SAMPLES"}


def known(path: Path) -> set[str]:
    """What a file defines or assigns to, and the names of it and its folder."""
    names = {path.stem, path.parent.name, *defined(path)}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names


def test_every_name_is_one_of_the_package() -> None:
    names = {
        part
        for name in re.findall(r"`([A-Za-z_][\w.]*)(?:\(\))?`", PAGE)
        if not name.endswith(".py")
        for part in name.split(".")
    }
    assert {"MOVES", "Pieces", "rlock", "_reject"} <= names
    there = set().union(*map(known, (ROOT / "publisher").rglob("*.py")))
    assert names - there - OTHERS == set()


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in (ROOT / "publisher").glob("*/__init__.py")}
    assert rooms == set(re.findall(r"`(\w+)/`", PAGE.split("| room")[1].split("## The way")[0]))
