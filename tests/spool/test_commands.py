"""`spool status` and `spool check`: what they show, what they never do."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import publisher
from publisher._cli import main
from publisher._store.directory import prepare
from publisher._store.log import Log
from publisher.spool.relay import Relay
from tests.spool.test_relay import Writer
from tests.store.support import append
from tests.support import STREAM

SECRET = "a-body-that-nobody-sees"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spool(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command: its exit code and what it says. It changes nothing."""

    def run(look: str, *options: str, directory: Path = folder) -> tuple[int, str, str]:
        before = snapshot(folder)
        capsys.readouterr()
        try:
            code = main(["spool", look, str(directory), *options])
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        assert snapshot(folder) == before
        assert SECRET not in said.out + said.err
        return code, said.out, said.err

    return run


def snapshot(folder: Path) -> list[Any]:
    if not folder.exists():
        return []
    found = [(path.name, path.lstat()) for path in sorted(folder.rglob("*"))]
    return [(name, one.st_size, one.st_mtime_ns, one.st_ino, one.st_mode) for name, one in found]


def leave(folder: Path, count: int, **options: Any) -> None:
    made = publisher.Publisher(spool=publisher.Spool(folder, **{"send": "relay", **options}))
    kinesis = made.client("kinesis", region_name="eu-west-1")
    for number in range(count):
        kinesis.put_record(StreamName=STREAM, Data=SECRET.encode(), PartitionKey=f"k{number}")
    made.close(0)


def log_of(folder: Path) -> Path:
    (path,) = folder.glob("*.log")
    return path


def test_what_waits_is_counted(folder: Path, spool: Command) -> None:
    leave(folder, 3)
    leave(folder, 2)
    code, said, _ = spool("status")
    assert code == 0
    first, second, *rest = said.splitlines()
    assert first.startswith(f"{folder}: 5 messages waiting, the oldest for ")
    assert "in 2 segments" in first
    assert second == "  0 writers alive, 2 dead with something left; no relay runs"
    assert rest == ["  5 to kinesis:eu-west-1:clicks"]
    assert spool("check") == (0, f"{folder}: 2 segments read, 5 messages waiting; all whole\n", "")


def test_json_has_the_same(folder: Path, spool: Command) -> None:
    leave(folder, 3)
    code, said, _ = spool("status", "--json")
    assert code == 0
    found = json.loads(said)
    assert 0 <= found.pop("oldest_age") < 600
    assert found == {
        "directory": str(folder),
        "waiting": 3,
        "bytes": log_of(folder).stat().st_size,
        "segments": 1,
        "owners": {"alive": 0, "dead": 1},
        "destinations": {"kinesis:eu-west-1:clicks": 3},
        "damaged": 0,
        "foreign": 0,
        "put_aside": 0,
        "relay": False,
    }


def test_an_empty_spool_is_whole(folder: Path, spool: Command) -> None:
    folder.mkdir(0o700)
    assert spool("check")[0] == 0
    assert json.loads(spool("status", "--json")[1])["oldest_age"] is None


def test_locks_of_this_process_are_not_given_back(folder: Path, spool: Command) -> None:
    log = Log(prepare(folder), "r")
    append(log, b"x")
    with Relay(publisher.Spool(folder)):
        found = json.loads(spool("status", "--json")[1])
        assert found["relay"]
        assert found["owners"] == {"alive": 1, "dead": 0}
        # A lock that was given back can be taken by a child.
        for name in (f"{log.owner}.lock", "relay.lock"):
            assert not can_be_locked(folder / name)
    log.close()


def can_be_locked(path: Path) -> bool:
    """Whether another process could take it."""
    import fcntl

    pid = os.fork()
    if not pid:
        code = 2
        try:
            descriptor = os.open(path, os.O_RDWR)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            code = 0
        except BlockingIOError:
            code = 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.heavy
def test_a_writer_that_lives_is_left_alone(folder: Path, spool: Command) -> None:
    writer = Writer(folder, "http://127.0.0.1:1")
    try:
        writer.ready()
        writer.write("kinesis", "k", 0, 10)
        found = json.loads(spool("status", "--json")[1])
        assert found["owners"] == {"alive": 1, "dead": 0}
        assert found["waiting"] == 10
        (owner,) = prepare(folder).owners()
        assert prepare(folder).lock(owner, create=False) is None  # it has it still
        writer.write("kinesis", "k", 10, 20)
        writer.kill()
        found = json.loads(spool("status", "--json")[1])
        assert found["owners"] == {"alive": 0, "dead": 1}
        assert found["waiting"] == 20
        lock = prepare(folder).lock(owner, create=False)
        assert lock is not None
        lock.release()
    finally:
        writer.kill()
        writer.end()


