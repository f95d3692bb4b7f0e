"""The log: what is appended, settled, left and given back."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from publisher._store.directory import Directory, prepare
from publisher._store.log import Full, Log
from publisher._store.source import Source, adopt

from .support import WHEN, WHERE, Holder, append, descriptors, entries, files, left_by, size


def test_nothing_touches_the_disk_before_the_first_message(directory: Directory) -> None:
    log = Log(directory)
    log.tend(0)
    log.close()
    assert files(directory) == []


def test_a_lock_that_others_have_looked_at_first_is_followed_by_another(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for dead owners takes the lock for a moment, perhaps before its owner does."""
    real, tries = fcntl.lockf, iter(range(10))

    def lockf(descriptor: int, how: int) -> None:
        if next(tries) < 2:
            raise BlockingIOError
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "lockf", lockf)
    log = Log(directory)
    append(log, b"one")
    assert next(tries) == 3
    assert entries(left_by(log)) == [b"one"]


def test_what_was_appended_is_read_by_the_next_process(directory: Directory) -> None:
    log = Log(directory)
    append(log, b"one")
    append(log, b"two", b"elsewhere", 5.0)
    source = left_by(log)
    kepts = source.take(10)
    assert [(kept.where, kept.when, kept.entry) for kept in kepts] == [
        (WHERE, WHEN, b"one"),
        (b"elsewhere", 5.0, b"two"),
    ]
    assert source.waiting == 2
    source.settle(kepts)
    assert source.finished
    assert source.damaged == 0
    assert files(directory) == []


def test_files_are_private(directory: Directory) -> None:
    log = Log(directory)
    log.settle([append(log, b"one")])
    append(log, b"two")
    modes = {
        name: stat.S_IMODE(Path(directory.join(name)).stat().st_mode) for name in files(directory)
    }
    assert modes == {f"{log.owner}{end}": 0o600 for end in ("-1.log", "-1.done", ".lock")}
    assert stat.S_IMODE(Path(directory.path).stat().st_mode) == 0o700
    log.close()


def test_settled_messages_are_not_read_again(directory: Directory) -> None:
    log = Log(directory)
    tickets = [append(log, b"%d" % number) for number in range(10)]
    log.settle(tickets[:4])
    log.settle(tickets[7:])
    assert log.waiting == 3
    assert entries(left_by(log)) == [b"4", b"5", b"6"]


def test_a_log_with_nothing_left_leaves_nothing(directory: Directory) -> None:
    before = descriptors()
    log = Log(directory)
    log.settle([append(log, b"one")])
    log.close()
    assert files(directory) == []
    assert descriptors() == before
    with pytest.raises(OSError, match="closed"):
        append(log, b"two")


def test_full_segments_are_followed_by_others_and_unlinked_when_settled(
    directory: Directory,
) -> None:
    log = Log(directory, segment_bytes=1000)
    tickets = []
    for number in range(100):
        tickets.append(append(log, b"%03d" % number * 30))
        log.tend(0)
    logs = [name for name in files(directory) if name.endswith(".log")]
    assert len(logs) > 5
    log.settle(tickets[:-1])
    log.tend(0)
    assert len([name for name in files(directory) if name.endswith(".log")]) <= 2
    assert log.waiting == 1
    log.settle(tickets[-1:])
    log.tend(0)
    log.tend(0)
    log.tend(0)
    assert log.bytes == 0
    assert size(directory) == 0
    log.close()
    assert files(directory) == []


def test_bytes_are_those_of_the_files(directory: Directory) -> None:
    log = Log(directory, segment_bytes=1000)
    for number in range(60):
        ticket = append(log, b"x" * number)
        if number % 3:
            log.settle([ticket])
        log.tend(0)
        assert log.bytes == size(directory)
    log.close()


def test_a_bound_on_the_bytes(directory: Directory) -> None:
    log = Log(directory, max_bytes=10_000)
    tickets: list[int] = []

    def fill() -> None:
        for _ in range(1000):
            tickets.append(append(log, b"x" * 100))  # noqa: PERF401  # until it is full

    with pytest.raises(Full):
        fill()
    assert 60 < len(tickets) < 80
    assert size(directory) <= 10_000
    log.settle(tickets)
    log.tend(0)  # rolls
    log.tend(0)
    append(log, b"x" * 100)
    log.close()


