"""What `send` reads: compressed, marked, followed, skipped, named twice; and what it prints."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.configprovider
import pytest

from publisher._cli import main
from tests.servers import Answer, Endpoint, Error
from tests.support import SOON, STREAM, TOPIC

pytestmark = pytest.mark.heavy  # a process each

Command = Callable[..., int]
LONGEST = 1024 * 1024  # bytes that SNS takes
#: An old botocore takes no endpoint from the environment.
READS_ENDPOINT = hasattr(botocore.configprovider, "ConfiguredEndpointProvider")


@pytest.fixture
def send(endpoint: Endpoint) -> Command:
    def run(*arguments: str) -> int:
        try:
            return main(["send", "--endpoint-url", endpoint.url, *arguments])
        except SystemExit as end:
            return int(end.code or 0)

    return run


def run(
    endpoint: Endpoint, *arguments: str, stdin: Any = subprocess.DEVNULL
) -> subprocess.CompletedProcess[bytes]:
    """In a process of its own."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "publisher", "send", "--endpoint-url", endpoint.url),
            *arguments,
        ],
        **({"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}),
        capture_output=True,
        timeout=60,
        check=False,
    )


def stored(endpoint: Endpoint, service: str = "sns") -> list[bytes]:
    return sorted(entry.data for entry in endpoint.stored(service))


# -- compressed and marked files


def test_a_gzip_file_is_unpacked(send: Command, endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "app.log.1.gz"
    # As logrotate and `cat a.gz b.gz` leave them: one part after the other.
    path.write_bytes(gzip.compress(b"one\n\ntwo\r\n", mtime=0) + gzip.compress("three 😀".encode()))
    assert send("--topic", TOPIC, str(path)) == 0
    assert stored(endpoint) == [b"one", "three 😀".encode(), b"two"]


def test_gzip_on_standard_input_is_unpacked(endpoint: Endpoint) -> None:
    packed = gzip.compress(b"one\ntwo\n", mtime=0)
    for more in ([], ["--follow"], ["-"]):
        endpoint.clear()
        done = run(endpoint, "--stream", STREAM, *more, stdin=packed)
        assert done.returncode == 0, done.stderr
        assert stored(endpoint, "kinesis") == [b"one", b"two"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (gzip.compress(b"one\ntwo\n" * 1000, mtime=0)[:-12], "cannot read"),
        (gzip.compress(b"one\n", mtime=0)[:12] + b"\xff" * 20, "cannot read"),
        (b"one\ntwo\n", "is not what gzip makes"),
    ],
    ids=["cut", "damaged", "plain"],
)
def test_a_damaged_gzip_file_is_one_line_and_nothing_is_sent(
    send: Command,
    endpoint: Endpoint,
    tmp_path: Path,
    capsys: Any,
    content: bytes,
    complaint: str,
) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    assert send("--stream", STREAM, str(path)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert complaint in error
    assert endpoint.request_count == 0


def test_a_line_over_the_limit_is_refused_whatever_it_unpacks_to(
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(200):
            file.write(b"x" * LONGEST)
    assert path.stat().st_size < LONGEST
    assert send("--topic", TOPIC, str(path)) == 2
    assert "line 1: more than 1,048,576 bytes" in capsys.readouterr().err
    assert endpoint.request_count == 0


def test_the_mark_of_utf_8_is_no_part_of_the_first_line(
    send: Command, endpoint: Endpoint, tmp_path: Path
) -> None:
    mark = b"\xef\xbb\xbf"
    plain, packed = tmp_path / "plain", tmp_path / "packed.gz"
    plain.write_bytes(mark + b'{"user": "ann"}\n')
    packed.write_bytes(gzip.compress(mark + b'{"user": "bob"}\n', mtime=0))
    files = [str(plain), str(packed)]
    assert send("--stream", STREAM, "--partition-key", "user", *files) == 0
    assert stored(endpoint, "kinesis") == [b'{"user": "ann"}', b'{"user": "bob"}']
    done = run(endpoint, "--stream", STREAM, "--follow", stdin=mark + b"\nlast")
    assert done.returncode == 0, done.stderr
    assert b"last" in stored(endpoint, "kinesis")


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("one\ntwo\n".encode("utf-16"), "iconv -f UTF-16 -t UTF-8"),
        (b"\xfe\xff" + "one\n".encode("utf-16-be"), "iconv -f UTF-16 -t UTF-8"),
        ("one\n".encode("utf-32"), "iconv -f UTF-32 -t UTF-8"),
        (gzip.compress("one\n".encode("utf-16"), mtime=0), "iconv -f UTF-16 -t UTF-8"),
        (b"\xfd7zXZ\x00" + b"x" * 20, "xz -dc"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 20, "zstd -dc"),
        (b"BZh91AY&SY" + b"x" * 20, "bzip2 -dc"),
        (b"PK\x03\x04" + b"x" * 20, "unzip -p"),
    ],
    ids=["UTF-16", "UTF-16-BE", "UTF-32", "UTF-16 in gzip", "xz", "zstd", "bzip2", "zip"],
)
@pytest.mark.parametrize("piped", [False, True])
def test_what_has_no_lines_in_it_is_refused_with_what_to_type(
    endpoint: Endpoint, tmp_path: Path, content: bytes, advice: str, piped: bool
) -> None:
    path = tmp_path / "lines"
    path.write_bytes(content)
    if piped:
        done = run(endpoint, "--stream", STREAM, "--follow", stdin=content)
        assert done.returncode == 1  # as for whatever cannot be read half-way
    else:
        done = run(endpoint, "--stream", STREAM, str(path))
        assert done.returncode == 2
        assert done.stderr.count(b"\n") == 1
    assert advice.encode() in done.stderr
    assert endpoint.request_count == 0


@pytest.mark.parametrize("content", [b"", b"B\n", b"BZh\n", b"\x1f", b"\xef\xbb", b"P\nK\n", b"\n"])
def test_what_only_begins_like_a_mark_is_sent_as_it_is(endpoint: Endpoint, content: bytes) -> None:
    for more in ([], ["--follow"]):
        endpoint.clear()
        done = run(endpoint, "--stream", STREAM, *more, stdin=content)
        assert done.returncode == 0, done.stderr
        assert stored(endpoint, "kinesis") == sorted(filter(None, content.split(b"\n")))


# -- following, and the same input twice


def test_following_a_file_is_refused_with_the_way_to_do_it(
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\n")
    assert send("--topic", TOPIC, "--follow", str(path)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"tail -n +1 -F {path} | python -m publisher send --follow" in error
    with path.open("rb") as file:
        done = run(endpoint, "--topic", TOPIC, "--follow", stdin=file)
    assert done.returncode == 2
    assert b"tail -n +1 -F FILE" in done.stderr
    assert endpoint.request_count == 0


def test_the_way_to_follow_a_file_survives_its_rotation(endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\n")
    command = [sys.executable, "-m", "publisher", "send", "--endpoint-url", endpoint.url]
    with (
        subprocess.Popen(
            ["tail", "-n", "+1", "-F", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as tail,
        subprocess.Popen(
            [*command, "--topic", TOPIC, "--follow"], stdin=tail.stdout, stdout=subprocess.PIPE
        ) as sending,
    ):
        try:
            endpoint.wait_for(lambda: endpoint.count("sns") == 1, SOON)
            path.rename(tmp_path / "app.log.1")
            path.write_bytes(b"two\n")
            endpoint.wait_for(lambda: endpoint.count("sns") == 2, SOON)
            tail.terminate()
            assert sending.wait(SOON) == 0
        finally:
            tail.kill()
            sending.kill()
    assert stored(endpoint) == [b"one", b"two"]


def test_the_same_input_twice_is_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    path, link = tmp_path / "lines", tmp_path / "current"
    path.write_bytes(b"one\ntwo\n")
    link.symlink_to(path)
    for files, stdin in (
        (["-", "-"], path),
        ([str(path), str(path)], None),
        ([str(path), str(link)], None),
        ([str(path), "-"], path),
        (["-", "/dev/stdin"], path),
    ):
        with contextlib.ExitStack() as stack:
            given = stack.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL
            done = run(endpoint, "--topic", TOPIC, *files, stdin=given)
        assert done.returncode == 2, (files, done.stdout)
        assert b"would be sent twice" in done.stderr
        assert done.stderr.count(b"\n") == 1
    assert endpoint.request_count == 0


# -- going on


def test_skip_goes_on_after_a_line_of_all_the_input(
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any
) -> None:
    one, two = tmp_path / "one", tmp_path / "two.gz"
    one.write_bytes(b"a1\n\n" + b"x" * (LONGEST + 5) + b"\na4\n")  # the third cannot be sent
    two.write_bytes(gzip.compress(b"\nb2\nb3\n", mtime=0))
    files = [str(one), str(two)]
    for skip, expected in ((3, [b"a4", b"b2", b"b3"]), (5, [b"b2", b"b3"]), (7, [])):
        endpoint.clear()
        assert send("--topic", TOPIC, "--skip", str(skip), *files) == 0
        assert stored(endpoint) == expected
    capsys.readouterr()
    assert send("--topic", TOPIC, "--skip", "8", *files) == 2
    assert "--skip 8: the input has 7 lines" in capsys.readouterr().err
    for wrong in ("-1", "x", "1.5"):
        assert send("--topic", TOPIC, "--skip", wrong, *files) == 2
        assert "invalid number of lines value" in capsys.readouterr().err
    done = run(endpoint, "--topic", TOPIC, "--skip", "1", stdin=b"p1\n\np3\n")
    assert done.returncode == 0
    assert stored(endpoint) == [b"p3"]


class Slow:
    """An endpoint that holds all requests from the second on until it is told."""

    def __init__(self, endpoint: Endpoint, after: int) -> None:
        self.go = threading.Event()
        self._left = after
        self._lock = threading.Lock()
        endpoint.script(self)

    def __call__(self, _: Any) -> Answer:
        with self._lock:
            self._left -= 1
            return Answer() if self._left >= 0 else Answer(hold=self.go)


@contextlib.contextmanager
def sending(endpoint: Endpoint, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "publisher", "send", "--endpoint-url", endpoint.url]
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ends_of(out: bytes) -> tuple[str, int]:
    """Where a stopped run says that it stopped, and the number to go on with."""
    (line,) = [each for each in out.decode().splitlines() if each.startswith("stopped after")]
    return line, int(line.partition("--skip ")[2].split()[0])


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_stopped_run_says_from_which_line_to_go_on(
    endpoint: Endpoint, tmp_path: Path, number: str
) -> None:
    files = [tmp_path / name for name in ("a", "b", "c")]
    for path in files:
        path.write_bytes(b"".join(b"%s%d\n\n" % (path.name.encode(), n) for n in range(8000)))
    slow = Slow(endpoint, 3)
    arguments = ["--stream", STREAM, *map(str, files)]
    with sending(endpoint, *arguments) as process:
        assert process.stderr is not None
        endpoint.wait_for(lambda: endpoint.count("kinesis") >= 500, SOON)
        process.send_signal(getattr(signal, number))
        said = process.stderr.readline()
        assert b"stopping" in said
        slow.go.set()
        out, errors = process.communicate(timeout=SOON)
    assert process.returncode == {"SIGINT": 130, "SIGTERM": 143}[number], errors
    line, skip = ends_of(out)
    assert b" + failed 0 + dropped 0 " in out
    sent = stored(endpoint, "kinesis")
    assert 500 <= len(sent) == len(set(sent)) < 24_000
    file, within = divmod(skip - 1, 16_000)
    assert f"{files[file]}, line {within + 1:,}, {24_000 - len(sent):,} lines were not sent" in line
    endpoint.script(None)
    done = run(endpoint, *arguments, "--skip", str(skip))
    assert done.returncode == 0, done.stderr
    sent = stored(endpoint, "kinesis")
    assert len(sent) == len(set(sent)) == 24_000


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_the_first_signal_after_all_was_read_drains(
    endpoint: Endpoint, tmp_path: Path, number: str
) -> None:
    path, failed = tmp_path / "lines", tmp_path / "failed"
    path.write_bytes(b"".join(b"%d\n" % n for n in range(9000)))
    slow = Slow(endpoint, 2)
    with sending(endpoint, "--stream", STREAM, "--failed", str(failed), str(path)) as process:
        assert process.stderr is not None
        # The buffer takes all 9,000, so that ten requests on hold mean that all was read, or will
        # be before the signal's line can be written twice.
        endpoint.wait_for(lambda: endpoint.count("kinesis") >= 1000, SOON)
        process.send_signal(getattr(signal, number))
        said = process.stderr.readline()
        assert b"delivering what" in said
        slow.go.set()
        out, errors = process.communicate(timeout=SOON)
    assert process.returncode == {"SIGINT": 130, "SIGTERM": 143}[number], errors
    assert b" + failed 0 + dropped 0 " in out
    assert failed.read_bytes() == b""
    sent = stored(endpoint, "kinesis")
    if b"stopping" in said:  # it came while lines were read, on a busy machine
        assert ends_of(out)[1] == len(sent)
    else:
        assert len(sent) == 9000


# -- the file of lost lines


def lose(send: Command, endpoint: Endpoint, tmp_path: Path, failed: Path) -> int:
    endpoint.script(Answer(error=Error(403, "AuthorizationError")))
    path = tmp_path / "lines"
    path.write_bytes(b"secret\n")
    return send("--topic", TOPIC, "--failed", str(failed), str(path))


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
def test_lost_lines_are_private(send: Command, endpoint: Endpoint, tmp_path: Path) -> None:
    new, empty = tmp_path / "new", tmp_path / "empty"
    empty.touch(0o666)
    for path in (new, empty):
        assert lose(send, endpoint, tmp_path, path) == 1
        assert path.read_bytes() == b"secret\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory", "device", "full"])
def test_lost_lines_go_to_nothing_but_a_new_or_empty_file(
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any, kind: str
) -> None:
    path, target = tmp_path / "failed", tmp_path / "target"
    if kind == "link":
        target.touch(0o644)
        path.symlink_to(target)
    elif kind == "dangling":
        path.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path = Path(os.devnull)
    else:
        path.write_bytes(b"lost before\n")
    assert lose(send, endpoint, tmp_path, path) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert endpoint.request_count == 0
    if kind == "link":
        assert target.read_bytes() == b""
        assert stat.S_IMODE(target.stat().st_mode) == 0o644
    else:
        assert not target.exists()


def test_lost_lines_do_not_go_through_a_fifo_that_is_read(
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "failed"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert lose(send, endpoint, tmp_path, path) == 2
        assert "is no regular file" in capsys.readouterr().err
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_lost_lines_do_not_go_to_another_user(
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "failed"
    path.touch(0o666)
    os.chown(path, 65534, 65534)
    assert lose(send, endpoint, tmp_path, path) == 2
    assert "belongs to another user" in capsys.readouterr().err
    assert path.read_bytes() == b""


# -- what is printed

FORGED = "x\n2026-01-01 CRITICAL root: all is lost\x1b[2J\u202e"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--topic", TOPIC, FORGED],
        ["--topic", FORGED, "LINES"],
        ["--topic", TOPIC, "--failed", "missing/" + FORGED, "LINES"],
        ["--topic", TOPIC, "--region", FORGED, "LINES"],
        ["--topic", TOPIC, "--endpoint-url", FORGED, "LINES"],
        ["--topic", TOPIC, "--skip", FORGED, "LINES"],
        ["--topic", TOPIC, "--" + FORGED, "LINES"],
        ["--stream", STREAM, "--partition-key", FORGED, "LINES"],
    ],
)
def test_what_is_printed_forges_no_line(
    send: Command, endpoint: Endpoint, tmp_path: Path, capsys: Any, arguments: list[str]
) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(b"{}\n")
    code = send(*[str(lines) if each == "LINES" else each for each in arguments])
    captured = capsys.readouterr()
    assert (code, captured.err.count("\n")) == (2, 1)
    assert not set(captured.err + captured.out) & {"\x1b", "\u202e"}
    assert endpoint.request_count == 0


def test_a_file_name_that_no_stream_can_print_is_escaped(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xf0\x9f\x98\x80\n"
    Path(os.fsdecode(path)).write_bytes(b"\xff\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "publisher", "send", "--endpoint-url", endpoint.url),
            *("--topic", TOPIC, path),
        ],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert rb"\udcff\U0001f600\n, line 1: not UTF-8" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "url",
    [
        "http//user:hunter2@localhost",
        "http://user:hunter2@localhost:99999",
        "user:hunter2@localhost:4566",
    ],
)
@pytest.mark.parametrize("how", ["option", "environment"])
def test_secrets_of_an_endpoint_are_not_printed(tmp_path: Path, url: str, how: str) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n")
    option = ["--endpoint-url", url] if how == "option" else []
    commands = [["doctor", "--topic", TOPIC], ["send", "--topic", TOPIC, str(path)]]
    if not option and not READS_ENDPOINT:  # it would send to AWS's own
        commands = [["doctor"]]
    for command in commands:
        done = subprocess.run(
            [*(sys.executable, "-m", "publisher"), *command, *option],
            capture_output=True,
            env={**os.environ, **({} if option else {"AWS_ENDPOINT_URL": url})},
            timeout=60,
            check=False,
        )
        assert done.returncode in (2, 3), done
        assert b"hunter2" not in done.stdout + done.stderr
