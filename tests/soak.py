"""A soak: faults come and go; memory, threads and sockets stay flat, and nothing is lost.

After it, for a tenth of the time, exceptions rain on callers; see :mod:`tests.storm`.

python -m tests.soak --seconds 600 --messages 1000000

In a process of its own: what it counts is then nobody else's.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import publisher
from tests.servers import HTML, Answer, Endpoint, Entry, Error, Request
from tests.storm import storm

ROOT = Path(__file__).parent.parent
TOPIC = "arn:aws:sns:us-east-1:000000000000:soak"
STREAM = "soak"
THREADS = 8
#: The faults, one after the other, each for a sixteenth of the time and followed by as long a calm.
FAULTS = (
    "partial",
    "throttled",
    "busy",
    "reset before",
    "reset after",
    "html",
    "slow",
    "truncated",
)


class Weather:
    """What the server does to a request at the moment. Of every fault some requests are spared."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._turn = seconds / (2 * len(FAULTS))
        self._random = random.Random(1)

    def now(self) -> str | None:
        turn, calm = divmod(int((time.monotonic() - self._began) / self._turn), 2)
        return None if calm or turn >= len(FAULTS) else FAULTS[turn]

    def __call__(self, request: Request) -> Answer | None:
        fault = self.now()
        if fault is None or self._random.random() < 0.5:
            return None
        some = range(0, len(request.entries), 3)
        return {
            "partial": Answer(failures=dict.fromkeys(some, "InternalFailure")),
            "throttled": Answer(error=Error(400, "ThrottlingException", "Rate exceeded")),
            "busy": Answer(error=Error(503, "ServiceUnavailable", "busy")),
            "reset before": Answer(reset="before"),
            "reset after": Answer(reset="after"),
            "html": HTML,
            "slow": Answer(latency=0.3),
            "truncated": Answer(truncate=40),
        }[fault]


#: Each of the two clients opens at most one connection for each of its ten workers.
CONNECTIONS = 20


@dataclass
class Reading:
    """How large the process is."""

    rss: float  # MiB
    threads: int
    sockets: int