def test_an_entry_that_no_record_can_hold_is_refused(directory: Directory) -> None:
    log = Log(directory)
    with pytest.raises(ValueError, match="too long"):
        append(log, bytes((16 << 20) + 1))
    assert files(directory) == []


def test_what_stays_is_taken_oldest_first(directory: Directory) -> None:
    log = Log(directory, segment_bytes=1000)
    tickets = []
    for number in range(50):
        tickets.append(append(log, b"%02d" % number * 50, when=float(number)))
        log.tend(0)
    log.stay(tickets[30:40])
    log.stay(tickets[10:20])
    assert (log.stayed, log.oldest) == (20, 10.0)
    taken = log.take_stayed(15)
    assert [kept.entry[:2] for kept in taken] == [
        b"%02d" % number for number in (*range(10, 20), *range(30, 35))
    ]
    assert [kept.sequence for kept in taken] == [*tickets[10:20], *tickets[30:35]]
    assert (log.stayed, log.oldest) == (5, 35.0)
    log.put_back(taken[3:])
    log.settle([kept.sequence for kept in taken[:3]])
    assert (log.stayed, log.waiting, log.oldest) == (17, 47, 13.0)
    assert [kept.entry[:2] for kept in log.take_stayed(2)] == [b"13", b"14"]
    log.close()


def test_a_segment_held_by_one_message_is_written_anew(directory: Directory) -> None:
    log = Log(directory, segment_bytes=100_000)
    tickets = [append(log, b"%03d" % (number % 1000) * 40) for number in range(700)]
    stuck, last = tickets[300], append(log, b"last")
    log.tend(0)
    append(log, b"in the next segment")
    log.settle([ticket for ticket in tickets if ticket != stuck])
    assert log.bytes > 100_000
    log.tend(0)
    log.tend(4)
    assert log.bytes > 100_000  # it may just be being drained
    log.tend(5)
    assert log.bytes < 1000
    log.settle([last])
    log.stay([stuck])
    assert [kept.entry for kept in log.take_stayed(9)] == [b"300" * 40]
    assert entries(left_by(log)) == [b"300" * 40, b"in the next segment"]


def test_marks_that_come_while_a_segment_is_written_anew_are_kept(directory: Directory) -> None:
    log = Log(directory, segment_bytes=10_000)
    tickets = [append(log, b"%03d" % number * 40) for number in range(100)]
    log.tend(0)
    log.settle(tickets[3:])
    original = directory.rename

    def rename(before: str, after: str) -> None:
        log.settle(tickets[:1])
        original(before, after)

    directory.rename = rename
    log.tend(0)
    log.tend(5)
    assert log.bytes == size(directory)
    assert log.bytes < 2000
    assert entries(left_by(log)) == [b"001" * 40, b"002" * 40]


@pytest.mark.parametrize("mode", ["h", "r"])
def test_a_reader_writes_a_segment_anew_too(directory: Directory, mode: str) -> None:
    """Of a dead owner, and of a living one that appends to it no more."""
    log = Log(directory, mode, segment_bytes=100_000)
    for number in range(700):
        append(log, b"%03d" % number * 40)
    log.tend(0)
    append(log, b"in the next segment")
    source = left_by(log) if mode == "h" else Source(directory, str(log.owner), None)
    kepts = source.take(1000)
    stuck = kepts[300:302]
    assert source.bytes > 100_000
    source.clock = lambda: 0
    source.settle(kepts[:300] + kepts[302:700])
    assert source.bytes > 100_000
    source.clock = lambda: 5
    source.settle([])
    assert source.bytes < (1000 if mode == "h" else 10_000)
    log_size = Path(directory.join(f"{source.owner}-1.log")).stat().st_size
    assert log_size < 1000
    for kept in stuck:
        kept.entry = b""
    assert [kept.entry for kept in source.read_again(stuck)] == [b"300" * 40, b"301" * 40]
    source.put_back(stuck)
    again = source.take(9)
    assert [kept.entry for kept in again] == [b"300" * 40, b"301" * 40]
    assert source.damaged == 0
    assert source.waiting == 3
    if mode == "r":
        before = log.bytes
        log.tend(0)
        assert before > 90_000
        assert log.bytes == size(directory)
        source.settle(again + kepts[700:])
        log.close()
        assert not source.alive()
    else:
        source.close()
        source = adopt(directory, source.owner)  # type: ignore[assignment]
        again = source.take(9)
        assert [kept.entry[:6] for kept in again] == [b"300300", b"301301", b"in the"]
        source.settle(again)
    source.take(1)
    assert source.finished
    assert files(directory) == []


