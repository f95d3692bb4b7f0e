"""Processes that publish into a spool and are killed.

:class:`Nursery` starts one process that has everything imported. For each :class:`Life` that one
forks a child, reads what the child says was accepted, kills it where it does not kill itself, and
tells how it ended. Fork and kill take milliseconds, so hundreds of lives can be led.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
from typing_extensions import Self

import publisher
from publisher._store import part, segments
from publisher._store.directory import Directory
from publisher.spool import keeper
from tests.support import FIFO_QUEUE, STREAM, until

ROOT = Path(__file__).parent.parent.parent
#: What may be under way in one process; twice so many may be stored twice for each kill.
IN_FLIGHT = 100
#: Small, so that segments are rolled, rewritten and unlinked all the time.
_SPOOL = 800_000
_BODY = 700
_ENDS = 60.0  # seconds after which a life is over whatever it does


@dataclasses.dataclass(frozen=True)
class Life:
    """What one process does.

    Args:
        directory: of the spool.
        url: of the server.
        service: ``"kinesis"`` or ``"sqs"``, to a FIFO queue.
        name: goes into each message.
        count: of messages to publish.
        kill_after: seconds from the first message that was accepted.
        call: of the directory, in which it kills itself.
        nth: at which time of that call.
        before: whether that is before or after the call has done its work.
        sync: of the spool.
    """

    directory: str
    url: str
    service: str
    name: int
    count: int
    kill_after: float | None = None
    call: str = ""
    nth: int = 0
    before: bool = True
    sync: str = "kernel"


@dataclasses.dataclass(frozen=True)
class Death:
    """How a life ended: the numbers of the messages whose calls had returned, and its status.

    A message that a full buffer dropped in its call is not accepted. One that could not be written
    down is in memory alone, and so it is told. Any other that this life was told is lost, is: the
    test shows what it was told.
    """

    accepted: list[int]
    dropped: int
    unwritten: int
    lost: dict[str, str]
    killed: bool
    code: int


def body(name: int, number: int, group: int) -> str:
    """What a message says: whose it is, its number there, and its group; then it is filled up."""
    return f"{name} {number} {group} ".ljust(_BODY, ".")


def read(data: bytes) -> tuple[int, int, int]:
    """Whose it is, its number there, and its group."""
    name, number, group, _ = data.split(b" ", 3)
    return int(name), int(number), int(group)


class Nursery:
    """Leads lives, one after the other; for a ``with`` block."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.spool.lives"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={
                **os.environ,
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
        )
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(_ENDS)
        self._process.stdout.close()

    def lead(self, life: Life) -> Death:
        """Lead one life to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(dataclasses.asdict(life)).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the nursery has died"
        return Death(**json.loads(line))


def _raise_one() -> None:
    """The nursery's own work."""
    for line in sys.stdin:
        life = Life(**json.loads(line))
        end, begin = os.pipe()
        pid = os.fork()
        if not pid:
            code = 3
            try:
                os.close(end)
                _live(life, begin)
                code = 0
            finally:
                os._exit(code)
        os.close(begin)
        said = _listen(life, end, pid)
        os.close(end)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        lines = [line.split(" ", 1) for line in said.decode().split("\n")[:-1]]
        lost = {number: why for number, *whys in lines for why in whys}
        words = Counter(word for word, *whys in lines if not whys)
        death = Death(
            accepted=[int(word) for word in words if word.isdigit()],
            dropped=words["dropped"],
            unwritten=words["unwritten"],
            lost=lost,
            killed=code == -signal.SIGKILL,
            code=code,
        )
        print(json.dumps(dataclasses.asdict(death)), flush=True)


def _listen(life: Life, end: int, pid: int) -> bytes:
    said = b""
    until = time.monotonic() + _ENDS
    began = False
    while True:
        left = until - time.monotonic()
        if left <= 0 or not select.select([end], [], [], left)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until = time.monotonic() + _ENDS
            continue
        piece = os.read(end, 1 << 16)
        if not piece:
            return said
        said += piece
        if not began and life.kill_after is not None:
            began, until = True, time.monotonic() + life.kill_after


