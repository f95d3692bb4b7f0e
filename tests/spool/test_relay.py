"""The relay: it sends what others have left, whoever dies, and nothing is lost."""

from __future__ import annotations

import base64
import configparser
import itertools
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import publisher
from publisher._cli import main, make_parser
from publisher.spool.relay import AnotherRelay, Relay
from publisher.testing import capture
from tests.hosts.process import Process
from tests.servers import Answer, Endpoint, Request
from tests.spool.support import DOWN, files
from tests.support import FIFO_QUEUE, KILLS, QUEUE, SOON, STREAM, TOPIC, assert_at_rest, until

ROOT = Path(__file__).parent.parent.parent


def bodies(server: Endpoint, service: str) -> list[str]:
    return [entry.data.decode() for entry in server.stored(service)]


def leave(folder: Path, url: str, count: int, group: str = "a", **spool: Any) -> None:
    """Have a process that has ended by now leave messages for a relay, to three services."""
    made = publisher.Publisher(spool=publisher.Spool(folder, **{"send": "relay", **spool}))
    arguments = {"endpoint_url": url, "region_name": "us-east-1"}
    kinesis = made.client("kinesis", **arguments)
    sns = made.client("sns", **arguments)
    sqs = made.client("sqs", **arguments)
    for n in range(count):
        text = f"{group}-{n}"
        kinesis.put_record(StreamName=STREAM, Data=text.encode(), PartitionKey=group)
        sns.publish(TopicArn=TOPIC, Message=text)
        sqs.send_message(QueueUrl=QUEUE, MessageBody=text)
    made.close(SOON)


def run(*arguments: str) -> int:
    """The command, in this process."""
    try:
        return main(["relay", *arguments])
    except SystemExit as end:
        return int(end.code or 0)


class Writer:
    """A process that writes; see writer.py."""

    def __init__(self, folder: Path, url: str, **spool: Any) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.spool.writer", str(folder), url, json.dumps(spool)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            bufsize=1,
        )

    def ready(self) -> None:
        assert self._line() == "ready"

    def write(self, service: str, group: str, first: int, last: int) -> None:
        """Returns when all calls have returned."""
        assert self._ask(f"{service} {group} {first} {last}") == "done"

    def bytes(self) -> int:
        return int(self._ask("bytes").split()[1])

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(SOON)

    def _ask(self, text: str) -> str:
        assert self.popen.stdin is not None
        self.popen.stdin.write(text + "\n")
        return self._line()

    def _line(self) -> str:
        assert self.popen.stdout is not None
        alarm = threading.Timer(SOON, self.popen.kill)
        alarm.start()
        try:
            return self.popen.stdout.readline().strip()
        finally:
            alarm.cancel()

    def end(self) -> None:
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.close()
        self.popen.wait(SOON)
        self.popen.stdout.close()


Write = Callable[..., Writer]


@pytest.fixture
def writing(folder: Path, server: Endpoint) -> Iterator[Write]:
    made: list[Writer] = []

    def write(**spool: Any) -> Writer:
        made.append(Writer(folder, server.url, **spool))
        return made[-1]

    yield write
    for writer in made:
        writer.kill()
        writer.end()


Started = Callable[..., Process]


@pytest.fixture
def relaying(folder: Path, server: Endpoint) -> Iterator[Started]:
    made: list[Process] = []

    def start(*options: str) -> Process:
        command = [sys.executable, "-m", "publisher", "relay", str(folder)]
        process = Process([*command, "--endpoint-url", server.url, *options], server.url)
        made.append(process)
        process.read_until("relay: ")
        return process

    yield start
    for process in made:
        process.close()


# Who leaves it


def test_what_is_handed_over_leaves_nothing_in_memory(folder: Path) -> None:
    with publisher.Publisher(spool=publisher.Spool(folder, send="relay")) as made:
        kinesis = made.client("kinesis", region_name="us-east-1")
        future = kinesis.put_record(StreamName=STREAM, Data=b"x", PartitionKey="k")
        assert set(future.result(SOON)) == {"SpoolId"}
        assert sys.getrefcount(future) == 2  # the name, and the argument