def test_threads_append_while_another_one_tends(directory: Directory) -> None:
    log = Log(directory, segment_bytes=5_000)
    written: list[list[tuple[int, bytes]]] = [[] for _ in range(8)]
    before = descriptors()
    over = threading.Event()

    def write(number: int) -> None:
        for index in range(300):
            entry = b"%d-%d." % (number, index) * (1 + index % 20)
            ticket = append(log, entry, b"where-%d" % (index % 7))
            written[number].append((ticket, entry))

    def tend() -> None:
        while not over.is_set():
            log.tend(0)

    tending = threading.Thread(target=tend)
    tending.start()
    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    over.set()
    tending.join(60)
    log.tend(0)
    everything = dict(pair for some in written for pair in some)
    assert len(everything) == 2400
    assert log.waiting == 2400
    assert log.bytes == size(directory)
    log.stay(list(everything))
    taken = log.take_stayed(10_000)
    assert {kept.sequence: kept.entry for kept in taken} == everything
    assert log.damaged == 0
    log.settle(list(everything))
    log.tend(0)
    log.tend(0)
    log.tend(0)
    assert log.bytes == 0
    assert descriptors() == before + 2  # the lock, and the segment that is appended to
    log.close()
    assert files(directory) == []
    assert descriptors() == before


@pytest.mark.parametrize("mode", ["h", "r"])
def test_a_call_that_holds_a_rolled_segment_keeps_it(directory: Directory, mode: str) -> None:
    reached, go = threading.Event(), threading.Event()

    def write(descriptor: int, data: bytes) -> int:
        if b"slow" in data:
            reached.set()
            assert go.wait(30)
        return os.write(descriptor, data)

    log = Log(directory, mode, segment_bytes=100, write=write)
    tickets = [append(log, b"x" * 100)]
    thread = threading.Thread(target=lambda: tickets.append(append(log, b"slow")))
    thread.start()
    assert reached.wait(30)
    log.settle(tickets)
    log.tend(0)
    assert append(log, b"fast") >> 24 == 2
    log.tend(0)
    assert f"{log.owner}-1.log" in files(directory)
    if mode == "r":  # the relay must not take the segment for one that is complete
        relay = Source(directory, str(log.owner), None)
        assert [kept.entry for kept in relay.take(9)] == [b"fast"]
        assert f"{log.owner}-1.log" in files(directory)
    go.set()
    thread.join(30)
    log.tend(0)
    assert tickets[1] >> 24 == 1
    assert entries(left_by(log)) == [b"slow", b"fast"]


