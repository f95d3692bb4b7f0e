"""The format: every cut and every flipped byte costs what it hits, hostile bytes cost little."""

from __future__ import annotations

import os
import random
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher._store import record
from publisher._store.directory import Directory
from publisher._store.log import Log
from publisher._store.source import Source, adopt

from .support import append, files, left_by

OWNER = "h" + "0123456789abcdef"
SEED = record.seed(f"{OWNER}-1")


class SmallWindows(record.Scanner):
    CHUNK = 64


def scan(
    data: bytes, *, final: bool = True, kind: type[record.Scanner] = record.Scanner
) -> tuple[list[tuple[int, int, bytes]], list[tuple[int, int]]]:
    """The records in ``data``, and where other bytes begin and end."""
    scanner = kind(lambda offset, length: data[offset : offset + length], 1, SEED)
    scanner.size = len(data)
    damaged: list[tuple[int, int]] = []
    places = scanner.records(0, lambda *place: damaged.append(place), final=final)
    return [scanner.get(offset, total) for _, _, offset, total in places], damaged


records = st.lists(
    st.tuples(
        st.sampled_from(sorted(record.KINDS)),
        st.integers(1 << 24, (1 << 25) - 1),
        st.binary(max_size=300),
    ),
    max_size=20,
)


@given(records)
def test_what_is_packed_is_found(written: list[tuple[int, int, bytes]]) -> None:
    data = b"".join(record.pack(*one, SEED) for one in written)
    assert scan(data) == (written, [])
    assert scan(data, kind=SmallWindows) == (written, [])


@given(records, st.binary(max_size=200), st.integers(0, 20))
def test_other_bytes_between_records_are_skipped(
    written: list[tuple[int, int, bytes]], noise: bytes, place: int
) -> None:
    packed = [record.pack(*one, SEED) for one in written]
    packed.insert(min(place, len(packed)), noise)
    found, damaged = scan(b"".join(packed))
    assert found == written
    assert bool(damaged) == bool(noise)
    assert scan(b"".join(packed), kind=SmallWindows) == (found, damaged)


@pytest.mark.parametrize("total", [32, 64, 128])
def test_no_flipped_bit_costs_a_neighbour(total: int) -> None:
    """Records as long as a bit of a length says: a wrong length leads to where another begins."""
    payload = b"x" * (total - record.HEADER.size)
    written = [(record.MESSAGE, (1 << 24) + number, payload) for number in range(5)]
    data = b"".join(record.pack(*one, SEED) for one in written)
    for bit in range(total, 2 * total * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        found, _ = scan(bytes(flipped))
        assert len(found) >= len(written) - 1


@given(st.binary(max_size=2000))
def test_arbitrary_bytes_are_no_records(data: bytes) -> None:
    found, damaged = scan(data)
    assert found == []
    assert damaged == ([(0, len(data))] if data else [])


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=50))
def test_marks(sequences: list[int]) -> None:
    found, damaged = scan(record.pack_marks(1, sequences, SEED))
    assert damaged == []
    assert [s for _, _, payload in found for s in record.unpack_marks(payload)] == sequences


def test_very_many_marks_are_several_records() -> None:
    found, _ = scan(record.pack_marks(1, range(20_000), SEED))
    assert len(found) == 3
    assert [s for _, _, payload in found for s in record.unpack_marks(payload)] == [*range(20_000)]


def test_a_record_of_another_segment_is_none() -> None:
    other = record.pack(record.MESSAGE, 1 << 24, b"x" * 20, record.seed(f"{OWNER}-2"))
    assert scan(other) == ([], [(0, len(other))])


def test_the_end_of_a_file_that_grows_is_left_alone() -> None:
    one = record.pack(record.MESSAGE, 1 << 24, b"x" * 20, SEED)
    assert scan(one + one[:-1], final=False) == ([(2, 1 << 24, b"x" * 20)], [])
    assert scan(one[:-1] + one, final=False)[1] == [(0, len(one) - 1)]


def test_a_record_in_the_body_of_a_damaged_message_is_not_believed() -> None:
    """Even if whoever wrote the body has guessed the segment's name."""
    inner = record.pack(record.MESSAGE, (1 << 24) + 7, b"planted", SEED)
    outer = bytearray(record.pack(record.MESSAGE, 1 << 24, b"a" * 50 + inner + b"b" * 50, SEED))
    outer[25] ^= 1
    after = record.pack(record.MESSAGE, (1 << 24) + 1, b"real", SEED)
    found, damaged = scan(bytes(outer) + after)
    assert [payload for _, _, payload in found] == [b"real"]
    assert damaged == [(0, len(outer))]