def test_hooks_are_told_of_what_is_handed_over_at_once(folder: Path) -> None:
    class Hook:
        def on_spooled(self, event: publisher.Event) -> None:
            told.append(event.destination)
            heard.set()

    told: list[str] = []
    heard = threading.Event()
    spool = publisher.Spool(folder, send="relay")
    with publisher.Publisher(spool=spool, hooks=[Hook()]) as made:
        kinesis = made.client("kinesis", region_name="us-east-1")
        kinesis.put_record(StreamName=STREAM, Data=b"x", PartitionKey="k")
        assert heard.wait(SOON)
    assert told == [f"kinesis:us-east-1:{STREAM}"]


# What has been left


@pytest.mark.every_python("files, locks and threads")
def test_what_was_left_is_sent_and_the_space_comes_back(folder: Path, server: Endpoint) -> None:
    leave(folder, server.url, 30)
    leave(folder, server.url, 10, "b")
    leave(folder, server.url, 5, "c", send="here")  # which delivers before it ends
    with Relay(publisher.Spool(folder), endpoints=[server.url]) as relay:
        assert relay.wait_for_look(SOON)
        assert relay.owners == 2
        wanted = Counter(
            [
                f"{group}-{n}"
                for group, count in (("a", 30), ("b", 10), ("c", 5))
                for n in range(count)
            ]
        )
        for service in ("kinesis", "sns", "sqs"):
            server.wait_for(lambda service=service: server.count(service) == 45, SOON)  # type: ignore[misc]
            assert Counter(bodies(server, service)) == wanted
        until(lambda: files(folder) == ["relay.lock"])
    total = relay.publisher.stats().total
    assert total.delivered == total.replayed == 120
    assert_at_rest(relay.publisher)
    assert files(folder) == []


def test_what_a_closed_process_could_not_send_is_sent_by_the_relay(
    folder: Path, server: Endpoint
) -> None:
    server.script(DOWN)
    made = publisher.Publisher(spool=publisher.Spool(folder))
    kinesis = made.client("kinesis", endpoint_url=server.url, region_name="us-east-1")
    kinesis.put_record(StreamName=STREAM, Data=b"left", PartitionKey="k")
    made.close(0.1)
    assert made.stats().total.spooled == 1
    server.clear()
    server.script(None)
    assert run(str(folder), "--once", "--endpoint-url", server.url) == 0
    assert set(bodies(server, "kinesis")) == {"left"}  # its last request may come late, too
    assert files(folder) == []


