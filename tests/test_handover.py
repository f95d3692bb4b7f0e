"""A request goes to one worker, whichever of them comes first."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from publisher._threads.handover import Handover, Seat

from .support import SOON

pytestmark = pytest.mark.every_python(
    "threads race here, and where the GIL changes hands is each Python's own"
)


class Worker(threading.Thread):
    """Takes what it is handed until there is no more."""

    def __init__(self, handover: Handover, taken: list[Any], start: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.handover, self.taken, self.barrier = handover, taken, start
        self.start()

    def run(self) -> None:
        self.barrier.wait(SOON)
        seat = Seat()
        while (request := self.handover.get(seat)) is not None:
            self.taken.append(request)


def test_every_request_is_taken_once_whoever_comes_first() -> None:
    handover = Handover()
    taken: list[Any] = []
    together = threading.Barrier(6)
    workers = [Worker(handover, taken, together) for _ in range(5)]
    requests: list[Any] = [object() for _ in range(2_000)]
    together.wait(SOON)
    assert all(handover.put(request) for request in requests)
    handover.close()
    for worker in workers:
        worker.join(SOON)
        assert not worker.is_alive()
    assert Counter(map(id, taken)) == Counter(map(id, requests))


def test_what_nobody_waits_for_yet_is_kept_for_the_next() -> None:
    handover = Handover()
    request: Any = object()
    assert handover.put(request)
    handover.close()
    seat = Seat()
    assert handover.get(seat) is request
    assert handover.get(seat) is None


def test_after_the_end_nothing_is_taken_in() -> None:
    handover = Handover()
    handover.close()
    request: Any = object()
    assert not handover.put(request)