def _live(life: Life, told: int) -> None:
    """What the child does."""
    # Sooner than usual, so that a second sees all of it.
    keeper._TEND, keeper._LOOKS = 30_000, 0.02  # type: ignore[misc]
    keeper.Keeper.adopts_every = 0.05
    part.PINNED = segments.PINNED = 0.05  # type: ignore[attr-defined]
    if life.call:
        _arm(life.call, life.nth, before=life.before)
    made = publisher.Publisher(
        hooks=[_Tells(told, life.name)],
        spool=publisher.Spool(life.directory, max_bytes=_SPOOL, sync=life.sync),  # type: ignore[arg-type]
        max_messages=IN_FLIGHT,
        max_workers=4,
        linger=0.002,
        delivery_timeout=0.4,
        on_full="block",
        max_block=None,
    )
    client = made.client(life.service, region_name="us-east-1", endpoint_url=life.url)
    for number in range(life.count):
        before = _unwritten(made)
        if isinstance(_publish(client, life, number), publisher.BufferFull):
            os.write(told, b"dropped\n")
        elif _unwritten(made) > before:
            os.write(told, b"unwritten\n")
        else:
            os.write(told, b"%d\n" % number)
    if life.kill_after is None and not life.call:
        made.flush(10)
        until(lambda: not _others(made, life.directory), _ENDS)  # it has sent what they left
        made.close(10)
    else:
        signal.pause()  # until it is killed


def _unwritten(made: publisher.Publisher) -> int:
    """How many messages could not be written down so far."""
    store: Any = made._current().store
    return int(store._unwritten.count)


class _Tells:
    """Says which messages of this life were lost, as whoever publishes is told."""

    def __init__(self, told: int, name: int) -> None:
        self._told, self._name = told, name

    def on_failed(self, event: publisher.Event) -> None:
        self._tell(event)

    def on_dropped(self, event: publisher.Event) -> None:
        self._tell(event)

    def _tell(self, event: publisher.Event) -> None:
        said = event.params.get("Data") or str(event.params["MessageBody"]).encode()
        name, number, _ = read(said)
        if name == self._name:
            os.write(self._told, b"%d %s\n" % (number, type(event.exception).__name__.encode()))


def _others(made: publisher.Publisher, directory: str) -> set[str]:
    """Whose files are there, but for those of this process."""
    store: Any = made._current().store
    owners = {name.replace(".", "-").split("-")[0] for name in os.listdir(directory)}  # noqa: PTH208
    return owners - {"damaged", store._log.owner}


def _publish(client: Any, life: Life, number: int) -> BaseException | None:
    """Publish one message; the error that it has ended with, where it has."""
    group = number % 5
    text = body(life.name, number, group)
    if life.service == "kinesis":
        future = client.put_record(
            StreamName=STREAM, Data=text.encode(), PartitionKey=f"{number % 40}"
        )
    else:
        future = client.send_message(
            QueueUrl=FIFO_QUEUE,
            MessageBody=text,
            MessageGroupId=str(group),
            MessageDeduplicationId=f"{life.name}-{number}",
        )
    error: BaseException | None = future.exception(0) if future.done() else None
    return error


def _arm(name: str, nth: int, *, before: bool) -> None:
    """Have a call of every directory kill this process at its ``nth`` time."""
    make = Directory.__init__
    times = [0]

    def init(self: Directory, *arguments: Any) -> None:
        make(self, *arguments)
        call = getattr(self, name)

        def die(*arguments: Any) -> Any:
            times[0] += 1
            if times[0] == nth and before:
                if name == "write":  # a part of it
                    descriptor, data = arguments
                    call(descriptor, data[: random.randrange(len(data))])
                os.kill(os.getpid(), signal.SIGKILL)
            done = call(*arguments)
            if times[0] == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        setattr(self, name, die)

    Directory.__init__ = init  # type: ignore[method-assign]


def _warm_up() -> None:
    """Have the models read once, by the session that all children use; no thread is started."""
    boto3.setup_default_session()
    for service in ("kinesis", "sqs"):
        boto3.client(service, endpoint_url="http://127.0.0.1:1").close()


if __name__ == "__main__":
    _warm_up()
    _raise_one()
