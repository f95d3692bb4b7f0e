"""Faults that last a moment: a call of the system fails once or for a while, then the disk is well.

None of them may cost a message, turn the order round, or hold anything for longer than it lasts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from publisher._store import file
from publisher._store.directory import Directory
from publisher._store.log import Log
from publisher._store.source import Source
from publisher._store.survey import survey
from publisher.spool.owners import Owners

from .support import append, entries, files, left_by


def failing(
    call: Callable[..., Any], code: int, ending: str = "", times: int = 1
) -> Callable[..., Any]:
    """The call, which fails so many times where its first argument ends with that."""

    def fail(what: Any, *rest: Any) -> Any:
        nonlocal times
        if times and str(what).endswith(ending):
            times -= 1
            raise OSError(code, os.strerror(code))
        return call(what, *rest)

    return fail


# A segment that is written anew.


def test_marks_that_cannot_be_removed_after_a_segment_was_written_anew(
    directory: Directory,
) -> None:
    """What was known of the old file's places is not believed of the new one."""
    log = Log(directory, segment_bytes=20_000)
    tickets = [append(log, b"%03d" % number * 40) for number in range(200)]
    log.stay(tickets[1:11])
    log.put_back(log.take_stayed(5))  # the segment has been read
    log.settle([tickets[0], *tickets[11:]])
    directory.unlink = failing(directory.unlink, errno.EIO, ".done")
    log.tend(0)
    log.tend(1)
    log.tend(7)
    assert Path(directory.join(f"{log.owner}-1.log")).stat().st_size < 3000
    assert [kept.entry for kept in log.take_stayed(100)] == [
        b"%03d" % number * 40 for number in range(1, 11)
    ]
    assert log.damaged == 0
    assert log.waiting == 10
    log.close()


@pytest.mark.parametrize("fault", ["rename", "unlink"])
def test_a_source_whose_segment_cannot_be_replaced_at_once(
    directory: Directory, fault: str
) -> None:
    log = Log(directory)
    for number in range(200):
        append(log, b"%03d" % number * 40)
    source = left_by(log)
    source.clock = lambda: 0
    taken = source.take(1000)
    source.settle(taken[10:])
    if fault == "rename":
        directory.rename = failing(directory.rename, errno.EIO)
    else:
        directory.unlink = failing(directory.unlink, errno.EIO, ".done")
    source.clock = lambda: 5
    source.settle([])
    assert not [name for name in files(directory) if name.endswith(".tmp")]
    assert [kept.entry for kept in source.read_again(taken[:10])] == [
        b"%03d" % number * 40 for number in range(10)
    ]
    assert source.damaged == 0
    assert source.waiting == 10
    source.close()


# An owner that dies.


