"""The write that keeps the GIL: that it writes, what it raises, and when it is asked for."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from publisher._store.writing import VARIABLE, keeping_the_gil, writer

pytestmark = pytest.mark.every_python("ctypes, and who holds the GIL")


def test_it_writes_and_says_what_is_wrong(tmp_path: Path) -> None:
    write = keeping_the_gil()
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    data = b"a\0b" * 1000
    assert write(descriptor, data) == len(data)
    os.close(descriptor)
    assert path.read_bytes() == data
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        write(descriptor, b"x")
    assert caught.value.errno == errno.EBADF


#: What a disk does that stalls: takes nothing for a while.
STALLED = "import os, time; time.sleep(0.5); [0 for _ in iter(lambda: os.read(0, 1 << 20), b'')]"


@pytest.mark.parametrize("keeps", [False, True])
def test_a_stalled_disk_holds_the_others_where_the_gil_is_kept(keeps: bool) -> None:
    write = keeping_the_gil() if keeps else os.write
    turns = [0]
    begun, over = threading.Event(), threading.Event()

    def compute() -> None:
        begun.set()
        while not over.is_set():
            turns[0] += 1

    with subprocess.Popen([sys.executable, "-c", STALLED], stdin=subprocess.PIPE) as disk:
        assert disk.stdin is not None
        thread = threading.Thread(target=compute)
        thread.start()
        assert begun.wait(20)
        before = turns[0]
        left = 4 << 20  # far more than a pipe holds
        while left > 0:
            left -= write(disk.stdin.fileno(), b"x" * left)
        ran = turns[0] - before
        over.set()
        thread.join()
    # Between two writes it may be let run for a moment: on a quick machine 130,000 turns were seen.
    assert (ran < 500_000) == keeps


@pytest.mark.parametrize(("value", "asked"), [("keep", True), ("Keep ", True), ("", False)])
def test_the_environment_asks_for_it(
    value: str, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert (writer() is not None) == asked
