"""Findings about the directory of a spool: nothing is written into it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .._spooling import Spool
from .._store.safety import check, filesystem, mounts
from ..errors import spool_unavailable
from .finding import ERROR, NOTE, OK, WARNING, Finding

_ABOUT = "spool's directory"
#: On these nothing survives the machine, whatever is synced.
_IN_MEMORY = ("tmpfs", "ramfs")
_LITTLE = 64 << 20  # bytes


def directory(spool: Spool | None) -> Iterator[Finding]:
    """Whether it is safe, can be written, is on a disk, and has room; None without a spool."""
    if spool is None:
        return
    path = spool.path
    try:
        check(path)
    except ValueError as error:
        yield Finding(ERROR, _ABOUT, str(error), "until then messages are in memory alone")
        return
    except FileNotFoundError:
        yield from _missing(path)
        return
    except OSError as error:
        yield Finding(ERROR, _ABOUT, str(spool_unavailable(path, error)))
        return
    kind = filesystem(path, mounts())
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        text = f"{path} cannot be written by this process"
        yield Finding(ERROR, _ABOUT, text, "mount its file system writable; see its rights")
    elif kind in _IN_MEMORY:
        text = f"{path} is in memory ({kind}): its messages end with the machine"
        yield Finding(WARNING, _ABOUT, text, "name a directory on a disk")
    else:
        yield Finding(OK, _ABOUT, f"{path} is private and can be written{kind and f' ({kind})'}")
    yield from _room(spool)


def _missing(path: str) -> Iterator[Finding]:
    above = os.path.dirname(path)  # noqa: PTH120 - what is here is a text
    if os.access(above, os.W_OK | os.X_OK):
        yield Finding(OK, _ABOUT, f"{path} is made at the first message")
    else:
        text = f"{path} cannot be made: {above} is not there, or not this user's to write"
        yield Finding(ERROR, _ABOUT, text, "make it: mkdir -m 700 and chown")


def _room(spool: Spool) -> Iterator[Finding]:
    found = os.statvfs(spool.path)
    free = found.f_bavail * found.f_frsize
    if free < min(_LITTLE, spool.max_bytes):
        text = f"{free:,} bytes are free there"
        yield Finding(ERROR, _ABOUT, text, "free some: messages would be in memory alone")
    elif free < spool.max_bytes:
        text = f"{free:,} bytes are free there, less than max_bytes={spool.max_bytes:,}"
        yield Finding(NOTE, _ABOUT, text, "a full disk is met before max_bytes is")