def test_what_a_dead_owner_wrote_last_is_read_though_the_first_look_at_it_failed(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(directory, "r")
    append(log, b"one")
    relay = Source(directory, str(log.owner), None)
    relay.settle(relay.take(9))
    append(log, b"two")
    log.close()
    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", failing(os.lstat, errno.ENOMEM, "-2.log"))
        with pytest.raises(OSError, match="memory"):
            relay.alive()
    assert not relay.alive()
    assert entries(relay) == [b"two"]
    assert relay.damaged == 0
    relay.close()


# Files that cannot be opened for a moment.


def test_no_segment_goes_before_one_that_cannot_be_opened_now(directory: Directory) -> None:
    log = Log(directory, segment_bytes=1)
    for number in range(3):
        append(log, b"%d" % number)
        log.tend(0)
    source = left_by(log)
    directory.read_from = failing(  # type: ignore[method-assign]
        directory.read_from, errno.EMFILE, "-2.log"
    )
    assert entries(source) == [b"0"]
    assert source.has_more
    assert entries(source) == [b"1", b"2"]
    directory.read_from = failing(  # type: ignore[method-assign]
        directory.read_from, errno.EMFILE, "-1.log"
    )
    source.close()
    source = left_by(log)
    with pytest.raises(OSError, match="open files"):
        source.take(9)
    assert source.has_more
    assert entries(source) == [b"0", b"1", b"2"]
    source.close()


def test_what_is_settled_stays_so_where_the_marks_cannot_be_opened_now(
    directory: Directory,
) -> None:
    log = Log(directory)
    log.settle([append(log, b"%d" % number) for number in range(9)])
    append(log, b"left")
    source = left_by(log)
    directory.read_from = failing(  # type: ignore[method-assign]
        directory.read_from, errno.EMFILE, ".done"
    )
    with pytest.raises(OSError, match="open files"):
        source.take(100)
    assert entries(source) == [b"left"]
    source.close()


def test_marks_that_came_are_kept_where_it_cannot_be_seen_now_whether_some_did(
    directory: Directory,
) -> None:
    log = Log(directory, segment_bytes=4000)
    tickets = [append(log, b"%03d" % number * 40) for number in range(100)]
    log.tend(0)
    log.settle(tickets[2:])
    original = directory.rename

    def rename(before: str, after: str) -> None:
        log.settle(tickets[:1])
        original(before, after)
        directory.read_from = failing(  # type: ignore[method-assign]
            directory.read_from, errno.EMFILE, ".done"
        )

    directory.rename = rename
    log.tend(0)
    log.tend(5)
    assert Path(directory.join(f"{log.owner}-1.log")).stat().st_size < 1000
    assert entries(left_by(log)) == [b"001" * 40]


# What a writer takes back, and what is stuck.


def test_what_its_writer_took_back_does_not_end_the_look_at_a_segment(
    directory: Directory,
) -> None:
    log = Log(directory, "r", segment_bytes=1)
    tickets = [append(log, b"%d" % number) for number in range(6)]
    relay = Source(directory, str(log.owner), None)
    relay.take(2)
    log.settle(tickets[2:5])
    log.tend(0)
    append(log, b"in the next segment")
    assert entries(relay, 2) == [b"5", b"in the next segment"]
    assert not relay.take(2)
    assert relay.waiting == 4
    log.close()


@pytest.mark.parametrize("mode", ["h", "r"])
def test_one_message_that_is_stuck_holds_no_segment(directory: Directory, mode: str) -> None:
    """Also where all others were settled before the first look at it, or one by one."""
    log = Log(directory, mode, segment_bytes=10_000)
    tickets = [append(log, b"%03d" % number * 40) for number in range(100)]
    if mode == "h":
        log.settle(tickets[1:])
        source = left_by(log)
    else:
        source = Source(directory, str(log.owner), None)
        source.settle(source.take(1000)[1:])
        log.tend(0)
    source.clock = lambda: 0
    source.take(9)
    source.clock = lambda: 5
    source.take(9)
    assert Path(directory.join(f"{log.owner}-1.log")).stat().st_size < 1000
    assert source.waiting == 1
    source.close()
    log.close()


# A disk that gives errors of input.


class BadDisk:
    """Reads of these blocks of 4096 bytes fail; all of them do if none are named."""

    def __init__(self, patch: pytest.MonkeyPatch, *blocks: int) -> None:
        self.broken = True
        self.blocks = blocks
        self.now = 0.0
        self._pread = os.pread
        patch.setattr(os, "pread", self.pread)
        patch.setattr(file, "now", lambda: self.now)

    def pread(self, descriptor: int, length: int, offset: int) -> bytes:
        touched = range(offset // 4096, (offset + length - 1) // 4096 + 1)
        if self.broken and (not self.blocks or any(block in touched for block in self.blocks)):
            raise OSError(errno.EIO, "Input/output error")
        return self._pread(descriptor, length, offset)


def test_a_disk_that_fails_for_a_moment_costs_nothing(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(directory)
    tickets = [append(log, b"%03d" % number * 40) for number in range(200)]
    log.settle(tickets[:3])
    everything = [b"%03d" % number * 40 for number in range(3, 200)]
    log.stay(tickets[3:])
    kepts = log.take_stayed(1000)
    disk = BadDisk(monkeypatch)
    for disk.now in range(0, 60, 5):
        with pytest.raises(OSError, match="Input/output"):
            log.read_again(kepts)
    disk.broken = False
    assert [kept.entry for kept in log.read_again(kepts)] == everything
    assert log.damaged == 0
    source = left_by(log)
    disk.broken = True
    for disk.now in range(1000, 1060, 5):  # what failed long ago does not count
        with pytest.raises(OSError, match="Input/output"):
            source.take(1000)
    disk.broken = False
    kepts = source.take(1000)
    assert [kept.entry for kept in kepts] == everything
    disk.broken = True
    for disk.now in range(2000, 2060, 5):
        with pytest.raises(OSError, match="Input/output"):
            source.read_again(kepts)
    disk.broken = False
    assert [kept.entry for kept in source.read_again(kepts)] == everything
    assert source.damaged == 0
    source.settle(kepts)
    assert files(directory) == []


def test_a_bad_sector_costs_only_what_is_in_it(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a dead owner, and of what a process has written itself; once it has failed for long."""
    log = Log(directory)
    tickets = [append(log, b"%03d" % number * 40) for number in range(200)]
    log.stay(tickets)
    data = Path(directory.join(f"{log.owner}-1.log")).read_bytes()
    kepts = log.take_stayed(1000)
    whole = []
    for kept in kepts:
        begin = kept.offset // 4096
        end = (data.index(kept.entry, kept.offset) + len(kept.entry) - 1) // 4096
        if not begin <= 3 <= end:
            whole.append(kept.entry)
    assert 150 < len(whole) < 200
    disk = BadDisk(monkeypatch, 3)
    with pytest.raises(OSError, match="Input/output"):
        log.read_again(kepts)
    disk.now = 60
    assert [kept.entry for kept in log.read_again(kepts)] == whole
    assert log.waiting == len(whole)
    disk.broken = False
    source = left_by(log)
    Path(directory.join(f"{log.owner}-1.done")).unlink()
    disk.broken = True
    with pytest.raises(OSError, match="Input/output"):
        source.take(1000)
    disk.now = 120
    kepts = source.take(1000)
    assert [kept.entry for kept in kepts] == whole
    assert source.damaged >= 1
    source.settle(kepts)
    assert source.finished
    assert all(name.startswith("damaged/") for name in files(directory))


def test_a_look_that_is_the_only_one_passes_over_a_bad_sector(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(directory)
    for number in range(200):
        append(log, b"%03d" % number * 40)
    disk = BadDisk(monkeypatch, 3)
    (owner,) = survey(directory, None, settled=True)
    (found,) = owner.segments
    assert found.damaged >= 1
    assert 150 < found.waiting < 200
    disk.broken = False
    log.close()


# The next segment of a log.


def test_a_log_goes_on_to_its_next_segment_after_that_failed_once(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names could not be synced, and a file was there already at each later look."""
    log = Log(directory, sync="disk")
    log.settle([append(log, b"one")])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync, errno.EIO))
        log.tend(0)
        log.tend(1)
    assert f"{log.owner}-2.log" not in files(directory)
    log.tend(2)
    log.tend(3)
    assert files(directory) == [f"{log.owner}-2.log", f"{log.owner}.lock"]
    log.close()
    assert files(directory) == []


def test_a_disk_that_kept_nothing_for_a_moment_takes_messages_again(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(directory, sync="disk")
    append(log, b"one", wait=True)
    directory.fdatasync = failing(directory.fdatasync, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        append(log, b"refused", wait=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync, errno.EIO))
        log.tend(0)
    log.tend(1)
    append(log, b"two", wait=True)
    assert entries(left_by(log)) == [b"one", b"two"]


@pytest.mark.parametrize("mode", ["h", "r"])
def test_nothing_more_goes_into_a_file_that_was_deleted(directory: Directory, mode: str) -> None:
    log = Log(directory, mode)
    lost = append(log, b"lost")
    Path(directory.join(f"{log.owner}-1.log")).unlink()
    log.tend(0)
    append(log, b"found")
    log.tend(1)
    log.settle([lost])
    log.tend(2)
    assert log.bytes == sum(Path(directory.join(name)).stat().st_size for name in files(directory))
    assert entries(left_by(log)) == [b"found"]


def test_an_own_file_that_cannot_be_read_holds_up_no_other(directory: Directory) -> None:
    log = Log(directory, segment_bytes=1)
    tickets = []
    for number in range(3):
        tickets.append(append(log, b"%d" % number))
        log.tend(0)
    log.stay(tickets)
    path = Path(directory.join(f"{log.owner}-1.log"))
    path.chmod(0o640)
    assert [kept.entry for kept in log.take_stayed(9)] == [b"1", b"2"]
    assert log.take_stayed(9) == []
    assert (log.stayed, log.damaged) == (1, 1)
    path.chmod(0o600)
    assert [kept.entry for kept in log.take_stayed(9)] == [b"0"]
    log.close()


# Segments whose numbers have gaps.


def with_a_gap(directory: Directory) -> tuple[Log, Source]:
    """A log of which a source has seen the first segment, and whose second one is gone."""
    log = Log(directory, "r", segment_bytes=1)
    append(log, b"1")
    relay = Source(directory, str(log.owner), None)
    relay.settle(relay.take(9))
    log.tend(0)
    log.settle([append(log, b"2")])
    log.tend(0)
    append(log, b"3")
    Path(directory.join(f"{log.owner}-2.log")).unlink()
    return log, relay


def test_a_segment_after_a_gap_is_found_when_the_owner_has_died(directory: Directory) -> None:
    log, relay = with_a_gap(directory)
    relay.take(9)
    log.close()
    assert not relay.alive()
    relay.settle(relay.take(9))
    assert relay.finished
    assert files(directory) == []


def test_a_segment_after_a_gap_is_found_at_the_next_look(directory: Directory) -> None:
    log, relay = with_a_gap(directory)
    assert entries(relay) == []
    owners = Owners(None, follows=True)
    owners.sources[relay.owner] = relay
    owners.look(directory)
    assert entries(relay) == [b"3"]
    owners.look(directory)
    assert relay.waiting == 1
    relay.close()
    log.close()


def test_a_segment_that_was_refused_is_counted_once(directory: Directory) -> None:
    log, relay = with_a_gap(directory)
    Path(directory.join(f"{log.owner}-3.log")).chmod(0o640)
    for _ in range(3):
        relay.note(directory.files()[relay.owner])
        assert entries(relay) == []
    assert relay.damaged == 1
    relay.close()
    log.close()
