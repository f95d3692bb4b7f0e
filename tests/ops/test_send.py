"""`python -m publisher send`: every line accounted for, bad input refused beforehand."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from publisher._cli import _send, main
from publisher._cli._lines import Lines
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
    with contextlib.ExitStack() as stack:

        def put(content: bytes) -> None:
            reader, writer = os.pipe()
            stdin = stack.enter_context(os.fdopen(reader))
            monkeypatch.setattr(sys, "stdin", stdin)

            def fill() -> None:
                with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as file:
                    file.write(content)

            filling = threading.Thread(target=fill)
            filling.start()
            stack.callback(filling.join, SOON)
            stack.callback(stdin.close)

        yield put


@pytest.fixture
def once_checked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Has something done to the files when they are checked and about to be sent."""

    def then(do: Callable[[], object]) -> None:
        run = _send._Sending.run

        def once(sending: Any) -> int:
            do()
            return run(sending)

        monkeypatch.setattr(_send._Sending, "run", once)

    return then


#: The commands, where no file may have more than 4 KiB.
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from publisher._cli import main
sys.exit(main())
"""
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
LONGEST = 1024 * 1024  # bytes that SNS takes
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
    (["--topic", TOPIC, "--endpoint-url", "http://localhost:99999", "LINES"], "65535"),
    (["--topic", TOPIC, "--endpoint-url", "localhost:4566", "LINES"], "http:// or https://"),
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


def test_a_line_nested_too_deeply(
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any, pipe: Callable[[bytes], None]
) -> None:
    path = tmp_path / "events"
    path.write_text('{"user": "ann"}\n{"user": ' + "[" * 500_000 + "]" * 500_000 + "}\n")
    arguments = ["--stream", STREAM, "--partition-key", "user", str(path)]
    assert send(*arguments) == 2
    assert "line 2: JSON nested too deeply" in capsys.readouterr().err
    assert endpoint.request_count == 0
    pipe(path.read_bytes())
    assert send("--follow", *arguments[:-1]) == 1
    assert "line 2: JSON nested too deeply" in capsys.readouterr().err
    assert [entry.partition_key for entry in endpoint.stored("kinesis")] == ["ann"]


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
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any, pipe: Callable[[bytes], None]
) -> None:
    failed = tmp_path / "failed"
    pipe(b'{"id": "1"}\nbroken\n{"id": "2"}\n')
    arguments = ["--follow", "--partition-key", "id", "--failed", str(failed)]
    assert send("--stream", STREAM, *arguments) == 1
    assert "line 2: not JSON" in capsys.readouterr().err
    assert failed.read_bytes() == b"broken\n"
    assert endpoint.count("kinesis") == 2


@pytest.mark.parametrize("end", [b"\nlast\n", b"\r\nlast", b""])
def test_a_line_too_long_is_skipped_while_others_are_on_their_way(
    send: Command,
    endpoint: Endpoint,
    tmp_path: Path,
    capsys: Any,
    pipe: Callable[[bytes], None],
    end: bytes,
) -> None:
    failed = tmp_path / "failed"
    good = [b"%d" % n for n in range(20)] + [b"y" * LONGEST]
    pipe(b"\r\n".join(good) + b"\r\n" + b"x" * 3 * LONGEST + end)
    assert send("--topic", TOPIC, "--follow", "--failed", str(failed)) == 1
    stored = {entry.data for entry in endpoint.stored("sns")}
    assert stored == {*good, *([b"last"] if end else [])}
    captured = capsys.readouterr()
    assert "line 22: more than 1,048,576 bytes" in captured.err
    assert f"1 lost lines are not in {failed}" in captured.err
    assert f"accepted {len(stored)} = delivered {len(stored)}" in captured.out
    assert "1 line could not be sent at all" in captured.out
    assert failed.read_bytes() == b""


def test_a_line_just_too_long_does_not_take_the_next_with_it(
    send: Command, endpoint: Endpoint, pipe: Callable[[bytes], None]
) -> None:
    for more in (1, 2, 3):
        for line_end in (b"\n", b"\r\n"):
            endpoint.clear()
            pipe(b"x" * (LONGEST + more) + line_end + b"next" + line_end)
            assert send("--topic", TOPIC, "--follow") == 1
            assert [entry.data for entry in endpoint.stored("sns")] == [b"next"]


def test_what_a_file_got_after_the_check_is_looked_at_too(
    send: Command,
    endpoint: Endpoint,
    tmp_path: Path,
    capsys: Any,
    once_checked: Callable[..., None],
) -> None:
    path, failed = tmp_path / "events", tmp_path / "failed"
    path.write_bytes(b'{"id": "1"}\n{"id": "2"}\n')

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b'a stack trace\n{"id": ""}\n' + b"x" * 11 * LONGEST + b'\n{"id": "3"}\n')

    once_checked(grow)
    arguments = ["--partition-key", "id", "--failed", str(failed), str(path)]
    assert send("--stream", STREAM, *arguments) == 1
    captured = capsys.readouterr()
    for complaint in ("line 3: not JSON", "line 4: PartitionKey", "line 5: more than 10,485,760"):
        assert complaint in captured.err
    assert failed.read_bytes() == b'a stack trace\n{"id": ""}\n'
    assert sorted(entry.partition_key for entry in endpoint.stored("kinesis")) == ["1", "2", "3"]
    assert "accepted 3 = delivered 3" in captured.out
    assert "3 lines could not be sent at all" in captured.out


def test_a_file_that_has_become_shorter_is_no_success(
    send: Command,
    endpoint: Endpoint,
    lines: Path,
    capsys: Any,
    once_checked: Callable[..., None],
) -> None:
    once_checked(lambda: os.truncate(lines, 4))
    assert send("--topic", TOPIC, str(lines)) == 1
    assert endpoint.count("sns") == 1
    out = capsys.readouterr().out
    assert f"stopped after {lines}, line 1, 3 lines were not sent: --skip 1 goes on" in out


def test_a_read_that_fails_does_not_stop_what_is_on_its_way(
    send: Command, endpoint: Endpoint, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, inside = pty.openpty()
    tty.setraw(inside)
    os.write(inside, b"one\ntwo\n")
    os.close(inside)  # Linux says EIO to whoever reads on
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert send("--topic", TOPIC, "--follow") == 1
    captured = capsys.readouterr()
    assert "cannot read standard input: Input/output error" in captured.err
    assert "accepted 2 = delivered 2" in captured.out
    assert "stopped after standard input, line 2: --skip 2 goes on there" in captured.out
    assert endpoint.count("sns") == 2


def test_lost_lines_that_cannot_be_written_are_not_said_to_be(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.script(Answer(error=Error(403, "AuthorizationError")))
    path, failed = tmp_path / "lines", tmp_path / "failed"
    path.write_bytes(b"".join(b"%04d" % n + b"x" * 1000 + b"\n" for n in range(20)))
    done = subprocess.run(
        [
            *(sys.executable, "-c", LIMITED, "send", "--endpoint-url", endpoint.url),
            *("--topic", TOPIC, "--failed", str(failed), str(path)),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"could not all be written to {failed}: File too large".encode() in done.stderr
    assert b"to be sent again are in" not in done.stdout
    assert b"accepted 20 = delivered 0 + failed 20" in done.stdout


@full
def test_a_pipe_that_cannot_be_kept_is_one_line(
    send: Command,
    endpoint: Endpoint,
    capsys: Any,
    pipe: Callable[[bytes], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Path("/dev/full").open("r+b")  # noqa: SIM115 - the command closes it
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: device)
    pipe(b"one\n")
    assert send("--topic", TOPIC) == 2
    assert capsys.readouterr().err.endswith("(TMPDIR says where): No space left on device\n")
    assert device.closed
    assert endpoint.request_count == 0


def test_a_closed_standard_input_is_one_line(
    send: Command, endpoint: Endpoint, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert send("--topic", TOPIC) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "standard input is closed" in error


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["send", "--endpoint-url", "URL", "--topic", TOPIC, "LINES"], 1),
        (["send", "--endpoint-url", "URL", "--topic", TOPIC, "--dry-run", "LINES"], 0),
        (["send", "--help"], 0),
        (["doctor", "--endpoint-url", "URL", "--topic", TOPIC], 3),
    ],
)
def test_where_nobody_reads_the_exit_code_counts(
    endpoint: Endpoint, lines: Path, arguments: list[str], code: int, unbuffered: str
) -> None:
    endpoint.script(Answer(error=Error(403, "AuthorizationError")))
    reader, writer = os.pipe()
    os.close(reader)
    meant = {"LINES": str(lines), "URL": endpoint.url}
    with os.fdopen(writer, "wb") as nobody:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "publisher"),
                *(meant.get(each, each) for each in arguments),
            ],
            stdout=nobody,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": unbuffered,
                "PYTHONWARNINGS": "error",
            },
            timeout=60,
            check=False,
        )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


def test_no_region_and_no_credentials_are_said_before_anything_is_read(
    lines: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lines, "check", lambda *_: pytest.fail("something was read"))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["send", "--stream", STREAM, str(lines)]) == 2
    captured = capsys.readouterr()
    assert "You must specify a region" in captured.err
    assert captured.err.count("\n") == 1
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
