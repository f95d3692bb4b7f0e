"""Writing a segment anew, with only what is left of it: one stuck message holds no megabytes."""

from __future__ import annotations

import contextlib
import errno
import os

from .directory import Directory
from .reading import Reading

#: How much is written at once.
_CHUNK = 1 << 20
#: Seconds for which little has to be left of a segment: one that is just being drained is not worth
#: it.
PINNED = 5.0


def write_beside(directory: Directory, reading: Reading, *, sync: bool) -> int:
    """Write what is not marked as settled to the temporary file of a segment; how many bytes.

    It is 0, and there is no such file, where too little would be gained.

    Args:
        directory: that has it.
        reading: of the segment, and new: it reads the marks, and all records.
        sync: have the disk keep it.

    Raises:
        OSError: it could not be read or written.
    """
    marks = reading.marks()
    reading.scan(final=True)
    name = f"{reading.name}.tmp"
    directory.remove(name)
    try:
        size = _copy(directory, reading, set(reading.sequences) - marks, name, sync=sync)
        if size * 2 <= reading.size:
            return size
    except BaseException:
        with contextlib.suppress(OSError):
            directory.remove(name)
        raise
    directory.remove(name)
    return 0


def put_in_place(directory: Directory, reading: Reading) -> None:
    """Have the temporary file be the segment; what was damaged in it is put aside."""
    reading.put_aside()
    name = f"{reading.name}.tmp"
    try:
        directory.rename(directory.join(name), directory.join(f"{reading.name}.log"))
    except BaseException:
        with contextlib.suppress(OSError):  # the segment may be done with before it is tried again
            directory.remove(name)
        raise


def _copy(directory: Directory, reading: Reading, left: set[int], name: str, *, sync: bool) -> int:
    descriptor = directory.create(name)
    size, pending = 0, b""
    try:
        for piece in (*reading.copy(left), b""):
            pending += piece
            if pending and (not piece or len(pending) >= _CHUNK):
                if directory.write(descriptor, pending) != len(pending):
                    raise OSError(errno.ENOSPC, "only a part could be written")
                size += len(pending)
                pending = b""
        if sync:
            directory.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    return size
