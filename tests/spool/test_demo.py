"""The demo of the spool, as its users run it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.heavy


def test_what_a_killed_process_left_arrives() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "publisher", "demo", "--durable"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = {
        name: int(count.replace(",", ""))
        for name, count in re.findall(
            r"^  (\w.*?) +([\d,]*\d)(?:, in .*)?$", done.stdout, re.MULTILINE
        )
    }
    assert told["lost"] == told["files left in the spool"] == 0
    assert told["only on disk"] > 0
    assert told["arrived"] == told["accepted by both"] > told["accepted, their calls had returned"]
    assert "kill -9" in done.stdout
    assert not done.stderr


def test_it_takes_no_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "publisher", "demo", "--durable", "--input", "x"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--durable takes no --input" in done.stderr
