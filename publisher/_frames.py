"""Who called: for warnings that are about a line of the caller's."""

from __future__ import annotations

import sys
from types import FrameType


def outside() -> int:
    """The ``stacklevel`` of a warning that shows the caller of this package.

    For a call of ``warnings.warn`` in the function that asks.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    return level


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "publisher"
