"""Every Python snippet of the README runs, in one process each, in the order of the page."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from publisher._options import Options

README = Path(__file__).parent.parent / "README.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)

# What the reader has by then: the clients of the first snippet; and a place where nothing is sent.
PRELUDE = """\
import publisher
from publisher.testing import capture
TOPIC = "arn:aws:sns:us-east-1:123456789012:orders"
sns = publisher.client("sns", region_name="us-east-1")
kinesis = publisher.client("kinesis", region_name="us-east-1")
"""


def test_the_readme_has_its_snippets() -> None:
    assert len(SNIPPETS) >= 9


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.strip().splitlines()[0][:40])
def test_snippet_runs(snippet: str) -> None:
    if "configure(" in snippet or "capture()" in snippet:
        program = PRELUDE + snippet
    else:
        program = (
            PRELUDE + "with capture():\n" + re.sub(r"^(?=.)", "    ", snippet, flags=re.MULTILINE)
        )
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=README.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_options_table_has_every_option() -> None:
    table = re.findall(r"^\| `(\w+)` \|", README.read_text(), re.MULTILINE)
    assert table == [option.name for option in fields(Options)]


def test_every_linked_page_exists() -> None:
    for target in re.findall(r"\]\(([\w/.]+\.md)\)", README.read_text()):
        assert (README.parent / target).is_file(), target


def test_every_test_that_shows_a_promise_exists() -> None:
    shown = re.findall(r"`(tests/\w+/\w+\.py)`", README.read_text())
    assert len(shown) >= 8
    for path in shown:
        assert "def test_" in (README.parent / path).read_text(), path
