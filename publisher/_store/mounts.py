"""Which file system a path is on."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

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
