"""One task of a job: its rows through a publisher of its own, and the account of every one."""

from __future__ import annotations

import base64
import json
import logging
import os
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from .. import _clock
from .._account.causes import is_throttled
from .._account.ledger import Ledger
from .._engine.future import PublishFuture
from .._publisher import Publisher
from ._job import Job
from ._pace import Pace
from ._rows import Rows

if TYPE_CHECKING:
    from pyarrow import RecordBatch

ROWS = 5_000  # handed over together at most: ten full requests of the largest kind
REASONS = 10  # different ones that are kept of each task
_LOOK_EVERY = 0.5  # seconds

logger = logging.getLogger("publisher")


class RowsLost(RuntimeError):
    """Rows of a job were lost, and no dead letters were asked for; the text is the account."""


@dataclass(frozen=True)
class Written:
    """What became of the rows of a task, or of all: ``rows`` is ``bad`` and ``ledger.accepted``.

    Attributes:
        rows: that were read.
        bad: those of which no message could be made; nothing of them was sent.
        ledger: of the messages of the others.
        reasons: why rows were lost, each with how many.
        letters: the files of dead letters, ``host:path``.
        stopped: no more was read: not one row of the last ones got through.
    """

    rows: int = 0
    bad: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    reasons: Mapping[str, int] = field(default_factory=dict)
    letters: tuple[str, ...] = ()
    stopped: bool = False

    @property
    def lost(self) -> int:
        """Rows that are not known to be stored."""
        return self.bad + self.ledger.accepted - self.ledger.delivered

    def __add__(self, other: Written) -> Written:
        return Written(
            self.rows + other.rows,
            self.bad + other.bad,
            self.ledger + other.ledger,
            dict(Counter(self.reasons) + Counter(other.reasons)),
            self.letters + other.letters,
            self.stopped or other.stopped,
        )

    def __str__(self) -> str:
        text = f"{self.rows:,} rows: {self.ledger}"
        if self.lost:
            most = Counter(self.reasons).most_common(REASONS)
            reasons = "; ".join(f"{count:,} times {reason}" for reason, count in most)
            text += f"; {self.lost:,} rows lost, {self.bad:,} of them never sent: {reasons}"
        return text


def settle(job: Job, written: Iterable[Written | None]) -> Written:
    """On the driver, at the end: the account of all tasks, logged.

    Raises:
        RowsLost: something was lost, and there are no dead letters of it.
    """
    total = _sum(written)
    text = f"{job.name}, {total}"
    if not total.lost:
        logger.info("%s", text)
    elif job.dead_letters is None:
        if total.stopped:
            text += "; tasks of which nothing got through did not read on"
        raise RowsLost(f"{text} (option dead_letters=FOLDER keeps such rows instead)")
    else:
        logger.warning("%s; they are in %s", text, ", ".join(total.letters))
    return total


def give_up(job: Job, written: Iterable[Written | None], what: str) -> None:
    """On the driver, where ``what`` failed: log what was written all the same."""
    logger.error(
        "%s: %s was aborted. Of the tasks that had ended: %s. Written again, it is stored twice",
        job.name,
        what,
        _sum(written),
    )


def _sum(written: Iterable[Written | None]) -> Written:
    return sum((each for each in written if each is not None), Written())


class _Sent(NamedTuple):
    future: PublishFuture
    batch: RecordBatch
    places: Any


