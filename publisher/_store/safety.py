"""Whether a directory is safe to keep messages in: whose it is, and on which file system."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

try:
    import fcntl as fcntl  # noqa: PLC0414 - the other modules have it from here
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: File systems on which locks or appends of several machines are not what they are on a disk.
NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "glusterfs", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "ocfs2", "orangefs", "smb2", "smb3", "smbfs", "virtiofs"),
        *("fuse.ceph", "fuse.glusterfs", "fuse.mfs", "fuse.moosefs", "fuse.rclone", "fuse.s3fs"),
        "fuse.sshfs",
    }
)


def mounts() -> str:
    """What Linux says is mounted where; an empty text elsewhere."""
    with contextlib.suppress(OSError):
        return Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    return ""


def filesystem(path: str, mountinfo: str) -> str:
    """The type of the file system that ``path`` is on; an empty text if nothing is known."""
    real = os.path.realpath(path)
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        inside = point in {"/", real} or real.startswith(point + "/")
        if inside and len(point) >= len(best):  # of two on one point the later one is seen
            best, kind = point, right.split(" ")[0].lower()
    return kind


def check_platform() -> None:
    """Raise where there are no locks of the kind that a spool needs."""
    if fcntl is None:
        raise ValueError(
            "a spool needs the locks of fcntl, which this platform does not have: leave spool out"
        )


def check(where: str, *, mountinfo: str | None = None) -> os.stat_result:
    """Raise for a directory that cannot be used safely; the text says why, and what to do."""
    check_platform()
    kind = filesystem(where, mounts() if mountinfo is None else mountinfo)
    if kind in NETWORK:
        raise ValueError(
            f"the spool {where!r} is on a network file system ({kind}), whose locks do not hold"
            " after a crash: name a directory on a disk of this machine"
        )
    found = os.lstat(where)
    if stat.S_ISLNK(found.st_mode):
        raise ValueError(f"the spool {where!r} is a link, and none is followed: name its target")
    if not stat.S_ISDIR(found.st_mode):
        raise ValueError(f"the spool {where!r} is no directory: name another one")
    if found.st_uid != os.geteuid():
        raise ValueError(
            f"the spool {where!r} belongs to user {found.st_uid}, and this process is user"
            f" {os.geteuid()}: it must be this user's own; chown it, or name another one"
        )
    if found.st_mode & 0o077:
        raise ValueError(
            f"the spool {where!r} is open to others (mode {stat.S_IMODE(found.st_mode):04o}), and"
            " messages are private: chmod it to 0700"
        )
    return found
