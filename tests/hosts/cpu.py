"""How long a process had to wait for a CPU: not its own fault on a busy machine."""

from __future__ import annotations

import contextlib
from pathlib import Path


def waited_for_cpu(pid: int | str) -> float:
    """Seconds for which a process's main thread could have run, but others did."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0
