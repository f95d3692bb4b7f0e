"""What somebody else has put into the directory: it goes nowhere, and keeps nothing up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import publisher
from publisher._cli import main
from publisher._store import record
from publisher._store.directory import prepare
from publisher._store.log import Log
from publisher.services._stored import dump
from tests.servers import Endpoint
from tests.spool.support import DOWN, Holder, plain_client, take_back
from tests.support import SOON, STREAM, publishing, until


def put(client: Any, data: bytes) -> Any:
    return client.put_record(StreamName=STREAM, Data=data, PartitionKey="k")


def where_of(folder: Path, server: Endpoint) -> bytes:
    """What is written of the stream; the directory is empty after that."""
    server.script(DOWN)
    with publishing(spool=publisher.Spool(folder)) as made:
        put(plain_client(made, server), b"left")
        made.close(0)
    kept = take_back(folder)
    server.script(None)
    return kept.where


def leave(folder: Path, where: bytes, entries: list[bytes], when: float | None = None) -> None:
    """A process that has died leaves these."""
    log = Log(prepare(folder))
    for entry in entries:
        log.append(Holder(), where, time.time() if when is None else when, entry, False)
    log.close()


def entry(data: bytes) -> bytes:
    return dump({"Data": data, "PartitionKey": "k"})


def nested(levels: int) -> bytes:
    inner = b""
    for _ in range(levels):
        inner = bytes([5, 255]) + len(inner).to_bytes(4, "big") + inner
    return b"\x01\x00" + inner


# Links


@pytest.mark.parametrize("kind", [".lock", "-1.log", "-1.done", "-1.tmp", "damaged", "relay.lock"])
def test_no_link_is_followed(folder: Path, server: Endpoint, tmp_path: Path, kind: str) -> None:
    """Of a dead owner with a message, and of one that has nothing else."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    precious.chmod(0o600)
    leave(folder, where_of(folder, server), [entry(b"left"), entry(b"torn")])
    (log,) = folder.glob("*.log")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 1)  # so that something is put aside
    server.clear()
    if kind[0] in ".-":
        owner = log.name.partition("-")[0]
        names = ["h" + "ab" * 8 + kind]
        if kind in ("-1.done", "-1.tmp"):
            names.append(owner + kind)
    else:
        names = [kind]
    target = tmp_path if kind == "damaged" else precious
    before = sorted(tmp_path.iterdir())
    for name in names:
        (folder / name).symlink_to(target)
    with publishing(spool=publisher.Spool(folder)) as made:
        put(plain_client(made, server), b"new")
        server.wait_for(lambda: server.count("kinesis") == 2, SOON)
        until(lambda: not log.exists())
    assert {one.data for one in server.stored("kinesis")} == {b"left", b"new"}
    assert precious.read_bytes() == b"precious"
    assert sorted(tmp_path.iterdir()) == before


def test_a_relay_does_not_start_where_its_lock_is_a_link(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(folder)
    (folder / "relay.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SystemExit) as end:
        raise SystemExit(main(["relay", str(folder), "--once"]))
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "symbolic link" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "elsewhere").exists()


# Records

CRAFTED: dict[str, Callable[[], bytes]] = {
    "of nothing": lambda: b"",
    "nested": lambda: nested(5_000),
    "as long as a record can be": lambda: entry(bytes(record.MAX_PAYLOAD - 100)),
    "longer than the service takes": lambda: entry(bytes(11 << 20)),
    "that says it is longer": lambda: b"\x01\x00\x00\xff\xff\xff\xff\xff",
    "a number without end": lambda: (
        b"\x01\x00\x02\xff" + (100_000).to_bytes(4, "big") + b"9" * 100_000
    ),
    "with other parameters": lambda: dump({"Data": b"x", "PartitionKey": "k", "StreamName": "s"}),
    "of other types": lambda: dump({"Data": 1, "PartitionKey": ["k"]}),
    "of a later version": lambda: b"\x7f" + entry(b"x")[1:],
}


@pytest.mark.parametrize("kind", CRAFTED)
def test_a_crafted_record_keeps_nothing_up(folder: Path, server: Endpoint, kind: str) -> None:
    where = where_of(folder, server)
    leave(folder, where, [entry(b"before"), CRAFTED[kind](), entry(b"after")])
    server.clear()
    with publishing(spool=publisher.Spool(folder)) as made:
        assert put(plain_client(made, server), b"new").result(SOON)
        server.wait_for(lambda: server.count("kinesis") == 3, SOON)
        until(lambda: made.stats().spool.skipped == 1)  # type: ignore[union-attr]
        assert made.stats().total.failed == 0
    assert sorted(one.data for one in server.stored("kinesis")) == [b"after", b"before", b"new"]


def test_what_is_larger_than_the_memory_keeps_nothing_up(folder: Path, server: Endpoint) -> None:
    """Its writer had other bounds. It stays for one that has them too."""
    where = where_of(folder, server)
    leave(folder, where, [entry(b"before"), entry(bytes(200_000)), entry(b"after")])
    server.clear()
    with publishing(spool=publisher.Spool(folder), max_bytes=100_000) as made:
        assert put(plain_client(made, server), b"new").result(SOON)
        server.wait_for(lambda: server.count("kinesis") == 3, SOON)
        until(lambda: made.stats().spool.skipped == 1)  # type: ignore[union-attr]
    assert sorted(one.data for one in server.stored("kinesis")) == [b"after", b"before", b"new"]
    server.clear()
    with publishing(spool=publisher.Spool(folder)) as made:
        assert put(plain_client(made, server), b"new").result(SOON)
        server.wait_for(lambda: server.count("kinesis") == 2, SOON)
    assert list(folder.iterdir()) == []


# Clocks


class Told:
    """A hook that notes what fails."""

    def __init__(self) -> None:
        self.failed: list[publisher.Event] = []

    def on_failed(self, event: publisher.Event) -> None:
        self.failed.append(event)


def test_a_clock_that_was_ahead_leaves_no_message_and_no_negative_age(
    folder: Path, server: Endpoint
) -> None:
    where = where_of(folder, server)
    leave(folder, where, [entry(b"ahead")], when=time.time() + 1e9)
    server.script(DOWN)
    server.clear()
    with publishing(spool=publisher.Spool(folder), delivery_timeout=0.2) as made:
        put(plain_client(made, server), b"new").exception(SOON)
        until(lambda: made.stats().spool.waiting == 2)  # type: ignore[union-attr]
        found = made.stats().spool
        assert found is not None
        assert 0 <= found.oldest_age < SOON
        server.script(None)
        server.wait_for(lambda: server.count("kinesis") == 2, SOON)
    assert list(folder.iterdir()) == []


def test_a_clock_that_was_behind_is_told_of(folder: Path, server: Endpoint) -> None:
    """By its record the message is older than max_age: it ends as any that is lost."""
    where = where_of(folder, server)
    leave(folder, where, [entry(b"behind")], when=1.0)
    server.clear()
    told = Told()
    with publishing(spool=publisher.Spool(folder), hooks=[told]) as made:
        assert put(plain_client(made, server), b"new").result(SOON)
        until(lambda: told.failed)
        assert made.stats().total.failed == 1
    assert isinstance(told.failed[0].exception, publisher.DeliveryTimeout)
    assert server.count("kinesis") == 1
    assert list(folder.iterdir()) == []
