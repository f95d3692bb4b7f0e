"""Processes are killed, one after the other, and what was accepted arrives all the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Answer, Endpoint, Failure, Request
from tests.spool.lives import IN_FLIGHT, Death, Life, Nursery, read
from tests.spool.support import DOWN
from tests.support import KILLS

pytestmark = pytest.mark.heavy

#: After so many somebody sends what all of them have left, undisturbed.
EACH = 25
#: At which time of a call a process kills itself, at most; about as often it is called.
CALLS = {"write": 400, "unlink": 8, "rename": 2, "fdatasync": 60}


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


def trouble(seed: int) -> object:
    """A server that is down now and then, and has one partition key that fails nearly always.

    So messages stay, and pin segments until those are rewritten.
    """
    chance = random.Random(seed)

    def script(request: Request) -> Answer | None:
        if chance.random() < 0.2:
            return DOWN
        stuck = [n for n, entry in enumerate(request.entries) if entry.partition_key == "7"]
        if stuck and request.service == "kinesis" and chance.random() < 0.9:
            return Answer(
                failures=dict.fromkeys(stuck, Failure("ProvisionedThroughputExceededException"))
            )
        return None

    return script


def lives(folder: Path, server: Endpoint, service: str, call: str) -> Iterator[Life]:
    """Writers, and processes that publish one message and take over what writers left."""
    chance = random.Random(f"{service} {call}")
    for name in range(KILLS):
        adopts = name % 3 == 2
        yield Life(
            str(folder),
            server.url,
            service,
            name,
            count=1 if adopts else 600,
            kill_after=chance.random() ** 2 * 0.8 if not call else 1.0,
            call=call,
            nth=1 + int(CALLS.get(call, 0) * chance.random() ** 2),
            before=chance.random() < 0.5,
            sync="disk" if call == "fdatasync" else "kernel",
        )


@pytest.mark.parametrize(
    ("service", "call"),
    [*(("kinesis", call) for call in ("", *CALLS)), ("sqs", ""), ("sqs", "write")],
)
def test_what_was_accepted_survives_kills(
    tmp_path: Path, server: Endpoint, nursery: Nursery, service: str, call: str
) -> None:
    folder = tmp_path / "spool"
    server.script(trouble(1))  # type: ignore[arg-type]
    accepted: set[tuple[int, int]] = set()
    kills = dropped = 0
    told: dict[tuple[int, str], str] = {}
    last: Death
    for life in lives(folder, server, service, call):
        last = nursery.lead(life)
        assert last.code <= 0, last
        kills += last.killed
        accepted.update((life.name, number) for number in last.accepted)
        dropped += last.dropped
        assert not last.unwritten, f"{last.unwritten} in memory alone: is this disk full?"
        told.update(((life.name, number), why) for number, why in last.lost.items())
        if life.name % EACH == EACH - 1 or life.name == KILLS - 1:  # or there is ever more
            server.script(None)
            last = nursery.lead(Life(str(folder), server.url, service, KILLS + life.name, count=1))
            assert last.code == 0
            server.script(trouble(life.name))  # type: ignore[arg-type]
    assert kills == KILLS

    arrived = [read(entry.data) for entry in server.stored(service)]
    times = Counter((name, number) for name, number, _ in arrived)
    lost = sorted(accepted - times.keys())
    assert not lost, f"{len(lost)} of {len(accepted)} lost: {lost[:20]}; told: {told}"
    twice = sum(times.values()) - len(times)
    assert twice <= 2 * IN_FLIGHT * kills
    assert [path.name for path in folder.iterdir() if path.name != "damaged"] == []
    if service == "sqs":
        first = dict.fromkeys(arrived)
        for name in range(KILLS):
            for group in range(5):
                numbers = [n for one, n, its in first if (one, its) == (name, group)]
                assert numbers == sorted(numbers), f"of {name}, group {group}"
    found = f"{len(accepted)} accepted, {dropped} dropped, {twice} twice"
    print(f"{service} {call or 'random'}: {kills} kills, {found}")
