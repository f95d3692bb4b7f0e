"""Encryption: what a file shows, rotation, and keys that do not fit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from publisher._store import record
from publisher._store.crypt import OVERHEAD, Codec
from publisher._store.directory import Directory
from publisher._store.log import Log
from publisher._store.source import adopt

from .support import WHERE, append, entries, files, left_by

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


def test_no_body_and_no_address_is_in_the_files(directory: Directory) -> None:
    log = Log(directory, codec=Codec([NEW]))
    tickets = [append(log, b"secret body %d" % number) for number in range(5)]
    log.settle(tickets[:2])
    for name in files(directory):
        data = Path(directory.join(name)).read_bytes()
        assert b"secret" not in data
        assert WHERE not in data
        assert b"clicks" not in data
    log.stay(tickets[2:])
    assert [kept.entry for kept in log.take_stayed(1)] == [b"secret body 2"]
    assert log.oldest is not None
    source = left_by(log, Codec([NEW]))
    kepts = source.take(9)
    assert [kept.entry for kept in kepts] == [b"secret body %d" % number for number in (2, 3, 4)]
    assert {kept.where for kept in kepts} == {WHERE}


def test_a_message_is_28_bytes_longer(directory: Directory) -> None:
    sizes = []
    for codec in (None, Codec([NEW])):
        log = Log(directory, codec=codec)
        append(log, b"x")
        append(log, b"x")
        before = log.bytes
        append(log, b"x" * 100)
        sizes.append(log.bytes - before)
        log.close()
    assert sizes == [131, 131 + 28]
    assert OVERHEAD == 28


def test_the_first_key_encrypts_and_all_decrypt(directory: Directory) -> None:
    log = Log(directory, codec=Codec([OLD]))
    append(log, b"one")
    assert entries(left_by(log, Codec([NEW, OLD]))) == [b"one"]
    log = Log(directory, codec=Codec([NEW, OLD]))
    append(log, b"two")
    source = left_by(log, Codec([NEW]))
    assert entries(source) == [b"two"]


@pytest.mark.parametrize("codec", [None, Codec([OTHER])])
def test_what_no_key_opens_is_counted_and_stays_for_whoever_has_the_key(
    directory: Directory, codec: Codec | None
) -> None:
    log = Log(directory, codec=Codec([OLD]))
    append(log, b"one")
    append(log, b"two")
    source = left_by(log, codec)
    assert source.take(9) == []
    assert source.damaged >= 2
    assert source.waiting == 2
    assert not source.finished
    assert source.take(9) == []
    source.close()
    right = adopt(directory, source.owner, Codec([OLD]))
    assert right is not None
    kepts = right.take(9)
    assert [kept.entry for kept in kepts] == [b"one", b"two"]
    right.settle(kepts)
    assert files(directory) == []


def test_a_payload_is_bound_to_its_place(directory: Directory) -> None:
    sealer = Codec([OLD]).sealer("a-1")
    sealed = sealer.seal(b"body", record.associated(record.MESSAGE, 1))
    assert sealer.open(sealed, record.associated(record.MESSAGE, 1)) == b"body"
    assert sealer.open(sealed, record.associated(record.MESSAGE, 2)) is None
    assert sealer.open(sealed, record.associated(record.DESTINATION, 1)) is None
    assert Codec([OLD]).sealer("a-2").open(sealed, record.associated(record.MESSAGE, 1)) is None
    for length in range(len(sealed)):
        assert sealer.open(sealed[:length], record.associated(record.MESSAGE, 1)) is None


@pytest.mark.parametrize("keys", [[], [b""], [b"short"], [OLD, b"x" * 33]])
def test_keys_that_are_none_are_refused_and_not_shown(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes") as raised:
        Codec(keys)
    assert "short" not in str(raised.value)


def test_a_key_is_not_in_the_repr() -> None:
    assert repr(Codec([OLD])) == "<Codec with 1 keys>"


def test_cryptography_is_imported_only_for_a_key() -> None:
    script = """
import sys
import publisher._store.source, publisher._store.log
from publisher._store.crypt import Codec
assert not any(name.startswith("cryptography") for name in sys.modules)
sys.modules["cryptography.exceptions"] = None
try:
    Codec([bytes(32)])
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "pip install 'boto3-publisher[spool]'" in done.stdout


def test_flipped_bytes_of_an_encrypted_segment(directory: Directory) -> None:
    log = Log(directory, codec=Codec([OLD]))
    for number in range(4):
        append(log, b"message-%d" % number)
    owner = str(log.owner)
    path = Path(directory.join(f"{owner}-1.log"))
    data = path.read_bytes()
    log.close()
    for place in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        path.touch(0o600)
        path.write_bytes(damaged)
        source = adopt(directory, owner, Codec([OLD]))
        assert source is not None
        kepts = source.take(9)
        assert len(kepts) >= 3
        source.settle(kepts)
        assert source.finished
    assert os.listdir(directory.path) in ([], ["damaged"])  # noqa: PTH208
