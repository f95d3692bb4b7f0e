"""Disks that are full, read-only or lose power, and exceptions at any point of a call."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from publisher._store.directory import Directory, prepare
from publisher._store.log import Log
from publisher._store.source import Source, adopt
from tests.interrupts import _points, strike

from .support import WHEN, WHERE, Holder, append, descriptors, entries, files, left_by


class Disk:
    """Records how much of each file is synced: after a loss of power only that is left."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.kept: dict[str, int] = {}
        self.names: set[str] = set()
        self.syncs = 0
        self._lock = threading.Lock()
        self._sync = directory.sync
        self._rename, self._fdatasync = directory.rename, directory.fdatasync
        directory.fdatasync = self.fdatasync
        directory.rename = self.rename
        directory.sync = self.sync  # type: ignore[method-assign]

    @staticmethod
    def path(descriptor: int) -> str:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115

    def fdatasync(self, descriptor: int) -> None:
        path, size = self.path(descriptor), os.fstat(descriptor).st_size
        self._fdatasync(descriptor)
        with self._lock:
            self.syncs += 1
            self.kept[path] = max(self.kept.get(path, 0), size)

    def rename(self, before: str, after: str) -> None:
        with self._lock:
            self._rename(before, after)
            self.kept[after] = self.kept.pop(before, 0)

    def sync(self) -> None:
        with self._lock:
            names = set(files(self.directory))
        self._sync()
        with self._lock:
            self.names |= names

    def lose_power(self, into: Path) -> Directory:
        """What is found after the machine has started again."""
        fresh = prepare(into)
        with self._lock:
            for name in files(self.directory):
                path = self.directory.join(name)
                if name in self.names:
                    new = Path(fresh.join(name))
                    new.touch(0o600)
                    new.write_bytes(Path(path).read_bytes()[: self.kept.get(path, 0)])
        return fresh


def write_on_threads(log: Log, count: int) -> tuple[list[bytes], list[threading.Thread]]:
    returned: list[bytes] = []

    def work(number: int) -> None:
        for index in range(count):
            entry = b"%d-%d" % (number, index)
            append(log, entry, wait=True)
            returned.append(entry)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    return returned, threads


def found_after_power_loss(disk: Disk, into: Path) -> set[bytes]:
    fresh = disk.lose_power(into)
    found: set[bytes] = set()
    for owner in fresh.dead_owners():
        source = adopt(fresh, owner)
        assert source is not None
        found.update(entries(source))
        source.close()
    return found


def test_what_returned_with_sync_disk_survives_a_loss_of_power(
    directory: Directory, tmp_path: Path
) -> None:
    disk = Disk(directory)
    log = Log(directory, sync="disk", segment_bytes=4000)
    returned, threads = write_on_threads(log, 100)
    losses = 0
    while any(thread.is_alive() for thread in threads):
        log.tend(0)
        before = returned.copy()
        assert set(before) <= found_after_power_loss(disk, tmp_path / f"after-{losses}")
        losses += 1
    assert len(returned) == 800
    assert losses > 1
    assert set(returned) == found_after_power_loss(disk, tmp_path / "after")
    print(f"{disk.syncs} syncs for {len(returned)} messages, {losses} losses of power")
    assert disk.syncs < len(returned)  # several messages share one
    log.close()


def test_the_layer_loses_what_is_not_synced(directory: Directory, tmp_path: Path) -> None:
    disk = Disk(directory)
    log = Log(directory, sync="kernel")
    append(log, b"one", wait=True)
    assert found_after_power_loss(disk, tmp_path / "after") == set()
    log.close()


def test_without_waiting_nothing_is_synced(directory: Directory) -> None:
    disk = Disk(directory)
    log = Log(directory, sync="disk")
    append(log, b"one", wait=False)
    assert disk.syncs == 0
    log.close()


def test_a_segment_that_is_written_anew_survives_a_loss_of_power(
    directory: Directory, tmp_path: Path
) -> None:
    disk = Disk(directory)
    log = Log(directory, sync="disk", segment_bytes=4000)
    tickets = [append(log, b"%03d" % number * 10, wait=True) for number in range(100)]
    log.tend(0)
    log.settle(tickets[:50] + tickets[51:])
    log.tend(0)
    log.tend(5)
    assert log.bytes < 300
    assert found_after_power_loss(disk, tmp_path / "after") == {b"050" * 10}
    log.close()


