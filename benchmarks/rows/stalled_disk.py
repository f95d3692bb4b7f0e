"""What the other threads of a process feel of a disk that takes nothing for a second."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from benchmarks.harness import Bench, Goal, Rows, Variant
from benchmarks.load import messages, package
from benchmarks.rows.durable import ROOM, folder, putter, spool

#: Takes nothing for a second, then all that was written: a process of its own, for this one may
#: stand still meanwhile.
DISK = "import os, time; time.sleep(1); [0 for _ in iter(lambda: os.read(0, 1 << 20), b'')]"


def stalled(endpoint: str, keep: bool) -> dict[str, float]:
    """One durable call waits for the disk; a thread that wakes each millisecond sees for how long.

    The disk is a pipe that is full: its write is a system call that takes as long as the stall.
    """
    from publisher._store.writing import keeping_the_gil

    write = keeping_the_gil() if keep else os.write
    gaps, over = [0.0], threading.Event()
    clock = time.perf_counter

    def tick() -> None:
        before = clock()
        while not over.is_set():
            time.sleep(0.001)  # the pace of the load, not a synchronisation
            before, last = clock(), before
            gaps.append(before - last)

    with folder() as path, package(**ROOM, spool=spool(path)) as durable:
        put = putter(durable, endpoint)
        work = messages("kinesis", 2)
        put(work[0])
        durable.flush(30)
        log = durable._current().store._log
        real = log._write
        with subprocess.Popen([sys.executable, "-c", DISK], stdin=subprocess.PIPE) as disk:
            assert disk.stdin is not None
            pipe = disk.stdin.fileno()
            os.set_blocking(pipe, False)
            try:
                while True:
                    os.write(pipe, b"x" * 4096)
            except BlockingIOError:
                os.set_blocking(pipe, True)
            log._write = lambda descriptor, data: write(pipe, data) and real(descriptor, data)
            ticker = threading.Thread(target=tick)
            ticker.start()
            before = clock()
            put(work[1])
            held = clock() - before
            log._write = real
            over.set()
            ticker.join()
        durable.flush(30)
    return {"held_ms": held * 1e3, "others_ms": max(gaps) * 1e3}


def goal_durable_stalled(bench: Bench) -> Goal:
    """A disk that stalls for a second: its caller, and the other threads."""

    def run() -> Rows:
        variants = {
            name: Variant(stalled, {"keep": keep})
            for name, keep in (("os.write", False), ("keep", True))
        }
        return bench.interleave("durable stalled", variants)

    rows = bench.once("durable stalled", run)
    goal = Goal("a disk that stalls for a second: the longest time that another thread waits")
    gives, keeps = rows.get("os.write", []), rows.get("keep", [])
    goal.add("ms", [row["others_ms"] for row in gives], 50)
    goal.add("the caller, ms", [row["held_ms"] for row in gives])
    goal.add("with the write that keeps the GIL, ms", [row["others_ms"] for row in keeps])
    return goal
