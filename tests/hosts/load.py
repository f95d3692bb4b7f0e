"""Requests to a web server in another process, and what of them was answered."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from tests.hosts.process import SOON, Process, bodies, missing_and_extra
from tests.servers import Endpoint

THREADS = 4


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket that a server inherits: it listens before the server runs, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield listener


def get(port: int, path: str, timeout: float = SOON) -> int:
    """The status of the answer; 0 where the connection broke."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return 0
    else:
        return response.status
    finally:
        connection.close()


class Load:
    """Sends `count` requests from a few threads; calls `between` between the parts of it."""

    def __init__(self, port: int, count: int, between: Callable[[], None], parts: int) -> None:
        self.answered: Counter[str] = Counter()
        self.broken: set[str] = set()
        self._port = port
        self._numbers = iter(range(count))
        self._lock = threading.Lock()
        self._marks = {count * part // parts for part in range(1, parts)}
        self._between = between
        threads = [threading.Thread(target=self._run) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                number = next(self._numbers, None)
                if number in self._marks:
                    self._between()
            if number is None:
                return
            status = get(self._port, f"/r-{number}")
            with self._lock:
                if status == 200:
                    self.answered[f"r-{number}"] += 1
                else:
                    self.broken.add(f"r-{number}")


def assert_nothing_lost_or_doubled(endpoint: Endpoint, load: Load, log: str = "") -> None:
    """One message for each answered request, at most one for one whose connection broke."""
    found = bodies(endpoint)
    requests = Counter({body: n for body, n in found.items() if body not in load.broken})
    assert requests == load.answered, (missing_and_extra(requests, load.answered), log)
    assert all(found[body] <= 1 for body in load.broken)


def until(predicate: Callable[[], bool], process: Process, timeout: float = SOON) -> None:
    """Asks a server again and again until it is as wanted."""
    deadline = time.monotonic() + timeout
    for _ in itertools.takewhile(lambda _: not predicate(), itertools.count()):
        assert time.monotonic() < deadline, process.log