# A whole segment.


def segment(directory: Directory, count: int = 8) -> tuple[bytes, list[bytes]]:
    """The bytes of a segment whose messages go to two destinations, and their entries."""
    log = Log(directory)
    bodies = [b"message-%02d" % number for number in range(count)]
    for number, entry in enumerate(bodies):
        append(log, entry, b"where-%d" % (number % 2))
    name = f"{log.owner}-1.log"
    data = Path(directory.join(name)).read_bytes()
    # The same under a name that the tests know.
    found = left_by(log)
    renamed = []
    scanner = record.Scanner(
        lambda offset, length: data[offset : offset + length], 1, record.seed(name[:-4])
    )
    scanner.size = len(data)
    for _, _, offset, total in scanner.records(0, pytest.fail, final=True):
        renamed.append(record.pack(*scanner.get(offset, total), SEED))
    found.settle(found.take(1000))
    assert files(directory) == []
    return b"".join(renamed), bodies


def plant(directory: Directory, log: bytes, done: bytes = b"") -> Source:
    for name, data in ((f"{OWNER}-1.log", log), (f"{OWNER}-1.done", done)):
        path = Path(directory.join(name))
        path.touch(0o600)
        path.write_bytes(data)
    source = adopt(directory, OWNER)
    assert source is not None
    return source


def read(source: Source) -> list[bytes]:
    kepts = source.take(1_000_000)
    source.settle(kepts)
    assert source.finished
    assert source.take(10) == []
    return [kept.entry for kept in kepts]


def test_every_cut_gives_exactly_the_whole_records(directory: Directory) -> None:
    data, bodies = segment(directory)
    for cut in range(len(data) + 1):
        whole = [body for body in bodies if data.find(body) + len(body) <= cut]
        assert read(plant(directory, data[:cut])) == whole


def test_every_flipped_byte_costs_one_message_at_most(directory: Directory) -> None:
    data, bodies = segment(directory)
    lost = []
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= (0x01, 0x80, 0xFF)[place % 3]
        source = plant(directory, bytes(damaged))
        kepts = source.take(1000)
        assert {kept.where for kept in kepts} == {b"where-0", b"where-1"}
        assert all(kept.where == b"where-%d" % (int(kept.entry[-2:]) % 2) for kept in kepts)
        found = [kept.entry for kept in kepts]
        assert found == [body for body in bodies if body in found]
        lost.append(len(bodies) - len(found))
        source.settle(kepts)
        assert source.finished
        assert source.damaged >= 1
    assert set(lost) == {0, 1}


def test_every_flipped_byte_among_the_marks_loses_no_message(directory: Directory) -> None:
    data, bodies = segment(directory)
    first = (1 << 24) + 0
    done = record.pack_marks(1, [first, first + 1], SEED) + record.pack_marks(1, [first + 5], SEED)
    unsettled = {body for number, body in enumerate(bodies) if number not in {0, 1, 5}}
    assert set(read(plant(directory, data, done))) == unsettled
    for place in range(len(done)):
        damaged = bytearray(done)
        damaged[place] ^= 0x55
        assert unsettled < set(read(plant(directory, data, bytes(damaged))))
    for cut in range(len(done)):
        assert unsettled <= set(read(plant(directory, data, done[:cut])))


def test_what_is_damaged_is_put_aside(directory: Directory) -> None:
    data, bodies = segment(directory)
    place = data.find(bodies[3])
    source = plant(directory, data[:place] + b"XX" + data[place + 2 :])
    read(source)
    (name,) = files(directory)
    assert name.startswith(f"damaged/{OWNER}-1-")
    path = Path(directory.join(name))
    assert bodies[3][2:] in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_only_so_much_is_put_aside(directory: Directory) -> None:
    for number in range(103):
        read(plant(directory, bytes(3_000_000) if number == 0 else b"%d" % number))
    kept = [Path(directory.join(name)) for name in files(directory)]
    assert len(kept) <= 100
    assert max(path.stat().st_size for path in kept) == 1 << 20