def read() -> Reading:
    status = Path("/proc/self/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in status)
    sockets = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            sockets += str(entry.readlink()).startswith("socket:")
        except OSError:  # closed since
            continue
    return Reading(int(values["VmRSS"].split()[0]) / 1024, int(values["Threads"]), sockets)


@dataclass
class Report:
    """What came of it."""

    published: int
    ledger: publisher.Ledger
    readings: list[Reading]
    missing: int = 0
    twice: int = 0
    strikes: int = 0  # exceptions raised in callers
    errors: list[str] = field(default_factory=list)

    def check(self) -> list[str]:
        """What did not hold."""
        total = self.ledger
        wrong = list(self.errors)
        if total.accepted != self.published or total.delivered != self.published:
            wrong.append(f"{self.published} were published: {total}")
        if total.outstanding:
            wrong.append(f"{total.outstanding} are outstanding")
        if not total.retries:
            wrong.append("nothing was tried twice: the faults were not met")
        if self.missing:
            wrong.append(f"{self.missing} never arrived")
        quarter = max(len(self.readings) // 4, 1)
        first, last = self.readings[:quarter], self.readings[-quarter:]
        for name, slack in (("rss", 8.0), ("threads", 0), ("sockets", 4)):
            before = max(getattr(one, name) for one in first)
            after = max(getattr(one, name) for one in last)
            if name == "sockets":  # a quiet first quarter may not have needed them all
                before = max(before, CONNECTIONS)
            if after > before * (1.05 if name == "rss" else 1) + slack:
                wrong.append(f"{name} grew from {before} to {after}")
        return wrong

    def __str__(self) -> str:
        quarter = max(len(self.readings) // 4, 1)
        first, last = self.readings[quarter - 1], self.readings[-1]
        return (
            f"{self.published:,} messages, {self.ledger.retries:,} retries, {self.twice:,} arrived"
            f" more than once; after the first quarter and at the end: {first.rss:.0f} and"
            f" {last.rss:.0f} MiB, {first.threads} and {last.threads} threads, {first.sockets} and"
            f" {last.sockets} sockets; {self.strikes:,} exceptions in callers"
        )


class Load:
    """Publishes from eight threads, each its share of `messages` evenly over `seconds`."""

    def __init__(self, mine: publisher.Publisher, seconds: float, messages: int, url: str) -> None:
        keys = {"region_name": "us-east-1", "endpoint_url": url}
        self.sns = mine.client("sns", **keys)
        self.kinesis = mine.client("kinesis", **keys)
        self.seconds = seconds
        self.share = messages // THREADS
        self.accepted = [0] * THREADS
        self.failed: list[str] = []
        self._turn = threading.Event()  # never set: a clock to wait on
        self._began = time.monotonic()
        # SNS is slower by its nature: one in eight.
        runs = [self._sns, self._many, *[self._kinesis] * (THREADS - 2)]
        self.threads = [
            threading.Thread(target=run, args=(number,)) for number, run in enumerate(runs)
        ]
        for thread in self.threads:
            thread.start()

    def _sns(self, number: int) -> None:
        for i in range(self.share):
            text = self._next(number, i)
            self._look(i, self.sns.publish(TopicArn=TOPIC, Message=text))

    def _kinesis(self, number: int) -> None:
        for i in range(self.share):
            text = self._next(number, i)
            data = text.encode()
            self._look(i, self.kinesis.put_record(StreamName=STREAM, Data=data, PartitionKey=text))

    def _many(self, number: int) -> None:
        """The same by put_records, two full requests and a rest at once."""
        for start in range(0, self.share, 1_200):
            some = range(start, min(start + 1_200, self.share))
            texts = [self._next(number, i) for i in some]
            records: list[Any] = [{"Data": text.encode(), "PartitionKey": text} for text in texts]
            future = self.kinesis.put_records(StreamName=STREAM, Records=records)
            self._look(0, future)
            if future.done() and (lost := future.result()["FailedRecordCount"]):
                self.failed.append(f"{lost} records of a put_records")

    def _next(self, number: int, i: int) -> str:
        """The next message, when it is its turn."""
        ahead = self._began + self.seconds * i / self.share - time.monotonic()
        if ahead > 0.01:
            self._turn.wait(ahead)
        self.accepted[number] += 1
        return f"{number}:{i}"

    def _look(self, i: int, future: publisher.PublishFuture) -> None:
        if i % 1000 == 0:
            try:
                future.result(60)
            except Exception as error:  # noqa: BLE001 - whatever it is, the report has it
                self.failed.append(repr(error))


def soak(seconds: float, messages: int, url: str, samples: int = 40) -> Report:
    """Publishes `messages` evenly over `seconds`, and watches the process."""
    mine = publisher.Publisher(
        delivery_timeout=120, max_block=None, retry=publisher.retry_policy(), close_timeout=60
    )
    load = Load(mine, seconds, messages, url)
    readings = _watch(load.threads, seconds, samples)
    ledger = mine.close(60)
    return Report(sum(load.accepted), ledger, readings, errors=load.failed[:5])


def _watch(threads: list[threading.Thread], seconds: float, samples: int) -> list[Reading]:
    """Readings until the threads have ended, without the first tenth of the time."""
    began = time.monotonic()
    turn = threading.Event()
    readings = []
    while any(thread.is_alive() for thread in threads):
        turn.wait(seconds / samples)
        if time.monotonic() - began > seconds * 0.1:  # everything has been used once
            readings.append(read())
    return readings


# The server, in a process of its own: it shares neither memory nor the GIL with what is watched.


class Arrivals(Endpoint):
    """Remembers of each message how often it was stored, in a byte."""

    def __init__(self, messages: int) -> None:
        self.times = [bytearray(messages // THREADS) for _ in range(THREADS)]
        super().__init__(keep=False)

    def _record_stored(self, entries: Sequence[Entry]) -> None:
        super()._record_stored(entries)
        with self._changed:
            for entry in entries:
                number, _, i = entry.data.partition(b":")
                row = self.times[int(number)]
                row[int(i)] = min(row[int(i)] + 1, 255)


def serve(seconds: float, messages: int) -> None:
    """Says its port; at the end of standard input, how many messages are missing, or came twice."""
    with Arrivals(messages) as endpoint:
        endpoint.script(Weather(seconds))
        print("port", endpoint.port, flush=True)
        sys.stdin.read()
        missing = sum(row.count(0) for row in endpoint.times)
        twice = sum(len(row) - row.count(0) - row.count(1) for row in endpoint.times)
        print(missing, twice, flush=True)


def run(seconds: float, messages: int) -> Report:
    """Server, publisher, and the account of both."""
    command = [sys.executable, "-m", "tests.soak", "--serve"]
    command += ["--seconds", str(seconds), "--messages", str(messages)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().split()[1]}"
        report = soak(seconds, messages, url)
        server.stdin.close()
        report.missing, report.twice = map(int, server.stdout.readline().split())
    with Endpoint(keep=False) as endpoint:  # last: what it does to the process is not measured
        wrong, report.strikes = storm(seconds / 10, endpoint.url)
    report.errors += wrong
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.seconds, options.messages)
        return 0
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
    report = run(options.seconds, options.messages)
    print(report)
    for line in report.check():
        print("FAILED:", line)
    return bool(report.check())


if __name__ == "__main__":
    sys.exit(main())
