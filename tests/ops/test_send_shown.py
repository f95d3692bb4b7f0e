"""What `send` shows while it runs, and the commands' own options: version, quiet, completion."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Answer, Endpoint, Error
from tests.support import SOON, STREAM, TOPIC

pytestmark = pytest.mark.heavy  # a process each

PUBLISHER = [sys.executable, "-m", "publisher"]
SCRIPT = Path(sys.executable).with_name("boto3-publisher")


class Terminal:
    """Standard error of a process, as people see it."""

    def __init__(self, columns: int = 80) -> None:
        self._terminal, self.inside = pty.openpty()
        fcntl.ioctl(self.inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.seen = ""

    def until(self, text: str) -> None:
        deadline = time.monotonic() + SOON
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert select.select([self._terminal], [], [], max(left, 0))[0], self.seen
            self.seen += os.read(self._terminal, 65536).decode(errors="replace")

    def close(self) -> None:
        os.close(self._terminal)
        os.close(self.inside)


@pytest.fixture
def terminal() -> Any:
    made = Terminal()
    yield made
    made.close()


def started(terminal: Terminal | None, url: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PUBLISHER, "send", "--endpoint-url", url, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=terminal.inside if terminal else subprocess.PIPE,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"},
    )


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def test_the_bar_counts_what_is_delivered_though_no_line_comes(
    endpoint: Endpoint, terminal: Terminal
) -> None:
    process = started(terminal, endpoint.url, "--stream", STREAM, "--follow")
    try:
        assert process.stdin is not None
        process.stdin.write(b"".join(b"%d\n" % n for n in range(5)))
        process.stdin.flush()
        terminal.until("5 delivered, 0 lost")  # and the pipe stays open
        assert process.poll() is None
    finally:
        end(process)


def test_the_bar_has_percentage_rate_and_times(
    endpoint: Endpoint, terminal: Terminal, tmp_path: Path
) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"".join(b"%d\n" % n for n in range(400)))
    endpoint.script(Answer(latency=0.5))  # the 40 requests travel ten at a time
    process = started(terminal, endpoint.url, "--topic", TOPIC, str(path))
    try:
        terminal.until("100%")
        for text in ("it/s", "400 delivered, 0 lost, 0 retries", "0:00:0"):
            terminal.until(text)
        assert process.wait(SOON) == 0
    finally:
        end(process)


def test_the_bar_names_the_error_that_tries_meet(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n")
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        process = started(terminal, url, "--stream", STREAM, str(path))
        try:
            terminal.until("EndpointConnectionError, the endpoint cannot be reached")
            terminal.until("retries: ")
        finally:
            end(process)


def test_off_a_terminal_the_cause_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        process = started(None, url, "--stream", STREAM, "--quiet", str(path))
        try:
            assert process.stderr is not None
            assert select.select([process.stderr], [], [], SOON)[0]
            line = process.stderr.readline()
        finally:
            end(process)
    assert b"EndpointConnectionError, the endpoint cannot be reached (0 delivered so far)" in line


def run(*arguments: str, command: Any = PUBLISHER) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_quiet_says_nothing_of_what_went_well(endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n")
    arguments = ["send", "--endpoint-url", endpoint.url, "--topic", TOPIC, "--quiet", str(path)]
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    endpoint.script(Answer(error=Error(403, "AuthorizationError")))
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "1 of 1 message was lost: 1 failed with AuthorizationError" in done.stderr


def test_the_version() -> None:
    for command in (PUBLISHER, [SCRIPT]):
        done = run("--version", command=command)
        assert done.returncode == 0
        assert done.stdout.startswith(f"boto3-publisher {version('boto3-publisher')} (boto3 ")


def test_the_console_script_names_itself(tmp_path: Path) -> None:
    for command, name in ((PUBLISHER, "python -m publisher"), ([SCRIPT], "boto3-publisher")):
        done = run("send", "--topic", TOPIC, str(tmp_path / "missing"), command=command)
        assert done.returncode == 2
        assert done.stderr.startswith(f"{name} send: cannot read ")
        assert f"usage: {name} doctor" in run("doctor", "--help", command=command).stdout


COMPLETE = """
eval "$("$1" completion bash)"
COMP_WORDS=(boto3-publisher send --e)
COMP_CWORD=2
$(complete -p boto3-publisher | sed 's/.*-F \\([^ ]*\\) .*/\\1/') boto3-publisher --e send
echo "${COMPREPLY[@]}"
"""


def test_bash_completes_options() -> None:
    done = run("--norc", "-c", COMPLETE, "bash", str(SCRIPT), command=["bash"])
    assert done.stdout.split() == ["--endpoint-url"], done.stderr
    done = run("completion", "zsh")
    assert done.returncode == 0
    assert "--partition-key" in done.stdout
    assert run("completion", "cmd.exe").returncode == 2