def message(number: int, when: float, entry: bytes, sequence: int = 1 << 24) -> bytes:
    payload = record.MESSAGE_HEAD.pack(number, when) + entry
    return record.pack(record.MESSAGE, sequence, payload, SEED)


def destination(number: int, where: bytes) -> bytes:
    payload = record.DESTINATION_HEAD.pack(number) + where
    return record.pack(record.DESTINATION, 1 << 24, payload, SEED)


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    "before",
    [
        message(77, 1.0, b"to a destination that is not declared", (1 << 24) + 9),
        destination(0, b"again, and too late"),
        record.pack(record.DESTINATION, 1 << 24, b"", SEED),
        record.pack(record.MESSAGE, (1 << 24) + 9, b"", SEED),
        record.pack(record.SETTLED, 1 << 24, b"123", SEED),
        record.pack(record.END, 1 << 24, b"", SEED),
        record.pack(9, 1 << 24, b"of a kind that is none", SEED),
        record.pack(record.MESSAGE | record.SEALED, (1 << 24) + 9, b"", SEED)[:-1],
        message(0, NAN, b"", (1 << 24) + 9),
        message(0, INFINITE, b"", (1 << 24) + 9),
        record.HEADER.pack(record.MAGIC, 0, record.MESSAGE, 0xFFFFFFFF, 1 << 24),
        b'{"a": ' * 10_000,
        b"[" * 100_000,
        b"\x7fELF" + bytes(range(256)) * 40,
        b"SQLite format 3\0" + bytes(5000),
        record.MAGIC * 5000,
        bytes(10_000),
    ],
    ids=range(17),
)
def test_hostile_bytes_cost_nothing_else(directory: Directory, before: bytes) -> None:
    good = destination(0, b"where") + message(0, 2.0, b"one") + destination(0, b"where")
    data = good + before + message(0, 2.0, b"two", (1 << 24) + 1)
    assert read(plant(directory, data)) == [b"one", b"two"]


def test_deep_and_wide_text_is_handed_on_as_it_is(directory: Directory) -> None:
    where = b"[" * 1_000_000
    source = plant(directory, destination(0, where) + message(0, 2.0, b'{"a":' * 100_000))
    (kept,) = source.take(10)
    assert kept.where == where


def test_many_huge_lengths_cost_little_time(directory: Directory) -> None:
    head = record.HEADER.pack(record.MAGIC, 0, record.MESSAGE, record.MAX_PAYLOAD, 1 << 24)
    claims = record.HEADER.pack(record.MAGIC, 0, record.MESSAGE, 1_000_000, 1 << 24)
    # Each of these says that a megabyte follows: to check them all would be 50 GB.
    data = head + claims * 50_000 + destination(0, b"w") + message(0, 2.0, b"one")
    source = plant(directory, data)
    begin = time.process_time()
    assert [kept.entry for kept in source.take(9)] == [b"one"]
    assert time.process_time() - begin < 5
    assert source.damaged == 1


def test_a_sparse_file_is_read_in_little_memory(directory: Directory) -> None:
    source = plant(directory, destination(0, b"w") + message(0, 2.0, b"one"))
    os.truncate(directory.join(f"{OWNER}-1.log"), 60 << 20)
    tracemalloc.start()
    assert [kept.entry for kept in source.take(9)] == [b"one"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_random_damage_never_raises(directory: Directory) -> None:
    data, bodies = segment(directory, 40)
    dice = random.Random(7)
    for _ in range(100):
        damaged = bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            begin = dice.randrange(len(damaged))
            length = min(dice.randrange(1, 60), len(damaged) - begin)
            way = dice.randrange(3)
            if way == 0:
                damaged[begin : begin + length] = dice.randbytes(length)
            elif way == 1:
                del damaged[begin : begin + length]
            else:
                damaged[begin:begin] = dice.randbytes(length)
            if not damaged:
                break
        found = read(plant(directory, bytes(damaged)))
        assert set(found) <= set(bodies)


def test_a_record_is_48_bytes_longer_than_its_message_at_most(directory: Directory) -> None:
    log = Log(directory)
    count, body = 10_000, b"x" * 1000
    tickets = [append(log, body) for _ in range(count)]
    for at in range(0, count, 500):
        log.settle(tickets[at : at + 500])
    each = log.bytes / count - len(body)
    print(f"{each:.2f} bytes beside each message")
    assert each <= 48
    assert struct.calcsize("<2sIBIQId") == 31
    log.close()
