"""kill -9, at named points and at random ones: nothing that was accepted is lost.

Each process writes down what it has accepted before it goes on, and what it is about to settle. Of
what is accepted everything is settled in the end, and nothing is left of the files.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from publisher._store.directory import Directory
from publisher._store.source import adopt
from tests.support import KILLS

from .support import files

pytestmark = pytest.mark.heavy

SCRIPT = str(Path(__file__).with_name("killed.py"))


class Account:
    """What all processes have said."""

    def __init__(self) -> None:
        self.accepted: set[str] = set()
        self.settled: dict[str, int] = {}
        self.over = False

    def hear(self, text: str) -> None:
        # A line that was cut by the kill says nothing: the process had not gone on.
        for line in text.split("\n")[:-1]:
            word, *entries = line.split()
            if word == "accepted":
                self.accepted.update(entries)
            elif word == "settled":
                for entry in entries:
                    self.settled[entry] = self.settled.get(entry, 0) + 1
            self.over = word == "over"

    def lost(self) -> set[str]:
        return self.accepted - set(self.settled)


def start(
    directory: Directory, what: str, name: str, count: int, mode: str, point: str = ""
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, what, directory.path, name, str(count), mode, point],
        stdout=subprocess.PIPE,
        text=True,
    )


def drain(directory: Directory, account: Account, mode: str = "h") -> None:
    """Take over whatever is left, in this process."""
    for owner in directory.dead_owners(mode):
        source = adopt(directory, owner)
        assert source is not None
        while kepts := source.take(50):
            account.hear("settled " + " ".join(kept.entry.decode() for kept in kepts) + "\n")
            source.settle(kepts)
        assert source.finished
        assert source.waiting == 0
    left = [name for name in files(directory) if not name.startswith("damaged/")]
    assert left == []


#: Which of the calls that change files is the last one. A whole run makes 182 writes, 23
#: unlinkings and 3 renamings.
POINTS = [
    *(f"write:{at}:{when}" for at in (1, 2, 8, 9, 60, 181) for when in ("before", "half", "after")),
    *(f"unlink:{at}:{when}" for at in (1, 2, 3, 4, 5, 22, 23) for when in ("before", "after")),
    *(f"rename:{at}:{when}" for at in (1, 2, 3) for when in ("before", "after")),
]


@pytest.mark.parametrize("point", POINTS)
def test_a_writer_killed_at_a_named_point(directory: Directory, point: str) -> None:
    account = Account()
    with start(directory, "write", "w", 150, "h", point) as process:
        account.hear(process.communicate(timeout=60)[0])
    assert process.returncode == -signal.SIGKILL
    drain(directory, account)
    assert account.lost() == set()


READER_POINTS = [
    *(f"rename:{at}:{when}" for at in (1, 2) for when in ("before", "after")),
    *(f"write:{at}:{when}" for at in (1, 2, 5) for when in ("before", "half", "after")),
    *(f"unlink:{at}:{when}" for at in (1, 2, 3, 4, 9) for when in ("before", "after")),
]


@pytest.mark.parametrize("point", READER_POINTS)
def test_an_adopter_killed_at_a_named_point(directory: Directory, point: str) -> None:
    account = Account()
    with start(directory, "write", "w", 150, "r") as process:
        account.hear(process.communicate(timeout=60)[0])
    with start(directory, "read", "a", 0, "r", point) as process:
        account.hear(process.communicate(timeout=60)[0])
    assert process.returncode == -signal.SIGKILL
    drain(directory, account, "r")
    assert account.lost() == set()
    twice = [entry for entry, times in account.settled.items() if times > 1]
    assert len(twice) <= 11  # what was taken together


@pytest.mark.parametrize("what", ["write", "threads"])
def test_writers_killed_at_random(directory: Directory, what: str) -> None:
    dice = random.Random(what)
    account = Account()
    for number in range(KILLS):
        with start(directory, what, f"w{number}", 100_000, "h") as process:
            assert process.stdout is not None
            some = "".join(process.stdout.readline() for _ in range(dice.randrange(1, 1500)))
            process.kill()
            account.hear(some + process.stdout.read())
        if number % 5 == 4:
            drain(directory, account)
            assert account.lost() == set()
    drain(directory, account)
    print(f"{KILLS} kills, {len(account.accepted)} accepted, {len(account.lost())} lost")
    assert len(account.accepted) > KILLS
    assert account.lost() == set()


def test_adopters_killed_at_random(directory: Directory) -> None:
    dice = random.Random(3)
    account = Account()
    for number in range(KILLS):
        with start(directory, "write", f"w{number}", 600, "r") as process:
            account.hear(process.communicate(timeout=60)[0])
        with start(directory, "read", "a", 0, "r") as process:
            assert process.stdout is not None
            some = "".join(process.stdout.readline() for _ in range(dice.randrange(1, 50)))
            process.kill()
            account.hear(some + process.stdout.read())
    drain(directory, account, "r")
    twice = sum(times - 1 for times in account.settled.values())
    print(f"{KILLS} kills, {len(account.accepted)} accepted, {twice} twice")
    assert account.lost() == set()
    assert twice <= 11 * KILLS
