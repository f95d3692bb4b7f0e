"""Servers and workers that the tests start: what they say, how they are asked, how they end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
SITE = Path(__file__).parent / "site"
SOON = 60.0  # seconds; what should happen soon has happened by then, on a busy machine too

#: Becomes the command, which then ends with the test process (PR_SET_PDEATHSIG).
LAUNCH = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Running:
    """A command in a session of its own; killed, with all its children, at the end of the block.

    What it prints, on both outputs, is read by a thread, and waited for with `until`.
    """

    def __init__(
        self, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path = ROOT
    ) -> None:
        self.text = ""
        self._changed = threading.Condition()
        self.popen = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *(str(word) for word in command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "PYTHONFAULTHANDLER": "1",
                **environment,
            },
        )
        self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        self._reader.start()
        self.url = ""

    def _read(self) -> None:
        stream = self.popen.stdout
        assert stream is not None
        while piece := os.read(stream.fileno(), 65536):
            with self._changed:
                self.text += piece.decode(errors="replace")
                self._changed.notify_all()

    def until(self, pattern: str, timeout: float = SOON) -> re.Match[str]:
        """Waits until the pattern was printed."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (found := re.search(pattern, self.text)):
                left = deadline - time.monotonic()
                ended = self.popen.poll() is not None and not self._reader.is_alive()
                if left <= 0 or ended:
                    raise AssertionError(f"no {pattern!r} ({self.popen.poll()}):\n{self.text}")
                self._changed.wait(min(left, 1))
        return found

    def listening(self, pattern: str = r"(http://127\.0\.0\.1:[1-9]\d*)") -> Running:
        """Waits for the address that the server prints."""
        self.url = self.until(pattern).group(1)
        if not self.url.startswith("http"):
            self.url = f"http://{self.url}"
        return self

    def ask(self, path: str, form: Mapping[str, str] | None = None) -> tuple[int, str]:
        """A GET, or a POST with a form: the status and the body."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with urllib.request.urlopen(f"{self.url}{path}", data, timeout=SOON) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = SOON) -> int:
        """Sends a signal to the process (not to its children) and waits for its end."""
        self.popen.send_signal(number)
        return self.wait(timeout)

    def wait(self, timeout: float = SOON) -> int:
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.send_signal(signal.SIGABRT)  # a traceback of every thread
            self._reader.join(5)
            raise AssertionError(f"still running after {timeout} s:\n{self.text}") from None
        self._reader.join(5)
        return code

    def __enter__(self) -> Running:  # noqa: PYI034  # Self is of 3.11
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(SOON)
        self._reader.join(SOON)
        assert self.popen.stdout is not None
        self.popen.stdout.close()


def run(command: Sequence[str | Path], cwd: Path = ROOT, **environment: str) -> tuple[int, str]:
    """Runs a command to its end: the exit code and what it printed."""
    with Running(command, environment, cwd) as process:
        return process.wait(), process.text