def test_a_relay_reads_what_a_living_process_writes_and_unlinks_it(directory: Directory) -> None:
    log = Log(directory, "r", segment_bytes=2000)
    first = append(log, b"one")
    # Another process: it has no part in this one's registry of locks.
    relay = Source(directory, str(log.owner), None)
    assert relay.alive()
    one = relay.take(10)
    assert [kept.entry for kept in one] == [b"one"]
    assert relay.take(10) == []
    cancelled = append(log, b"two")
    append(log, b"three")
    log.settle([cancelled])
    three = relay.take(10)
    assert [kept.entry for kept in three] == [b"three"]
    relay.put_back(three)
    assert relay.waiting == 2
    relay.settle(relay.take(10) + one)
    assert relay.waiting == 0
    for number in range(30):
        append(log, b"%d" % number * 100)
        log.tend(0)
    assert first >> 24 == 1
    relay.settle(relay.take(1000))
    logs = [name for name in files(directory) if name.endswith(".log")]
    assert logs == [f"{log.owner}-{max(int(name[18:-4]) for name in logs)}.log"]
    log.tend(0)
    log.tend(0)
    log.tend(0)
    assert log.waiting == 0
    assert relay.take(10) == []
    log.tend(0)
    assert log.bytes == 0
    append(log, b"last")
    log.close()
    assert not relay.alive()
    assert entries(relay) == [b"last"]


def test_what_a_relay_wrote_anew_is_there_when_its_writer_ends(directory: Directory) -> None:
    log = Log(directory, "r", segment_bytes=10_000)
    for number in range(100):
        append(log, b"%03d" % number * 40)
    log.tend(0)
    append(log, b"in the next segment")
    relay = Source(directory, str(log.owner), None)
    relay.clock = lambda: 0
    taken = relay.take(1000)
    relay.settle(taken[3:100])
    relay.clock = lambda: 5
    relay.put_back(taken[:1])
    relay.settle([])
    assert Path(directory.join(f"{log.owner}-1.log")).stat().st_size < 1000
    log.close()
    assert not relay.alive()
    (first,) = relay.take(9)
    assert first.entry == b"000" * 40
    assert [kept.entry[:3] for kept in relay.read_again(taken[1:3])] == [b"001", b"002"]
    assert relay.waiting == 4
    assert relay.damaged == 0
    relay.settle([first, *taken[1:3], *taken[100:]])
    assert relay.finished
    assert files(directory) == []


def test_what_was_taken_of_a_file_that_was_replaced_is_settled_in_vain(
    directory: Directory,
) -> None:
    log = Log(directory, "r", segment_bytes=1000)
    append(log, b"one" * 400)
    log.tend(0)
    append(log, b"two")
    relay = Source(directory, str(log.owner), None)
    one, two = relay.take(9)
    path = Path(directory.join(f"{log.owner}-2.log"))
    path.unlink()
    path.symlink_to("/dev/null")
    assert relay.take(9) == []
    relay.put_back([two])
    assert relay.take(9) == []
    relay.settle([one, two])
    assert relay.waiting == 0
    log.close()


def test_an_exception_of_a_signal_handler_leaves_a_ticket_to_settle(directory: Directory) -> None:
    class Interrupt(BaseException):
        pass

    def write(descriptor: int, data: bytes) -> int:
        if b"stop" not in data:
            return os.write(descriptor, data)
        if b"after" in data:
            os.write(descriptor, data)
        raise Interrupt

    log = Log(directory, segment_bytes=10, write=write)
    append(log, b"one")
    for entry in (b"stop before", b"stop after"):
        holder = Holder()
        with pytest.raises(Interrupt):
            log.append(holder, WHERE, WHEN, entry, False)
        assert holder.kept is not None
        log.settle([holder.kept])
    assert log.waiting == 1
    log.tend(0)
    log.tend(0)
    assert entries(left_by(log)) == [b"one"]


def test_an_error_leaves_nothing(directory: Directory) -> None:
    def write(descriptor: int, data: bytes) -> int:
        if b"no" not in data:
            return os.write(descriptor, data)
        if b"short" in data:
            return os.write(descriptor, data[:-3])
        raise OSError(28, "No space left on device")

    log = Log(directory, write=write)
    append(log, b"one")
    for entry in (b"no, short", b"no"):
        holder = Holder()
        with pytest.raises(OSError, match=r"part of the record|No space"):
            log.append(holder, WHERE, WHEN, entry, False)
        assert holder.kept is None
    append(log, b"two")
    assert log.waiting == 2
    source = left_by(log)
    assert entries(source) == [b"one", b"two"]