def test_a_second_relay_says_that_there_is_one(
    folder: Path, server: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    with Relay(publisher.Spool(folder)):
        with pytest.raises(AnotherRelay, match="another relay sends"):
            Relay(publisher.Spool(folder))
        assert run(str(folder)) == 1
        assert "another relay sends" in capsys.readouterr().err
    leave(folder, server.url, 1)
    assert run(str(folder), "--once", "--endpoint-url", server.url) == 0
    assert len(server.stored()) == 3


def test_once_sends_what_is_there_and_ends(
    folder: Path, server: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(folder), "--once") == 0
    leave(folder, server.url, 500)
    assert run(str(folder), "--once", "--linger", "0.01", "--endpoint-url", server.url) == 0
    said = capsys.readouterr().out
    assert "1,500 messages of 1 writer on disk" in said
    assert "1,500 delivered, 0 lost, 0 stay on disk" in said
    assert len(server.stored()) == 1_500
    assert files(folder) == []


@pytest.mark.parametrize("dies", [True, False])
def test_once_says_that_files_cannot_be_read(
    folder: Path, server: Endpoint, capsys: pytest.CaptureFixture[str], writing: Write, dies: bool
) -> None:
    writer = writing()
    writer.ready()
    writer.write("kinesis", "k", 0, 3)
    if dies:
        writer.kill()
    (path,) = folder.glob("*.log")
    path.chmod(0o640)
    assert run(str(folder), "--once", "--endpoint-url", server.url) == 1
    assert "0 stay on disk, and files of 1 writer wait" in capsys.readouterr().out
    path.chmod(0o600)
    assert run(str(folder), "--once", "--endpoint-url", server.url) == 0
    assert len(server.stored()) == 3


def test_an_endpoint_that_is_not_allowed_is_not_used_and_warned_of_once(
    folder: Path, server: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    leave(folder, server.url, 3)
    with caplog.at_level(logging.WARNING, "publisher"):
        assert run(str(folder), "--once", "--endpoint-url", "http://127.0.0.1:1") == 1
    warned = [line for line in caplog.messages if "stay in the spool" in line]
    assert len(warned) == 3  # once for each destination
    assert all("endpoint" in line for line in warned)
    assert len(server.stored()) == 0
    assert run(str(folder), "--once", "--endpoint-url", server.url) == 0
    assert len(server.stored()) == 9


def test_keys_come_from_a_file(
    folder: Path, server: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = os.urandom(32), os.urandom(32)
    leave(folder, server.url, 4, "old", key=old)
    leave(folder, server.url, 4, "new", key=[new, old])
    assert b"old-1" not in b"".join(path.read_bytes() for path in folder.iterdir())
    address = ["--endpoint-url", server.url]
    assert run(str(folder), "--once", *address) == 1  # no key at all
    assert len(server.stored()) == 0
    path = tmp_path / "keys"
    path.write_bytes(base64.b64encode(new) + b"\n" + base64.b64encode(old) + b"\n")
    assert run(str(folder), "--once", *address, "--key-file", str(path)) == 0
    assert len(server.stored()) == 24
    path.write_bytes(base64.b64encode(b"much too short"))
    assert run(str(folder), "--once", "--key-file", str(path)) == 2
    said = capsys.readouterr().err
    assert "key 1 is not 16, 24 or 32 bytes in base64" in said
    assert base64.b64encode(b"much too short").decode() not in said


def test_what_is_too_old_is_given_up(folder: Path, server: Endpoint) -> None:
    leave(folder, server.url, 2)
    spool = publisher.Spool(folder, max_age=1e-9)
    with Relay(spool, endpoints=[server.url], once=True) as relay:
        assert relay.wait(SOON)
    total = relay.publisher.stats().total
    assert total.failed == 6
    assert len(server.stored()) == 0
    assert files(folder) == []


def test_nothing_is_sent_out_of_a_capture(folder: Path, server: Endpoint) -> None:
    leave(folder, server.url, 1)
    with capture(), pytest.raises(RuntimeError, match="a test keeps all messages"):
        Relay(publisher.Spool(folder), endpoints=[server.url])
    assert len(server.stored()) == 0


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(0o755)
    link = tmp_path / "link"
    link.symlink_to(shared)
    (tmp_path / "file").write_text("")
    for arguments, words in (
        ([str(shared)], "open to others"),
        ([str(link)], "is a link"),
        ([str(tmp_path / "file")], "is no directory"),
        ([str(tmp_path / "no" / "such")], "No such file"),
        ([str(tmp_path / "s"), "--linger", "-1"], "invalid number of seconds"),
        ([str(tmp_path / "s"), "--metrics", "70000"], "invalid port"),
        ([str(tmp_path / "s"), "--endpoint-url", "nowhere"], "--endpoint-url"),
        ([str(tmp_path / "s"), "--key-file", str(tmp_path / "none")], "No such file"),
        ([str(tmp_path / "a\u202eb\n"), "--key-file", str(shared)], "Is a directory"),
    ):
        assert run(*arguments) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
        assert "\u202e" not in said


@pytest.mark.every_python("threads and files: order under failures")
def test_the_order_within_a_group_holds_through_failures(folder: Path, server: Endpoint) -> None:
    turn = itertools.count()
    server.script(lambda request: DOWN if request.entries and next(turn) % 5 == 1 else None)
    for writer in range(3):
        made = publisher.Publisher(spool=publisher.Spool(folder, send="relay"))
        sqs = made.client("sqs", endpoint_url=server.url, region_name="us-east-1")
        for n in range(30):
            group = f"{writer}{n % 2}"
            sqs.send_message(
                QueueUrl=FIFO_QUEUE,
                MessageBody=f"{group}-{n}",
                MessageGroupId=group,
                MessageDeduplicationId=f"{group}-{n}",
            )
        made.close(SOON)
    with Relay(publisher.Spool(folder), endpoints=[server.url]) as relay:
        server.wait_for(lambda: len(set(bodies(server, "sqs"))) == 90, 2 * SOON)
        assert relay.publisher.stats().total.retries > 0
    assert_in_order(bodies(server, "sqs"), 6)


def assert_in_order(stored: list[str], groups: int) -> None:
    """First copies, within each group."""
    by_group: dict[str, list[int]] = {}
    for text in dict.fromkeys(stored):
        group, number = text.rsplit("-", 1)
        by_group.setdefault(group, []).append(int(number))
    assert len(by_group) == groups
    for numbers in by_group.values():
        assert numbers == sorted(numbers)


# Writers that live, and processes that die


@pytest.mark.heavy
def test_a_living_writer_is_followed_and_gets_its_space_back(
    folder: Path, server: Endpoint, writing: Write
) -> None:
    """Its bound is a fraction of what it writes in all."""
    bound = 100_000
    writer = writing(max_bytes=bound)
    writer.ready()
    with Relay(publisher.Spool(folder), endpoints=[server.url]) as relay:
        for begin in range(0, 3_000, 300):
            writer.write("kinesis", "k" * 50, begin, begin + 300)
            assert writer.bytes() <= bound
        server.wait_for(lambda: server.count("kinesis") == 3_000, SOON)
        until(lambda: writer.bytes() == 0)
        writer.end()
        until(lambda: files(folder) == ["relay.lock"])
        assert relay.on_disk.waiting == 0
    assert len(set(bodies(server, "kinesis"))) == 3_000


@pytest.mark.heavy
def test_writers_are_killed_while_the_relay_runs(
    folder: Path, server: Endpoint, writing: Write, relaying: Started
) -> None:
    relay = relaying()
    wanted: set[str] = set()
    for turn in range(4):
        pair = [writing(), writing()]
        for number, writer in enumerate(pair):
            writer.ready()
            for service in ("kinesis", "sns", "sqs"):
                group = f"{turn}{number}{service}"
                writer.write(service, group, 0, 50)
                wanted |= {f"{group}-{n}" for n in range(50)}
            writer.kill()
    server.wait_for(lambda: {e.data.decode() for e in server.stored()} >= wanted, SOON)
    until(lambda: files(folder) == ["relay.lock"])
    relay.signal(signal.SIGTERM)
    assert relay.end() == 0
    found = Counter(entry.data.decode() for entry in server.stored())
    assert found == Counter(wanted)
    assert files(folder) == []


@pytest.mark.heavy
def test_a_relay_that_is_killed_again_and_again_loses_nothing(
    folder: Path, server: Endpoint, writing: Write, relaying: Started
) -> None:
    writers = [writing(), writing()]
    for writer in writers:
        writer.ready()
    counts = dict.fromkeys(range(2), 0)
    for kill in range(KILLS):
        relay = relaying()
        for number, writer in enumerate(writers):
            begin = counts[number]
            writer.write("sqs", f"g{number}", begin, begin + 8)
            writer.write("kinesis", f"k{number}", begin, begin + 8)
            counts[number] = begin + 8
        if kill % 3:  # at some moment of its work, another one each time
            sent = len(server.stored())
            until(lambda sent=sent, kill=kill: len(server.stored()) > sent + kill % 8)  # type: ignore[misc]
        relay.signal(signal.SIGKILL)
        relay.end()
    last = relaying()
    wanted = {f"{kind}{n}-{i}" for kind in "gk" for n in counts for i in range(counts[n])}
    # Of each group one message goes after the other.
    server.wait_for(lambda: {e.data.decode() for e in server.stored()} >= wanted, SOON + KILLS)
    for writer in writers:
        writer.end()
    until(lambda: files(folder) == ["relay.lock"])
    last.signal(signal.SIGTERM)
    assert last.end() == 0
    found = Counter(entry.data.decode() for entry in server.stored())
    assert set(found) == wanted
    # What was stored and not marked yet when it was killed comes once more: what was in flight,
    # of each group one, and of the stream no more than it has.
    assert sum(found.values()) - len(found) <= KILLS * (2 + 2 * 8 * KILLS)
    assert_in_order(bodies(server, "sqs"), 2)
    print(f"relay: {KILLS} kills, {len(wanted)} accepted, {found.total() - len(found)} twice")


@pytest.mark.heavy
def test_sigterm_finishes_what_is_on_its_way_and_leaves_the_rest(
    folder: Path, server: Endpoint, relaying: Started
) -> None:
    leave(folder, server.url, 100)
    release, met = threading.Event(), threading.Event()

    def script(request: Request) -> Answer | None:
        if not request.entries:
            return None
        met.set()
        return Answer(hold=release)

    server.script(script)
    relay = relaying()
    assert met.wait(SOON)
    with pytest.raises(AnotherRelay):
        Relay(publisher.Spool(folder))
    relay.signal(signal.SIGTERM)
    release.set()
    assert relay.end() == 0
    assert " delivered, 0 lost, " in relay.read_until("relay: ")
    server.script(None)
    assert run(str(folder), "--once", "--endpoint-url", server.url) == 0
    wanted = Counter({f"a-{n}": 3 for n in range(100)})
    assert Counter(entry.data.decode() for entry in server.stored()) == wanted


@pytest.mark.heavy
def test_order_holds_with_living_writers_and_failures(
    folder: Path, server: Endpoint, writing: Write, relaying: Started
) -> None:
    turn = itertools.count()
    server.script(lambda request: DOWN if request.entries and next(turn) % 4 < 2 else None)
    relaying("--linger", "0.005")
    writers = [writing(), writing(), writing()]
    for writer in writers:
        writer.ready()
    for begin in range(0, 50, 10):
        for number, writer in enumerate(writers):
            writer.write("sqs", f"g{number}", begin, begin + 10)
    server.wait_for(lambda: len(set(bodies(server, "sqs"))) == 150, 2 * SOON)
    assert_in_order(bodies(server, "sqs"), 3)


@pytest.mark.heavy
def test_metrics_are_served_to_this_machine(
    folder: Path, server: Endpoint, relaying: Started
) -> None:
    pytest.importorskip("prometheus_client")
    leave(folder, server.url, 3)
    relay = Process(
        [
            sys.executable,
            *("-m", "publisher", "relay", str(folder), "--metrics", "0"),
            *("--endpoint-url", server.url),
        ],
        server.url,
    )
    try:
        address = relay.read_until("relay: metrics at ").split()[-1]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", address)
        server.wait_for(lambda: len(server.stored()) == 9, SOON)

        def delivered() -> bool:
            with urllib.request.urlopen(address, timeout=SOON) as answer:
                text = answer.read().decode()
            return "publisher_spool_waiting_messages 0.0" in text and text.count("3.0") >= 3

        until(delivered)
        relay.signal(signal.SIGINT)
        assert relay.end() == 0
    finally:
        relay.close()


# The page


def test_the_commands_of_the_page_are_taken() -> None:
    page = (ROOT / "docs" / "relay.md").read_text()
    unit = re.search(r"```ini\n(.*?)```", page, re.DOTALL)
    assert unit is not None
    parsed = configparser.ConfigParser()
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(unit[1])
    service = parsed["Service"]
    started = shlex.split(service["ExecStart"])
    contained = re.search(r"command: (\[.*\])", page)
    assert contained is not None
    for command in (started, json.loads(contained[1])):
        assert command[-len(command) + 1 :][:3] == ["-m", "publisher", "relay"]
        options = make_parser().parse_args(command[3:])
        assert options.directory == "/var/lib/shop/spool"
    assert service["StateDirectoryMode"] == "0700"


def test_what_the_page_links_to_is_there() -> None:
    page = (ROOT / "docs" / "relay.md").read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)", page):
        assert (ROOT / "docs" / target).exists(), target
