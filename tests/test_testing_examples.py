"""The suites in examples/testing_*: written from the chapter alone, and able to fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
DJANGO = "testing_django"
FLASK = "testing_flask"


def run(folder: Path, *options: str, **variables: str) -> tuple[bool, str]:
    """Run the suite of one example as its user would; whether it passes, and what it prints."""
    command = (
        [sys.executable, "-W", "error", "manage.py", "test"]
        if folder.name == DJANGO
        else [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir=.", "-W", "error"]
    )
    environment = {name: value for name, value in os.environ.items() if "AWS" not in name}
    done = subprocess.run(
        [*command, *options],
        cwd=folder,
        env={**environment, **variables, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("example", "options"),
    [
        (DJANGO, ["--shuffle", "1"]),
        (DJANGO, ["--shuffle", "2", "--parallel", "2"]),
        (FLASK, ["-p", "randomly", "-p", "no:cacheprovider", "-p", "no:xdist"]),
        (FLASK, ["-p", "no:cacheprovider", "-n", "2"]),
    ],
)
def test_the_suite_passes_in_any_order_and_in_parallel(example: str, options: list[str]) -> None:
    passed, output = run(EXAMPLES / example, *options)
    assert passed, output
    assert re.search(r"^OK|1\d passed", output, re.MULTILINE), output


BROKEN = {
    "a wrong topic": (
        DJANGO,
        "settings.ORDERS_TOPIC,\n        Message=json",
        "settings.ORDERS_TOPIC + 's',\n        Message=json",
        r"TopicArn is '.*:orderss', not '.*:orders'",
    ),
    "a missing message": (
        DJANGO,
        "    kinesis.put_record(",
        "    dict(",
        r"no such message was published: kinesis\(StreamName='audit'",
    ),
    "one too many": (
        DJANGO,
        "on_commit(lambda: announce(order))",
        "on_commit(lambda: (announce(order), sns.publish(PhoneNumber='1', Message='again')))",
        r"1 message was published beside those asserted:\n  1\. sns\.publish\(.*'again'",
    ),
    "before the commit": (
        DJANGO,
        "transaction.on_commit(lambda: announce(order))",
        "announce(order)",
        r"2 were published, not none:",
    ),
    "a wrong order": (
        FLASK,
        None,
        None,
        r"no such message was published after message 2, only before it: sns\(Subject='packed'\)",
    ),
    "another body": (
        FLASK,
        '{"link": link}',
        '{"target": link}',
        r"Data is b'\{\"target\": 42\}', not as_json\(\{'link': 42\}\)",
    ),
    "one missing of two": (
        FLASK,
        '    sns.publish(TopicArn=ORDERS, Message=f"order {number} packed", Subject="packed")\n',
        "",
        r"1 such message was published, not 2: sns\(",
    ),
}


@pytest.mark.heavy
@pytest.mark.parametrize("what", BROKEN)
def test_the_suite_fails_for_the_right_reason(tmp_path: Path, what: str) -> None:
    example, found, put, reason = BROKEN[what]
    folder = tmp_path / example
    shutil.copytree(
        EXAMPLES / example, folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache")
    )
    path = folder / ("shop/views.py" if example == DJANGO else "shop.py")
    text = path.read_text()
    if found is None or put is None:
        lines = text.splitlines(keepends=True)
        first = next(i for i, line in enumerate(lines) if 'Subject="paid"' in line)
        lines[first], lines[first + 1] = lines[first + 1], lines[first]
        broken = "".join(lines)
    else:
        broken = text.replace(found, put)
    assert broken != text
    path.write_text(broken)
    options = ["-p", "publisher_pytest", "-k", "recorded or announced"] if example == FLASK else []
    passed, output = run(folder, *options, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # for speed
    assert not passed
    assert re.search(reason, output), output
