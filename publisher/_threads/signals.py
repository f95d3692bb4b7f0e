"""SIGTERM, for processes whose host leaves it at its default.

End as at a normal exit, which drains.
"""

from __future__ import annotations

import signal
from types import FrameType

from . import exit as _exit

#: 128 + SIGTERM: what a shell reports for a process that SIGTERM ended.
EXIT_CODE = 143


def _end(_signum: int, _frame: FrameType | None) -> None:
    # Nothing is drained here: a handler that waits would wait for locks of the very thread that it
    # interrupted.
    if not _exit.is_draining():  # it is what the process is doing already, and bounded
        raise SystemExit(EXIT_CODE)


def install_signal_handlers() -> bool:
    """Have SIGTERM raise ``SystemExit(143)`` in the main thread, so that the normal exit drains.

    Only where the default handler stands: a handler that is there already stays, and runs as
    before.

    Returns:
        True if ours was installed (or stood there already).

    Raises:
        ValueError: called from another thread than the main one; Python allows handlers only there.
    """
    current = signal.getsignal(signal.SIGTERM)
    if current is _end:
        return True
    if current is not signal.SIG_DFL:
        return False
    signal.signal(signal.SIGTERM, _end)
    return True
