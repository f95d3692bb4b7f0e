"""How bytes are written: letting other threads run meanwhile, or not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

#: The environment variable that asks for a write that keeps the GIL: set to ``keep``.
VARIABLE = "BOTO3_PUBLISHER_SPOOL_GIL"


def writer() -> Callable[[int, bytes], int] | None:
    """What a log appends with; None: what its directory writes with, ``os.write``.

    ``os.write`` gives the GIL away. Beside a thread that computes, its caller is back after some
    milliseconds; a disk that stalls holds only that caller. The other one keeps the GIL: its caller
    is back at once, and a disk that stalls holds every thread of the process.
    """
    if os.environ.get(VARIABLE, "").strip().lower() != "keep":
        return None
    return keeping_the_gil()


def keeping_the_gil() -> Callable[[int, bytes], int]:
    """A ``write`` of the C library's that no other Python thread runs beside.

    Raises:
        OSError, AttributeError: there is none on this platform.
    """
    import ctypes

    write = ctypes.PyDLL(None, use_errno=True).write
    write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
    write.restype = ctypes.c_ssize_t

    def keep(descriptor: int, data: bytes) -> int:
        while (written := int(write(descriptor, data, len(data)))) < 0:
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code))
        return written

    return keep