def test_a_disk_that_does_not_keep_what_was_written(directory: Directory) -> None:
    """Linux says so once, and drops it: nobody may believe the next sync of that file."""
    broken = True
    original = directory.fdatasync

    def fdatasync(descriptor: int) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")
        original(descriptor)

    directory.fdatasync = fdatasync
    log = Log(directory, sync="disk")
    holder = Holder()
    with pytest.raises(OSError, match="Input/output"):
        log.append(holder, WHERE, WHEN, b"one", True)
    assert holder.kept is None
    broken = False
    with pytest.raises(OSError, match="did not keep"):
        log.append(holder, WHERE, WHEN, b"two", True)
    log.tend(0)
    append(log, b"three", wait=True)
    assert log.waiting == 1
    assert entries(left_by(log)) == [b"three"]


# A disk that is full, or read-only.


def run(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PRELUDE = """
import os, resource, sys
from publisher._store.directory import prepare
from publisher._store.log import Log
from publisher._store.source import adopt

class Holder:
    kept = None
"""


def test_a_limit_of_the_system_on_the_size_of_files(directory: Directory) -> None:
    told = run(
        PRELUDE
        + """
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
log = Log(prepare(sys.argv[1]))
kept, refused = [], 0
for number in range(100):
    holder = Holder()
    try:
        log.append(holder, b"where", 1.0, b"%d" % number * 40, False)
    except OSError:
        refused += 1
        assert holder.kept is None
    else:
        kept.append((number, holder.kept))
assert refused > 10 and log.waiting == len(kept), (refused, log)
log.settle([ticket for number, ticket in kept if number % 2])
print(*(number for number, _ in kept if number % 2 == 0))
log.close()
""",
        directory.path,
    )
    (owner,) = directory.dead_owners()
    source = adopt(directory, owner)
    assert source is not None
    assert entries(source) == [b"%d" % int(number) * 40 for number in told.split()]


def test_a_full_disk_loses_nothing_that_was_accepted(directory: Directory) -> None:
    full = False
    room = 3000

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if full and not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = os.write(descriptor, data[:room] if full else data)
        if full:
            room -= count
        return count

    directory.write = write
    log = Log(directory, segment_bytes=2000)
    tickets = [append(log, b"%02d" % number * 20) for number in range(20)]
    full = True
    refused = 0
    for number in range(20, 100):
        holder = Holder()
        try:
            log.append(holder, WHERE, WHEN, b"%02d" % number * 20, False)
        except OSError as error:
            refused += 1
            assert error.errno == errno.ENOSPC  # noqa: PT017  # many of them raise, others do not
            assert holder.kept is None
        else:
            tickets.append(int(holder.kept or 0))
        log.tend(0)
    assert refused > 10
    log.settle(tickets[:30])
    assert log.unmarked == 30
    log.tend(0)
    log.stay(tickets[30:])
    taken = log.take_stayed(1000)
    assert [kept.sequence for kept in taken] == tickets[30:]
    full = False
    log.settle(tickets[30:])
    for _ in range(3):
        log.tend(0)
    log.close()
    assert [name for name in files(directory) if not name.startswith("damaged")] == []


def test_marks_that_are_written_in_part_cost_no_message(directory: Directory) -> None:
    """Neither in a log nor in a source: what is not marked is sent again."""
    original, short = directory.write, True

    def write(descriptor: int, data: bytes) -> int:
        is_short = short and Disk.path(descriptor).endswith(".done")
        return original(descriptor, data[: len(data) // 2] if is_short else data)

    directory.write = write
    log = Log(directory)
    tickets = [append(log, b"%d" % number) for number in range(60)]
    for ticket in tickets[:10]:
        log.settle([ticket])
    log.settle(tickets[10:20])
    short = False
    log.settle(tickets[20:30])
    source = left_by(log)
    assert entries(source) == [b"%d" % number for number in (*range(20), *range(30, 60))]
    source.close()
    source = left_by(log)
    short = True
    source.settle(source.take(10))
    short = False
    source.settle(source.take(10))
    source.close()
    source = left_by(log)
    assert entries(source) == [b"%d" % number for number in (*range(10), *range(30, 60))]
    source.close()


def test_what_cannot_be_written_anew_stays_as_it_is(directory: Directory) -> None:
    """The disk is full, or takes a part, while a segment is replaced by a smaller one."""
    original, fault = directory.write, ""

    def write(descriptor: int, data: bytes) -> int:
        if fault and Disk.path(descriptor).endswith(".tmp"):
            if fault == "quota":
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
            return original(descriptor, data[: len(data) // 2])
        return original(descriptor, data)

    directory.write = write
    log = Log(directory, segment_bytes=4000)
    tickets = [append(log, b"%03d" % number * 20) for number in range(100)]
    log.tend(0)
    log.settle(tickets[1:])
    for fault in ("quota", "short"):  # noqa: B007 - write() reads it
        before = log.bytes
        log.tend(0)
        log.tend(10)
        assert log.bytes == before
        assert not [name for name in files(directory) if name.endswith(".tmp")]
    fault = ""
    log.tend(0)
    log.tend(10)
    assert log.bytes < before
    assert entries(left_by(log)) == [b"000" * 20]


READ_ONLY = (
    PRELUDE
    + """
path, user = sys.argv[1], int(sys.argv[2])
os.chown(path, user, -1)
os.setuid(user)
directory = prepare(path)
log = Log(directory)
holder = Holder()
log.append(holder, b"where", 1.0, b"one", False)
log.append(holder, b"where", 1.0, b"two", False)
owner = log.owner
log.close()
os.chmod(path, 0o500)
fresh = Log(prepare(path))
try:
    fresh.append(holder, b"where", 1.0, b"three", False)
except PermissionError:
    print("refused")
assert holder.kept is None and fresh.owner is None and fresh.waiting == 0
fresh.tend(0)
fresh.close()
assert directory.dead_owners() == [owner]
source = adopt(directory, owner)
kepts = source.take(9)
print(*(kept.entry.decode() for kept in kepts))
source.settle(kepts)
print(source.waiting, source.unmarked, source.finished)
source.close()
os.chmod(path, 0o700)
"""
)


def test_a_directory_that_is_read_only() -> None:
    """As another user than root, whom no mode keeps from writing; nor may it enter pytest's."""
    user = os.geteuid() or 65534
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o711)
        told = run(READ_ONLY, prepare(f"{above}/spool").path, str(user)).split()
    assert told == ["refused", "one", "two", "0", "2", "False"]


def test_too_many_open_files_lose_nothing(directory: Directory) -> None:
    """What cannot be opened now is read later, by a log and by a source."""
    log = Log(directory, segment_bytes=300)
    tickets = []
    for number in range(10):
        tickets.append(append(log, b"%d" % number * 100))
        log.tend(0)
    log.stay(tickets)
    original, left = directory.read_from, 0

    def read_from(name: str) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return original(name)

    directory.read_from = read_from  # type: ignore[method-assign]
    everything = [b"%d" % number * 100 for number in range(10)]

    def take(taking: Callable[[int], list[Any]]) -> list[bytes]:
        nonlocal left
        found: list[bytes] = []
        failed = 0
        for number in range(60):
            left = number
            try:
                found += [kept.entry for kept in taking(4)]
            except OSError:
                failed += 1
        assert failed
        return found

    assert take(log.take_stayed) == everything
    left = 1000
    source = left_by(log)
    assert take(source.take) == everything
    assert source.damaged == 0
    assert source.unmarked == 0
    assert source.waiting == 10
    source.close()


# Exceptions of signal handlers.


def strike_all(make: Callable[[], Any], check: Callable[[Any], None]) -> int:
    """Raise at every point of a call that ``make`` prepares anew each time; how many there are."""
    met: set[Any] = set()
    for _ in range(5000):
        call = make()
        if not strike(call, met):
            return len(met)
        check(call)
    raise AssertionError("there is no end to it")


class Appending:
    """One append to a log, the first or a later one, and what has to hold after it."""

    def __init__(self, path: Path, *, first: bool, sync: str = "kernel") -> None:
        self.directory = prepare(path)
        self.log = Log(self.directory, sync=sync, segment_bytes=200)
        self.before = [] if first else [append(self.log, b"before" * 40)]
        self.holder = Holder()

    def __call__(self) -> None:
        self.log.append(self.holder, WHERE, WHEN, b"struck", True)

    def check(self) -> None:
        if self.holder.kept is not None:
            self.log.settle([self.holder.kept])
        assert self.log.waiting == len(self.before)
        after = append(self.log, b"after")
        self.log.tend(0)
        self.log.settle([*self.before, after])
        for _ in range(3):
            self.log.tend(0)
        assert self.log.bytes == 0
        self.log.close()
        assert files(self.directory) == []


@pytest.mark.every_python("signals are looked for at other points")
@pytest.mark.parametrize("sync", ["kernel", "disk"])
@pytest.mark.parametrize("first", [True, False])
def test_an_exception_at_any_point_of_append_leaves_nothing(
    tmp_path: Path, first: bool, sync: str
) -> None:
    count = strike_all(
        lambda: Appending(tmp_path / "spool", first=first, sync=sync), lambda call: call.check()
    )
    assert count > 10


class Settling(Appending):
    """One call of another method, after which everything has to be whole."""

    def __init__(self, path: Path, call: Callable[[Settling], None]) -> None:
        super().__init__(path, first=False)
        self.before.append(append(self.log, b"stays"))
        self.log.tend(0)
        self.before.append(append(self.log, b"in the second segment"))
        self.log.stay(self.before[1:])
        self.call = call

    def __call__(self) -> None:
        self.call(self)

    def check(self) -> None:
        after = append(self.log, b"after" * 50)
        self.log.tend(0)
        self.log.tend(0)
        self.log.settle([after])
        source = left_by(self.log)
        found = entries(source)
        assert set(found) <= {b"before" * 40, b"stays", b"in the second segment"}
        assert b"in the second segment" in found
        assert source.damaged == 0
        source.settle([])
        source.close()
        for name in files(self.directory):
            Path(self.directory.join(name)).unlink()


@pytest.mark.every_python("signals are looked for at other points")
@pytest.mark.parametrize(
    "call",
    [
        lambda self: self.log.settle(self.before[:1]),
        lambda self: self.log.take_stayed(2),
        lambda self: self.log.tend(0),
    ],
    ids=["settle", "take_stayed", "tend"],
)
def test_an_exception_at_any_point_of_other_calls_breaks_nothing(
    tmp_path: Path, call: Callable[[Settling], None]
) -> None:
    assert strike_all(lambda: Settling(tmp_path / "spool", call), lambda call: call.check()) > 10


def test_a_signal_handler_appends_at_any_point_of_append(tmp_path: Path) -> None:
    """Here the handler does not raise, it appends itself."""
    directory = prepare(tmp_path / "spool")
    inner: list[int] = []
    depth = 0
    log = Log(directory, segment_bytes=100)

    def tracer(frame: Any, event: str, argument: Any) -> Any:
        nonlocal depth
        if depth or "_store" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_lasti in _points(frame.f_code):
            depth += 1
            inner.append(append(log, b"inner"))
            depth -= 1
        return tracer

    sys._getframe().f_trace_opcodes = True  # or 3.12 has no such events
    sys.settrace(tracer)
    try:
        outer = append(log, b"outer")
    finally:
        sys.settrace(None)
    assert len(inner) > 10
    assert len({outer, *inner}) == len(inner) + 1
    assert entries(left_by(log)).count(b"inner") == len(inner)


def test_no_descriptor_is_left(directory: Directory) -> None:
    gc.collect()  # what earlier tests have left open
    before = descriptors()
    for _ in range(20):
        log = Log(directory, "r", segment_bytes=300)
        for number in range(10):
            append(log, b"%d" % number * 50)
            log.tend(0)
        watching = Source(directory, str(log.owner), None)
        watching.take(3)
        watching.close()
        source = left_by(log)
        source.settle(source.take(100))
        assert source.finished
    assert descriptors() <= before
    assert files(directory) == []
