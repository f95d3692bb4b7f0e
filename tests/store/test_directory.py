"""The directory: which are refused, whose files are in it, and who holds which lock."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from publisher._store import directory as module
from publisher._store import safety
from publisher._store.directory import Directory, prepare
from publisher._store.log import Log
from publisher._store.safety import filesystem
from publisher._store.source import Source, adopt

from .support import append, descriptors, entries, files, left_by

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:40 / /mnt/nfs\\040share rw,relatime shared:2 - nfs4 host:/x rw,vers=4.2
41 40 254:16 / /mnt/nfs\\040share/disk rw,relatime - xfs /dev/vdb rw
42 22 0:41 / /mnt/far rw - cifs //host/x rw
43 22 0:42 / /mnt/over rw - fuse.sshfs host:/ rw
44 22 254:17 / /mnt/over rw - ext4 /dev/vdc rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt", "ext4"),
        ("/mnt/nfs share", "nfs4"),
        ("/mnt/nfs share/spool", "nfs4"),
        ("/mnt/nfs share/disk/spool", "xfs"),
        ("/mnt/nfs shared", "ext4"),
        ("/mnt/far/spool", "cifs"),
        ("/mnt/over/spool", "ext4"),
    ],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert filesystem(path, MOUNTS) == kind
    assert filesystem(path, "") == ""


def test_network_file_systems_are_refused(tmp_path: Path) -> None:
    mounts = f"22 1 0:40 / {tmp_path} rw - nfs4 host:/x rw"
    with pytest.raises(ValueError, match=r"on a network file system \(nfs4\).*name a directory"):
        prepare(tmp_path / "spool", mountinfo=mounts)


def test_what_is_not_safe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spool"
    for bits in (0o710, 0o702, 0o770, 0o755):
        path.mkdir(exist_ok=True)
        path.chmod(bits)
        with pytest.raises(ValueError, match=rf"open to others \(mode 0{bits:o}\).*chmod it"):
            prepare(path)
    path.chmod(0o700)
    prepare(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(ValueError, match="is a link"):
        prepare(link)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match="is no directory"):
        prepare(file)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is a link"):
        prepare(dangling)
    with pytest.raises(FileNotFoundError):
        prepare(tmp_path / "missing" / "spool")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(
        ValueError, match=f"belongs to user {me}, and this process is user {me + 1}"
    ):
        prepare(path)
    monkeypatch.undo()
    monkeypatch.setattr(safety, "fcntl", None)
    with pytest.raises(ValueError, match="this platform does not have"):
        prepare(path)


def test_a_new_directory_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        directory = prepare(tmp_path / "spool")
        log = Log(directory)
        append(log, b"one")
    finally:
        os.umask(before)
    assert Path(directory.path).stat().st_mode & 0o777 == 0o700
    assert {Path(directory.join(name)).stat().st_mode & 0o777 for name in files(directory)} == {
        0o600
    }
    log.close()


OWNER = "h" + "ab" * 8


def dead(directory: Directory) -> Source | None:
    return adopt(directory, OWNER)


@pytest.mark.parametrize("name", ["-1.log", "-1.done", "-1.tmp", ".lock"])
def test_planted_links_are_not_followed(directory: Directory, tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    target.chmod(0o600)
    if name != "-1.log":
        Path(directory.join(f"{OWNER}-1.log")).touch(0o600)
    Path(directory.join(f"{OWNER}{name}")).symlink_to(target)
    if name == ".lock":
        with pytest.raises(OSError, match="symbolic link") as raised:
            dead(directory)
        assert raised.value.errno == errno.ELOOP
        assert directory.dead_owners() == []
        assert OWNER not in {owner for _, _, owner in module._held}
    else:
        source = dead(directory)
        assert source is not None
        assert source.take(9) == []
        source.close()
        assert source.damaged == (1 if name == "-1.log" else 0)
    assert target.read_bytes() == b"precious"


def test_a_link_in_the_place_of_the_marks_costs_marks(directory: Directory, tmp_path: Path) -> None:
    log = Log(directory)
    ticket = append(log, b"one")
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    Path(directory.join(f"{log.owner}-1.done")).symlink_to(target)
    log.settle([ticket])
    assert log.unmarked == 1
    assert log.waiting == 0
    log.close()
    assert files(directory) == []
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["-2.log", "-1.tmp"])
def test_a_link_in_the_way_of_a_writer_costs_no_message(
    directory: Directory, tmp_path: Path, name: str
) -> None:
    """In the place of its next file, or of the one that replaces a file."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    target.chmod(0o600)
    log = Log(directory, segment_bytes=1000)
    tickets = [append(log, b"%03d" % number * 20) for number in range(50)]
    link = Path(directory.join(f"{log.owner}{name}"))
    link.symlink_to(target)
    log.tend(0)
    log.settle(tickets[1:])
    log.tend(0)
    log.tend(10)
    append(log, b"new")
    assert target.read_bytes() == b"precious"
    log.close()
    link.unlink(missing_ok=True)
    assert entries(left_by(log)) == [b"000" * 20, b"new"]