def test_two_logs_on_one_directory(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    first, second = Log(prepare(path)), Log(prepare(path))
    append(first, b"one")
    append(second, b"two")
    directory = prepare(path)
    assert directory.owners() == []
    assert adopt(directory, str(first.owner)) is None
    assert entries(left_by(second)) == [b"two"]
    assert adopt(directory, str(first.owner)) is None
    assert entries(left_by(first)) == [b"one"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forks_while_threads_append(directory: Directory) -> None:
    """Each child forgets the log, settles what it has inherited, and ends its own log."""
    log = Log(directory, segment_bytes=3000)
    written: list[tuple[int, bytes]] = []

    def write(number: int) -> None:
        for index in range(400):
            entry = b"%d-%d" % (number, index)
            written.append((append(log, entry), entry))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    children = []
    while any(thread.is_alive() for thread in threads) or len(children) < 5:
        log.tend(0)
        if len(children) < 15:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    log.forget()
                    log.settle([ticket for ticket, _ in written])
                    log.tend(0)
                    own = append(log, b"of a child")
                    log.settle([own])
                    log.close()
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
    assert log.waiting == 1600
    assert sorted(entries(left_by(log))) == sorted(entry for _, entry in written)
    assert directory.owners() == []


@pytest.mark.heavy
def test_100_000_messages_that_wait_cost_little_at_the_start(directory: Directory) -> None:
    log = Log(directory)
    holder = Holder()
    for number in range(100_000):
        log.append(holder, WHERE, WHEN, b"%1000d" % number, False)
        if number % 1000 == 0:
            log.tend(0)
    owner = str(log.owner)
    log.close()
    read = 0
    original = os.pread

    def pread(descriptor: int, count: int, offset: int) -> bytes:
        nonlocal read
        read += count
        return original(descriptor, count, offset)

    begin, cpu = time.perf_counter(), time.process_time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", pread)
        source = adopt(directory, owner)
        assert source is not None
        first = source.take(500)
    used = time.process_time() - cpu
    print(f"{time.perf_counter() - begin:.3f} s, {used:.3f} s of CPU, {read:,} bytes read")
    assert [kept.entry for kept in first] == [b"%1000d" % number for number in range(500)]
    assert read < 22 << 20  # a segment and a window, of the 98 MiB
    assert used < 1  # 0.2 s of a machine that has nothing else to do
    rest = []
    while some := source.take(500):
        for kept in some:
            kept.entry = b""
        rest += some
    assert source.waiting == 100_000
    assert source.bytes > 100_000_000
    source.settle(rest)
    source.settle(first)
    assert source.finished
    assert files(directory) == []


def test_threads_append_and_settle_at_once(directory: Directory) -> None:
    log = Log(directory, segment_bytes=5_000)
    left: list[bytes] = []

    def work(number: int) -> None:
        for index in range(300):
            entry = b"%d-%d." % (number, index) * (1 + index % 20)
            ticket = append(log, entry, b"where-%d" % number)
            if index % 29:
                log.settle([ticket])
            else:
                left.append(entry)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        log.tend(0)
    log.tend(0)
    assert log.bytes == size(directory)
    assert log.waiting == len(left)
    assert log.unmarked == 0
    assert sorted(entries(left_by(log))) == sorted(left)


def test_who_asks_for_the_oldest_in_the_middle_of_a_read_disturbs_nothing(
    directory: Directory,
) -> None:
    """What is on disk is told to any thread, while another one reads."""
    log = Log(directory)
    for number in range(5):
        append(log, b"%d" % number, when=WHEN + number)
    source = left_by(log)
    source.settle(source.take(1))
    (part,) = source._parts.values()
    asked = []
    read = part.reading._log._read

    def ask_and_read(offset: int, length: int) -> bytes:
        asked.append(source.oldest)
        return read(offset, length)

    part.reading._log.scanner._read = ask_and_read
    assert [kept.entry for kept in source.take(2)] == [b"1", b"2"]
    assert asked
    assert {None, *asked} <= {None, *(WHEN + number for number in range(5))}
    assert source.oldest == WHEN + 3
    assert entries(source) == [b"3", b"4"]
    assert source.damaged == 0