class Task:
    """Writes the rows of one partition or block; ``share``: rows a second, None is no bound."""

    def __init__(self, job: Job, share: float | None, name: str) -> None:
        self._job = job
        self._letters = Letters(job, name)
        self._publisher = Publisher(**job.publisher)
        service: Any = job.service
        self._client: Any = self._publisher.client(service, **job.client)
        self._rows = Rows(job, self._client._bind().check_size)
        self._pace = Pace(share, _clock.now())
        self._sent: deque[_Sent] = deque()
        self._on_their_way = 0
        self._reasons: Counter[str] = Counter()
        self._looked = (_clock.now(), 0, 0)
        self._read = self._bad = 0
        self._stopped = False

    def write(self, batches: Iterable[RecordBatch]) -> Written:
        """Write all rows, and wait for their outcomes.

        Raises:
            OSError: dead letters could not be written.
        """
        try:
            for batch in batches:
                self._write(batch)
                if self._stopped:
                    break
            while self._sent:
                self._take_outcome()
            ledger = self._publisher.close()
        finally:
            # After an error the engine has these rows written again: fewer twice if they stop now.
            self._publisher.close(0)
            self._letters.close()
        return Written(
            self._read, self._bad, ledger, self._reasons, self._letters.places, self._stopped
        )

    def _write(self, batch: RecordBatch) -> None:
        start = 0
        while start < batch.num_rows and not self._stopped:
            some = batch.slice(start, self._pace.most(min(ROWS, self._pace.window)))
            start += some.num_rows
            while self._sent and (
                self._sent[0].future.done()
                or self._on_their_way + some.num_rows > self._pace.window
            ):
                self._take_outcome()
            if (seconds := self._pace.wait(some.num_rows, _clock.now())) > 0:
                threading.Event().wait(seconds)
            self._hand_over(some)
            self._look()

    def _hand_over(self, some: RecordBatch) -> None:
        accepted = self._rows.accept(some)
        self._read += some.num_rows
        self._bad += len(accepted.bad)
        self._lose(some, accepted.bad)
        if accepted.entries:
            future = self._client._publish_accepted(
                self._rows.address, accepted.entries, accepted.sizes
            )
            self._sent.append(_Sent(future, some, accepted.places))
            self._on_their_way += len(accepted.entries)

    def _take_outcome(self) -> None:
        sent = self._sent.popleft()
        lost: Mapping[int, str] = sent.future.result()
        self._on_their_way -= len(sent.places)
        self._lose(sent.batch, {sent.places[place]: why for place, why in lost.items()})
        self._stopped |= self._job.dead_letters is None and len(lost) == len(sent.places)
        self._look()

    def _lose(self, batch: RecordBatch, lost: Mapping[int, str]) -> None:
        if lost:
            for why in lost.values():
                known = why in self._reasons or len(self._reasons) < REASONS
                self._reasons[why if known else "other reasons"] += 1
            self._letters.write(batch.take(list(lost)).to_pylist(), list(lost.values()))

    def _look(self) -> None:
        """Learn from the account how fast the service takes what it is sent."""
        since, delivered, throttled = self._looked
        now = _clock.now()
        if now - since < _LOOK_EVERY:
            return
        total = self._publisher.stats().total
        met = sum(count for code, count in total.errors_by_code.items() if is_throttled(code))
        self._pace.learn(total.delivered - delivered, met - throttled, now - since)
        self._looked = now, total.delivered, met


class Letters:
    """The rows that a task lost, an NDJSON file of them, made at the first.

    Each line has ``error``, why, and ``row``, the row's columns; what is binary in it is base64, as
    engines read it back. The file holds bodies: only its owner may read it (0600).

    Args:
        job: whose folder for dead letters it is; without one nothing is written.
        name: of the task, in the file's name.
    """

    def __init__(self, job: Job, name: str) -> None:
        self._job = job
        self._name = name
        self._file: IO[bytes] | None = None
        self.places: tuple[str, ...] = ()

    def write(self, rows: Iterable[Mapping[str, Any]], reasons: Iterable[str]) -> None:
        """Add letters.

        Raises:
            OSError: they cannot be written.
        """
        if self._job.dead_letters is None:
            return
        if self._file is None:
            folder = Path(self._job.dead_letters)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / f"{self._job.service}-{self._job.run}-{self._name}.ndjson"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.fdopen(os.open(path, flags, 0o600), "wb")
            self.places = (f"{socket.gethostname()}:{path}",)
        for row, why in zip(rows, reasons, strict=True):
            line = json.dumps({"error": why, "row": row}, default=_told)
            self._file.write(line.encode() + b"\n")

    def close(self) -> None:
        """Have everything in the file; again it does nothing."""
        if self._file is not None:
            self._file.close()


def _told(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
