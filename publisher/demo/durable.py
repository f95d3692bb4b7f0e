"""The demo of the spool: a process is killed half-way, and the next one sends what it left."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from .aws import DemoError, Sink, running_server

MESSAGES = 3_000
"""Of both processes together, were none of them killed."""


def run(console: Console, messages: int = MESSAGES) -> bool:
    """Kill a process in the middle of publishing; return whether all arrived all the same.

    Raises `aws.DemoError` if the local server or a process does not start.
    """

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False)

    with running_server() as url, tempfile.TemporaryDirectory() as folder:
        sink, spool = Sink(url), Path(folder) / "spool"
        say(f"A process publishes {messages:,} messages to a stream on this machine, into a spool.")
        with _process(url, sink.stream, spool, 0, messages, 0) as first:
            accepted = list(_numbers(first, until=messages // 2))
            first.kill()  # SIGKILL: nothing of it runs any more
            accepted += _numbers(first)
        arrived = Counter(number for number, _ in sink.read_stream())
        missing = [number for number in accepted if not arrived[number]]
        size = sum(file.stat().st_size for file in spool.iterdir())
        say(f"\nkill -9 {first.pid}, half-way: it was gone at once.")
        say(f"  accepted, their calls had returned   {len(accepted):6,}")
        say(f"  of these had arrived                 {len(accepted) - len(missing):6,}")
        say(f"  only on disk                         {len(missing):6,}, in {size:,} bytes")

        # The call of the number after the last one may have been under way.
        start = accepted[-1] + 2
        with _process(url, sink.stream, spool, start, messages - start, len(missing)) as second:
            accepted += _numbers(second)
        if second.returncode:
            raise DemoError(f"the second process ended with {second.returncode}")
        arrived += Counter(number for number, _ in sink.read_stream())
        lost = sum(not arrived[number] for number in accepted)
        twice = sum(times > 1 for times in arrived.values())
        say(f"\nThe next process ({second.pid}) goes on, and sends what the first one left.")
        say(f"  accepted by both                     {len(accepted):6,}")
        say(f"  arrived                              {len(accepted) - lost:6,}")
        say(f"  twice, having been under way         {twice:6,}")
        say(f"  files left in the spool              {len(list(spool.iterdir())):6,}")
        say(f"  lost                                 {lost:6,}", "bold red" if lost else "green")
    return not lost


@contextmanager
def _process(
    url: str, stream: str, spool: Path, first: int, count: int, replayed: int
) -> Iterator[subprocess.Popen[str]]:
    """The process that publishes; it is gone when the block ends."""
    given = [url, stream, str(spool), str(first), str(count), str(replayed)]
    process = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.spooling", *given],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _numbers(process: subprocess.Popen[str], until: int = 0) -> Iterator[int]:
    """What it says that it has published: `until` so many of them, or to its end."""
    assert process.stdout is not None
    said = 0
    for line in iter(process.stdout.readline, ""):
        if line.endswith("\n"):  # else it was killed in the middle of it
            yield int(line)
        said += 1
        if said == until:
            return
    if said < until:
        raise DemoError("the process that publishes ended by itself")