def test_damaged_places_are_reported_and_left(folder: Path, spool: Command) -> None:
    leave(folder, 5)
    path = log_of(folder)
    data = bytearray(path.read_bytes())
    data[data.index(SECRET.encode())] ^= 1
    path.write_bytes(data[:-30])  # the first message, the last one and the end's mark
    code, said, _ = spool("check")
    assert code == 1
    lines = said.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path.name}: bytes ") for line in lines[:2])
    assert lines[2] == f"{folder}: 1 segment read, 3 messages waiting; not all whole"
    assert "  2 damaged places" in spool("status")[1].splitlines()


def test_what_no_key_opens_is_reported(folder: Path, tmp_path: Path, spool: Command) -> None:
    key = os.urandom(32)
    leave(folder, 4, key=key)
    words = "4 messages encrypted, and no key was given that opens it"
    code, said, _ = spool("check")
    assert code == 1
    assert words in said
    assert "  4 encrypted, and no key was given that opens it" in spool("status")[1].splitlines()
    keys = tmp_path / "keys"
    keys.write_bytes(base64.b64encode(os.urandom(32)))
    assert spool("check", "--key-file", str(keys))[0] == 1
    keys.write_bytes(base64.b64encode(os.urandom(32)) + b"\n" + base64.b64encode(key))
    assert spool("check", "--key-file", str(keys))[0] == 0
    found = json.loads(spool("status", "--json", "--key-file", str(keys))[1])
    assert found["destinations"] == {"kinesis:eu-west-1:clicks": 4}


def test_planted_files_are_not_followed(folder: Path, tmp_path: Path, spool: Command) -> None:
    leave(folder, 1)
    path = log_of(folder)
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    other = "r" + "0" * 16
    os.mkfifo(folder / f"{other}-1.log", 0o600)
    (folder / f"{other}.lock").symlink_to(outside)
    (folder / "r\u202e\n-1.log").write_text("no spool's")
    code, said, _ = spool("check")
    assert code == 1
    assert f"{path.name}: not a private file of this user" in said
    assert f"{other}-1.log: not a private file of this user" in said
    assert f"{other}.lock: not a private file of this user" in said
    found = json.loads(spool("status", "--json")[1])
    assert (found["waiting"], found["foreign"]) == (0, 3)


@pytest.mark.parametrize(
    "where",
    [
        b"[" * 10_000,
        b'{"service": "nothing"}',
        b'{"service": "sns", "place": {"TopicArn": "a:\\u202e\\u001b[31m"}, "client": {}}',
        b"\xff" * 100,
    ],
    ids=["deep", "unknown", "escapes", "bytes"],
)
def test_a_hostile_destination_is_shown_escaped(folder: Path, spool: Command, where: bytes) -> None:
    log = Log(prepare(folder), "r")
    append(log, b"x", where)
    log.close()
    code, said, _ = spool("status")
    assert code == 0
    assert said.count("\n") == 3
    assert "\u202e" not in said
    assert "\x1b" not in said
    assert spool("check")[0] == 0


def test_directories_that_are_not_safe_are_refused(
    folder: Path, tmp_path: Path, spool: Command
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(0o755)
    link = tmp_path / "link"
    link.symlink_to(shared)
    file = tmp_path / "file"
    file.write_text("")
    for directory, words in (
        (shared, "open to others"),
        (link, "is a link"),
        (file, "is no directory"),
        (tmp_path / "none", "No such file"),
    ):
        for look in ("status", "check"):
            code, _, said = spool(look, directory=directory)
            assert code == 2
            assert words in said
            assert said.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_a_directory_that_may_only_be_read_is_read(folder: Path, spool: Command) -> None:
    leave(folder, 2)
    folder.chmod(0o500)
    try:
        assert "2 messages waiting" in spool("status")[1]
        assert spool("check")[0] == 0
    finally:
        folder.chmod(0o700)


def test_a_spool_in_use_can_be_looked_at_again_and_again(folder: Path, spool: Command) -> None:
    """Half a record at the end of a living writer's file is no damage."""
    log = Log(prepare(folder), "r", write=lambda fd, data: os.write(fd, data[:-2]))
    with pytest.raises(OSError, match="only a part"):
        append(log, b"torn")
    assert spool("check")[0] == 0
    log.close()
    assert spool("check")[0] == 1
