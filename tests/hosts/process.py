"""Starts a process for a test, reads what it says, and sees to it that it ends."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.hosts.cpu import waited_for_cpu
from tests.servers import Endpoint

ROOT = Path(__file__).parent.parent.parent
#: Seconds in which what should happen soon has happened, on a busy machine too.
SOON = 30.0


class Process:
    """A running command in a session of its own; its whole session is killed by `close`."""

    def __init__(
        self,
        command: Sequence[str],
        endpoint: str,
        *,
        fd: socket.socket | None = None,
        **environment: str,
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self.popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            start_new_session=True,
            pass_fds=[] if fd is None else [fd.fileno()],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "ENDPOINT": endpoint,
                **environment,
            },
        )
        self.pid = self.popen.pid
        self.took = 0.0  # seconds from `ending` to the end
        self._began: Any = ()
        self._over = threading.Event()
        self.said = b""

    def read_until(self, word: str, timeout: float = SOON) -> str:
        """The first line that begins with `word`, from those not read yet."""
        wanted = word.encode()
        deadline = time.monotonic() + timeout
        assert self.popen.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.popen.stdout, selectors.EVENT_READ)
            while True:
                while b"\n" in self.said:
                    line, self.said = self.said.split(b"\n", 1)
                    if line.startswith(wanted):
                        return line.decode()
                left = deadline - time.monotonic()
                assert selector.select(max(left, 0)), f"no {word!r} within {timeout} s\n{self.log}"
                piece = os.read(self.popen.stdout.fileno(), 65536)
                assert piece, f"ended without {word!r}: {self.popen.wait(5)}\n{self.log}"
                self.said += piece

    def end(self, timeout: float = SOON) -> int:
        """Waits for the end; the exit code."""
        if self._began:
            threading.Thread(target=self._see_the_end, daemon=True).start()
            assert self._over.wait(timeout), f"still running after {timeout} s\n{self.log}"
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self.log}") from None

    def read_ending(self) -> None:
        """Waits until it calls `ending()`: from there on `took` counts."""
        _, now, waited = self.read_until("ending").split()
        self._began = float(now), float(waited)

    def _see_the_end(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        now, waited = time.monotonic(), waited_for_cpu(self.pid)
        # What other processes had of the CPU meanwhile is not this one's fault.
        self.took = now - self._began[0] - max(waited - self._began[1], 0)
        self._over.set()

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    @property
    def log(self) -> str:
        """What it wrote to standard error."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(SOON)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        self._log.close()


def bodies(endpoint: Endpoint) -> Counter[str]:
    """How often each message was stored."""
    return Counter(entry.data.decode() for entry in endpoint.stored())


def expected(**counts: int) -> Counter[str]:
    """Each of `name-0` ... once."""
    return Counter(f"{name}-{i}" for name, count in counts.items() for i in range(count))


def missing_and_extra(found: Counter[str], wanted: Counter[str]) -> dict[str, Any]:
    """The difference, short enough to read in a failure."""
    lost, extra = wanted - found, found - wanted
    return {"lost": (len(lost), sorted(lost)[:5]), "extra": (len(extra), sorted(extra)[:5])}


def assert_stored(endpoint: Endpoint, wanted: Counter[str]) -> None:
    """Exactly these were stored, each exactly once."""
    found = bodies(endpoint)
    assert found == wanted, missing_and_extra(found, wanted)