@pytest.mark.parametrize("kind", ["folder", "piece", "file"])
def test_what_is_damaged_is_put_aside_through_no_link(
    directory: Directory, tmp_path: Path, kind: str
) -> None:
    log = Log(directory)
    append(log, b"whole")
    append(log, b"torn")
    source = left_by(log)
    source.close()
    path = Path(directory.join(f"{log.owner}-1.log"))
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole - 1)
    target = tmp_path / "target"
    damaged = Path(directory.join("damaged"))
    if kind == "folder":
        target.mkdir()
        damaged.symlink_to(target)
    elif kind == "file":
        damaged.touch(0o600)
    else:
        damaged.mkdir(0o700)
        for begin in range(whole):  # whatever it is called
            (damaged / f"{log.owner}-1-{begin}").symlink_to(target)
    source = left_by(log)
    kepts = source.take(9)
    assert [kept.entry for kept in kepts] == [b"whole"]
    source.settle(kepts)
    assert source.finished
    assert source.damaged == 1
    assert not target.exists() or list(target.iterdir()) == []


@pytest.mark.parametrize("kind", ["pipe", "folder", "open to others", "foreign"])
def test_what_is_no_private_file_is_left_alone(
    directory: Directory, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(directory.join(f"{OWNER}-1.log"))
    if kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "folder":
        path.mkdir(0o700)
    else:
        path.touch(0o640 if kind == "open to others" else 0o600)
        path.chmod(0o640 if kind == "open to others" else 0o600)
        path.write_bytes(b"whatever")
    if kind == "foreign":
        if os.geteuid():
            pytest.skip("only root can give a file to somebody else")
        os.chown(path, 12345, -1)
    source = dead(directory)
    assert source is not None
    assert source.take(9) == []
    assert source.damaged == 1
    assert source.finished
    assert path.exists()
    assert f"{OWNER}.lock" in files(directory)


def test_whose_files_are_here(directory: Directory) -> None:
    for name in ("h" + "1" * 16 + "-3.log", "r" + "2" * 16 + ".lock", "h" + "3" * 16 + "-1.done"):
        Path(directory.join(name)).touch(0o600)
    for name in ("relay.lock", "notes.txt", "h123-1.log", "damaged"):
        Path(directory.join(name)).touch(0o600)
    own = Log(directory)
    append(own, b"mine")
    one, two, three = "h" + "1" * 16, "r" + "2" * 16, "h" + "3" * 16
    assert directory.owners() == [one, three, two]
    assert directory.owners("r") == [two]
    assert directory.dead_owners("h") == [one, three]
    lock = directory.lock(one, create=True)
    assert lock is not None
    assert directory.owners("h") == [three]
    lock.release()
    assert directory.lock("h" + "4" * 16, create=False) is None
    own.close()


def test_marks_and_copies_without_a_segment_are_cleared_away(directory: Directory) -> None:
    for name in ("-3.done", "-2.tmp", ".lock"):
        Path(directory.join(f"{OWNER}{name}")).touch(0o600)
    source = dead(directory)
    assert source is not None
    assert source.finished
    assert files(directory) == []


CHILD = """
import fcntl, os, sys
for path in sys.argv[1:]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("held")
    else:
        print("free")
    os.close(descriptor)
"""


def ask(*paths: str) -> list[str]:
    """What another process says about these locks."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *paths],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


def test_nothing_in_this_process_releases_a_lock_that_it_holds(directory: Directory) -> None:
    log = Log(directory, "r")
    append(log, b"one")
    lock = directory.join(f"{log.owner}.lock")
    assert ask(lock) == ["held"]
    second = prepare(directory.path)
    other = Log(second)
    append(other, b"two")
    assert second.dead_owners() == []
    assert adopt(second, str(log.owner)) is None
    assert second.lock(str(log.owner), create=True) is None
    watching = Source(second, str(log.owner), None)
    assert watching.alive()
    watching.close()
    other.close()
    assert adopt(directory, str(other.owner)) is not None
    assert ask(lock, directory.join(f"{other.owner}.lock")) == ["held", "held"]
    log.close()
    assert ask(lock) == ["free"]


def run(source: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


WRITER = """
    import os, sys
    from publisher._store.directory import prepare
    from publisher._store.log import Log

    class Holder:
        kept = None

    log = Log(prepare(sys.argv[1]), sys.argv[2])
    log.append(Holder(), b"where", 1.0, b"one", False)
"""


def test_a_living_process_keeps_its_files_and_a_killed_one_does_not(directory: Directory) -> None:
    with run(
        WRITER + "    print(log.owner, flush=True); sys.stdin.read()", directory.path, "r"
    ) as child:
        assert child.stdout is not None
        owner = child.stdout.readline().strip()
        assert directory.owners() == [owner]
        assert directory.dead_owners() == []
        assert adopt(directory, owner) is None
        source = Source(directory, owner, None)
        assert source.alive()
        assert entries(source) == [b"one"]
        child.kill()
        child.wait(60)
    assert directory.dead_owners() == [owner]
    assert not source.alive()
    assert directory.owners() == []
    source.close()
    assert entries(adopt(directory, owner)) == [b"one"]  # type: ignore[arg-type]


def test_a_killed_owner_is_dead_while_its_child_lives(directory: Directory) -> None:
    script = (
        WRITER
        + """
    import signal
    if os.fork() == 0:
        print(log.owner, flush=True)
        sys.stdin.read()
        os._exit(0)
    signal.pause()
    """
    )
    with run(script, directory.path, "h") as child:
        assert child.stdout is not None
        owner = child.stdout.readline().strip()
        assert adopt(directory, owner) is None
        child.kill()
        child.wait(60)
        source = adopt(directory, owner)
        assert source is not None
        assert entries(source) == [b"one"]
        # The end of the input ends the child.


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_child_of_a_fork_begins_anew_and_leaves_its_parents_files(directory: Directory) -> None:
    log = Log(directory)
    ticket = append(log, b"of the parent")
    before = files(directory)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # no assertion here: whatever goes wrong is seen in the parent
        status = 1
        try:
            log.forget()
            log.settle([ticket])
            log.close()  # of a log with nothing
            anew = Log(directory)
            append(anew, b"of the child")
            os.write(write, f"{anew.owner} {descriptors()}".encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    answer = os.read(read, 1000).decode().split()
    os.close(read)
    assert answer[0] != log.owner
    assert set(before) < set(files(directory))
    assert log.waiting == 1
    assert ask(directory.join(f"{log.owner}.lock")) == ["held"]
    append(log, b"more of the parent")
    assert entries(left_by(log)) == [b"of the parent", b"more of the parent"]
    assert entries(adopt(directory, answer[0])) == [b"of the child"]  # type: ignore[arg-type]


def test_a_lock_whose_file_was_replaced_is_not_believed(directory: Directory) -> None:
    """Its owner ended between our opening of the file and our locking of it."""
    original, path = os.open, directory.join(f"{OWNER}.lock")
    Path(path).touch(0o600)

    def unlink_behind(name: str, *arguments: int) -> int:
        descriptor = original(name, *arguments)
        if name == path:
            Path(path).unlink()
        return descriptor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", unlink_behind)
        assert directory.lock(OWNER, create=False) is None
    assert OWNER not in {owner for _, _, owner in module._held}
    lock = directory.lock(OWNER, create=True)
    assert lock is not None
    lock.release(unlink=True)
    assert files(directory) == []
