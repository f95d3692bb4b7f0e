"""The chapters' code: it parses, its imports exist, and its configuration is the examples'."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contrib.processes import EXAMPLES, ROOT, run

CHAPTERS = ["django", "flask", "celery", "lambda", "gunicorn_uwsgi"]


def blocks(chapter: str, language: str) -> list[str]:
    text = (ROOT / "docs" / f"{chapter}.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def imports(chapter: str) -> Iterator[str]:
    for block in blocks(chapter, "python"):
        tree = ast.parse(re.sub(r"(?m)^(response = await .*)$", r"async def view(): \1", block))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield ast.unparse(node)


@pytest.mark.parametrize("chapter", ["django", "flask", "celery", "lambda"])
def test_what_a_chapter_imports_is_there(
    chapter: str, need: Callable[[str], Path], tmp_path: Path
) -> None:
    for module in ("django", "health_check", "flask", "celery"):
        need(module)
    lines = sorted(set(imports(chapter)))
    assert any("publisher.contrib" in line for line in lines)
    code, text = run(
        [need("django") / "python", "-c", "\n".join(["import django; django.setup()", *lines])],
        DJANGO_SETTINGS_MODULE="tests.contrib.site.settings",
        SITE_FOLDER=str(tmp_path),
    )
    assert code == 0, text


@pytest.mark.parametrize("framework", ["django", "flask"])
def test_uwsgi_is_configured_as_in_the_examples(framework: str) -> None:
    (block,) = blocks("gunicorn_uwsgi", "ini")
    ours = (EXAMPLES / f"{framework}_app" / "uwsgi.ini").read_text()
    kept = [line for line in ours.splitlines() if not line.startswith((";", "module"))]
    assert [line for line in block.splitlines() if not line.startswith("module")] == kept


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_a_chapter_links_to_is_there(chapter: str) -> None:
    text = (ROOT / "docs" / f"{chapter}.md").read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (ROOT / "docs" / target).exists(), target
    for path in re.findall(r"`(examples/\w+)`", text):
        assert (ROOT / path).is_dir(), path
