"""The recipes of the pages in docs/ that no other test runs: each in a process, then put to use."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
PRELUDE = """\
import publisher
from publisher.testing import capture
ARN = "arn:aws:sns:us-east-1:123456789012:orders"
"""
PUBLISH = """
with capture() as published:
    publisher.client("sns").publish(TopicArn=ARN, Message="paid").result(5)
    assert len(published) == 1
"""
#: By page: what its recipes need installed, and what the reader does next.
PAGES = {
    "logging": ("structlog", PUBLISH),
    "metrics": ("prometheus_client opentelemetry", PUBLISH),
    "tracing": ("opentelemetry", PUBLISH),
    "doctor": ("", ""),
    "from_boto3": ("", ""),
    "sqs": ("django", ""),
    "firehose": ("", ""),
    "events": ("", ""),
    "relay": ("", ""),
    "spool": ("cryptography", ""),
    "lambda": (
        "",
        """
class Context:
    def get_remaining_time_in_millis(self):
        return 3000

with capture() as published:
    assert handler({"orders": [1, 2]}, Context()) == {"published": 2}
    assert len(published) == 2
""",
    ),
    "celery": (
        "celery",
        """
app.conf.task_always_eager = True
with capture() as published:
    ship.delay(7)
    assert len(published) == 1
""",
    ),
    "flask": (
        "flask",
        """
with capture() as published:
    assert create_app().test_client().post("/orders").status_code == 201
    assert len(published) == 1
""",
    ),
}
RECIPES = [
    (page, recipe)
    for page in PAGES
    for recipe in re.findall(
        r"^```python\n(.*?)^```", (DOCS / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL
    )
]


@pytest.mark.parametrize(("page", "recipe"), RECIPES, ids=[page for page, _ in RECIPES])
def test_recipe_runs(page: str, recipe: str) -> None:
    modules, use = PAGES[page]
    for module in modules.split():
        pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + recipe + use],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "raised" not in done.stderr
