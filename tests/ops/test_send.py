"""`python -m publisher send`: every line accounted for, bad input refused beforehand."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from publisher._cli import main
from tests.servers import Answer, Endpoint, Error
from tests.support import SOON, STREAM, TOPIC

Command = Callable[..., int]


@pytest.fixture
def send(endpoint: Endpoint) -> Command:
    def run(*arguments: str) -> int:
        try:
            return main(["send", "--endpoint-url", endpoint.url, *arguments])
        except SystemExit as end:
            return int(end.code or 0)

    return run


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_bytes("one\ntwo\r\n\nthree 😀\nlast".encode())
    return path


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Makes standard input a pipe with some content."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, os.fdopen(writer, "wb") as fill:

        def put(content: bytes) -> None:
            fill.write(content)
            fill.close()
            monkeypatch.setattr(sys, "stdin", stdin)

        yield put


SENT = [b"one", b"two", "three 😀".encode(), b"last"]


def test_lines_to_a_topic(send: Command, endpoint: Endpoint, lines: Path, capsys: Any) -> None:
    assert send("--topic", TOPIC, str(lines)) == 0
    assert sorted(entry.data for entry in endpoint.stored("sns")) == sorted(SENT)
    out = capsys.readouterr().out
    assert "accepted 4 = delivered 4 + failed 0" in out


def test_lines_to_a_stream(send: Command, endpoint: Endpoint, lines: Path) -> None:
    assert send("--stream", STREAM, str(lines)) == 0
    stored = endpoint.stored("kinesis")
    assert sorted(entry.data for entry in stored) == sorted(SENT)
    assert len({entry.partition_key for entry in stored}) == 4


def test_the_partition_key_is_a_field(send: Command, endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text('{"user": "ann", "n": 1}\n{"user": 7}\n')
    assert send("--stream", STREAM, "--partition-key", "user", str(path)) == 0
    stored = {entry.data: entry.partition_key for entry in endpoint.stored("kinesis")}
    assert stored == {b'{"user": "ann", "n": 1}': "ann", b'{"user": 7}': "7"}


BAD = [
    (["--topic", TOPIC, "--stream", STREAM, "LINES"], "not allowed with"),
    (["LINES"], "required"),
    (["--topic", TOPIC, "missing.txt"], "cannot read missing.txt"),
    (["--topic", "orders", "LINES"], "TopicArn"),
    (["--topic", TOPIC + ".fifo", "LINES"], "FIFO"),
    (["--topic", TOPIC, "--partition-key", "user", "LINES"], "--partition-key is for --stream"),
    (["--stream", STREAM, "--partition-key", "user", "LINES"], "line 1: not JSON"),
    (["--stream", "s" * 129, "LINES"], "StreamName"),
    (["--topic", TOPIC, "--failed", "LINES", "LINES"], "is one of the files"),
    (["--topic", TOPIC, "--failed", "no/such/folder", "LINES"], "cannot write"),
    (["--topic", TOPIC, "--unknown", "LINES"], "unrecognized arguments"),
]


@pytest.mark.parametrize(("arguments", "complaint"), BAD)
def test_bad_usage_is_one_line_and_nothing_is_sent(
    send: Command,
    endpoint: Endpoint,
    lines: Path,
    capsys: Any,
    arguments: list[str],
    complaint: str,
) -> None:
    assert send(*[str(lines) if each == "LINES" else each for each in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert complaint in captured.err
    assert captured.out == ""
    assert endpoint.request_count == 0


BAD_LINES = [
    (b'{"user": "ann"}\nnot json\n', "line 2: not JSON"),
    (b'{"user": "ann"}\n[1]\n', "line 2: a JSON list"),
    (b'{"user": "ann"}\n{"name": "bob"}\n', "line 2: no field 'user'"),
    (b'{"user": "ann"}\n\n{"user": null}\n', "line 3: the field 'user' is no string"),
    (b'{"user": "' + b"k" * 257 + b'"}\n', "257 characters"),
    (b'{"user": ""}\n', "PartitionKey"),
]


@pytest.mark.parametrize(("content", "complaint"), BAD_LINES)
@pytest.mark.parametrize("piped", [False, True])
def test_a_bad_line_is_found_before_anything_is_sent(
    send: Command,
    endpoint: Endpoint,
    tmp_path: Path,
    capsys: Any,
    pipe: Callable[[bytes], None],
    content: bytes,
    complaint: str,
    piped: bool,
) -> None:
    if piped:
        pipe(content)
        files = []
    else:
        (tmp_path / "events").write_bytes(content)
        files = [str(tmp_path / "events")]
    assert send("--stream", STREAM, "--partition-key", "user", *files) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert complaint in error
    assert "ann" not in error
    assert endpoint.request_count == 0


def test_a_line_that_no_topic_takes(send: Command, endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for content in (b"good\n\xff\n", b"good\n" + b"x" * (1024 * 1024 + 1)):
        path.write_bytes(content)
        assert send("--topic", TOPIC, str(path)) == 2
    assert endpoint.request_count == 0


def test_a_pipe_is_read(send: Command, endpoint: Endpoint, pipe: Callable[[bytes], None]) -> None:
    pipe(b"from a pipe\n")
    assert send("--topic", TOPIC) == 0
    assert [entry.data for entry in endpoint.stored("sns")] == [b"from a pipe"]


def test_a_dry_run_sends_nothing(
    send: Command, endpoint: Endpoint, lines: Path, capsys: Any
) -> None:
    assert send("--topic", TOPIC, "--dry-run", str(lines)) == 0
    assert "4 lines, 20 bytes" in capsys.readouterr().out
    assert endpoint.connections == 0


def test_what_is_lost_can_be_sent_again(
    send: Command, endpoint: Endpoint, lines: Path, tmp_path: Path, capsys: Any
) -> None:
    def poisoned(request: Any) -> Answer:
        bad = [n for n, entry in enumerate(request.entries) if entry.data in (b"two", b"last")]
        return Answer(failures=dict.fromkeys(bad, "InvalidParameter"))

    endpoint.script(poisoned)
    failed = tmp_path / "failed"
    assert send("--topic", TOPIC, "--failed", str(failed), str(lines)) == 1
    assert sorted(failed.read_bytes().splitlines()) == [b"last", b"two"]
    out = capsys.readouterr().out
    assert "2 of 4 messages were lost: 2 failed with InvalidParameter" in out
    assert send("--topic", TOPIC, "--failed", str(failed), str(lines)) == 2  # it has content
    endpoint.script(None)
    assert send("--topic", TOPIC, str(failed)) == 0
    assert sorted(entry.data for entry in endpoint.stored("sns")) == sorted(SENT)


def test_follow_skips_what_cannot_be_sent(
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any
) -> None:
    path, failed = tmp_path / "events", tmp_path / "failed"
    path.write_bytes(b'{"id": "1"}\nbroken\n{"id": "2"}\n')
    arguments = ["--follow", "--partition-key", "id", "--failed", str(failed), str(path)]
    assert send("--stream", STREAM, *arguments) == 1
    assert "line 2: not JSON" in capsys.readouterr().err
    assert failed.read_bytes() == b"broken\n"
    assert endpoint.count("kinesis") == 2


def test_no_region_and_no_credentials_are_said_before_anything_is_read(
    lines: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["send", "--stream", STREAM, str(lines)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert main(["send", "--stream", STREAM, str(lines)]) == 2
    assert "no credentials" in capsys.readouterr().err


def test_ctrl_c_drains_and_reports(endpoint: Endpoint) -> None:
    command = [sys.executable, "-m", "publisher", "send", "--endpoint-url", endpoint.url]
    process = subprocess.Popen(
        [*command, "--stream", STREAM, "--follow"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    try:
        assert process.stdin is not None
        process.stdin.write(b"".join(b"%d\n" % n for n in range(1500)))
        process.stdin.flush()
        endpoint.wait_for(lambda: endpoint.count("kinesis") >= 500, SOON)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=SOON)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    delivered = endpoint.count("kinesis")
    assert f"accepted {delivered:,} = delivered {delivered:,}".encode() in out
    assert b"Traceback" not in errors


def test_a_terminal_sees_progress_and_the_ledger(endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"".join(b"%d\n" % n for n in range(1500)))
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [sys.executable, "-m", "publisher", "send", "--endpoint-url", endpoint.url]
    process = subprocess.Popen(
        [*command, "--stream", STREAM, str(path)],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONWARNINGS": "error"},
    )
    os.close(inside)
    seen = b""
    try:
        while select.select([terminal], [], [], SOON)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # as Linux says that nobody has it open any more
                break
        assert process.wait(SOON) == 0, seen
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert "━".encode() in seen  # the bar
    assert b"1,500 delivered, 0 lost, 0 retries" in seen
    assert b"accepted 1,500 = delivered 1,500" in seen
    assert seen.endswith(b"\r\n")
    assert seen.count(b"\x1b[?25l") == seen.count(b"\x1b[?25h")  # the cursor is shown again


def test_no_more_is_read_than_the_buffer_holds_and_a_second_ctrl_c_abandons(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.script(Answer(hold=threading.Event()))
    failed = tmp_path / "failed"
    command = [sys.executable, "-m", "publisher", "send", "--endpoint-url", endpoint.url]
    process = subprocess.Popen(
        [*command, "--stream", STREAM, "--follow", "--failed", str(failed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdin is not None
        assert process.stderr is not None
        pipe = process.stdin.fileno()
        os.set_blocking(pipe, False)
        written, line = 0, b"x" * 1023 + b"\n"
        while select.select([], [pipe], [], SOON if written < 10_000 * len(line) else 1)[1]:
            written += os.write(pipe, line * 4)
        # 10,000 messages wait; the pipe itself and one read ahead of it hold the rest
        assert 10_000 <= written // len(line) < 10_500
        process.send_signal(signal.SIGINT)
        assert b"stopping" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert b"abandoning" in process.stderr.readline()
        out, errors = process.communicate(timeout=SOON)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    assert b"delivered 0 +" in out
    assert len(failed.read_bytes().splitlines()) >= 10_000


def test_the_whole_request_refused_is_a_loss(
    send: Command, endpoint: Endpoint, lines: Path, capsys: Any
) -> None:
    endpoint.script(Answer(error=Error(403, "AuthorizationError")))
    assert send("--topic", TOPIC, str(lines)) == 1
    assert "failed with AuthorizationError" in capsys.readouterr().out
