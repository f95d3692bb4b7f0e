"""``python -m publisher send``: lines to a topic or a stream, and an account of every one."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from .. import _clock
from .._losses import lost_text
from .._publisher import Publisher
from .._signals import install_signal_handlers
from .._stats import Ledger
from ..errors import InvalidMessage
from ..hooks import Hook
from . import InputError, check_endpoint, say
from ._lines import Destination, Lines, reason

LOST, INTERRUPTED = 1, 130
_PROGRESS_EVERY = 0.2  # seconds
_LAST_CALLBACKS = 30.0  # seconds


def add_to(commands: Any) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "send",
        help="send lines to a topic or a stream",
        description="Send each line of the files, or of standard input, as one message. All input"
        " is checked before anything is sent. Empty lines are skipped.",
        epilog="exit code: 0 all delivered, 1 something was lost or not read to its end,"
        " 2 bad input and nothing sent, 130 interrupted (what had been read was delivered)",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--topic", metavar="ARN", help="an SNS topic, no FIFO one")
    where.add_argument("--stream", metavar="NAME", help="a Kinesis stream, or its ARN")
    parser.add_argument("files", nargs="*", metavar="FILE", help="default, and -: standard input")
    parser.add_argument(
        "--partition-key",
        metavar="FIELD",
        help="each line is a JSON object, this field of it the partition key; default: keys that"
        " spread the lines over all shards",
    )
    parser.add_argument(
        "--failed", metavar="FILE", help="write the lines that were lost there, to be sent again"
    )
    parser.add_argument("--dry-run", action="store_true", help="check the input, send nothing")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="send lines as they come: a bad one is reported, skipped, and counts as lost",
    )
    parser.add_argument("--region", help="default: the ARN's, or boto3's")
    parser.add_argument("--endpoint-url", metavar="URL", help="in place of AWS's own")
    parser.set_defaults(run=run)


class Failed(Hook):
    """Writes the lines of lost messages to a file."""

    caller_context = False

    def __init__(self, destination: Destination, file: IO[bytes] | None) -> None:
        self._destination = destination
        self._file = file
        self.written = 0
        self.error: OSError | None = None  # the first that the file met

    def on_failed(self, event: Any) -> None:
        """Keep the line."""
        self.keep(self._destination.line(event.params))

    def on_dropped(self, event: Any) -> None:
        """Keep the line."""
        self.keep(self._destination.line(event.params))

    def keep(self, line: bytes) -> None:
        """Write ``line``, if there is a file."""
        if self._file is None:
            return
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            self.error = self.error or error
        else:
            self.written += 1

    def close(self) -> None:
        """Have everything in the file: only then is it known whether it took it."""
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error


def run(options: argparse.Namespace) -> int:
    """Send. Raises InputError if nothing could be."""
    if options.partition_key is not None and options.stream is None:
        raise InputError("--partition-key is for --stream: a topic has no partition keys")
    check_endpoint(options.endpoint_url)
    destination = Destination(options.topic, options.stream, options.partition_key)
    lines = Lines(options.files, destination.service.max_message)
    try:
        if options.failed is not None and lines.holds(options.failed):
            raise InputError(f"--failed {options.failed} is one of the files to send")
        count: int | None = None
        if not options.follow:
            try:
                count, size = lines.check(destination.size)
            except KeyboardInterrupt:
                say("send: interrupted while checking; nothing was sent", error=True)
                return INTERRUPTED
            if options.dry_run:
                _show_plan(destination, count, size)
                return 0
        elif options.dry_run:
            raise InputError("--dry-run checks all input, which --follow does not wait for")
        with _opened(options.failed) as file:
            return _Sending(options, destination, lines, count, file).run()
    finally:
        lines.close()


def _show_plan(destination: Destination, count: int, size: int) -> None:
    limits = destination.service.limits
    requests = max(math.ceil(count / limits.entries), math.ceil(size / limits.bytes))
    say(
        f"{count:,} lines, {size:,} bytes, would go to {destination.name}"
        f" in {requests:,} requests or more; nothing was sent"
    )


@contextlib.contextmanager
def _opened(path: str | None) -> Iterator[IO[bytes] | None]:
    if path is None:
        yield None
        return
    try:
        if Path(path).exists() and Path(path).stat().st_size:
            raise InputError(f"--failed {path} is not empty: it may hold what was lost before")
        file = Path(path).open("wb")  # noqa: SIM115 - opened before anything is sent
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    with file:
        yield file


class _Sending:
    """One run: send, drain, report."""

    def __init__(
        self,
        options: argparse.Namespace,
        destination: Destination,
        lines: Lines,
        count: int | None,
        file: IO[bytes] | None,
    ) -> None:
        self._destination = destination
        self._lines = lines
        self._count = count
        self._failed = Failed(destination, file)
        self._failed_path = options.failed
        self._refused = 0  # lines that cannot be sent
        self._unreadable = False
        # A command would rather wait for room in the buffer than lose a message.
        self._publisher = Publisher(max_block=None, hooks=[self._failed])
        kwargs = {
            "region_name": options.region or destination.region,
            "endpoint_url": options.endpoint_url,
        }
        self._client = self._publisher.client(
            destination.service.name, **{name: value for name, value in kwargs.items() if value}
        )
        self._next_update = 0.0

    def run(self) -> int:
        self._check_client()
        install_signal_handlers()
        began = _clock.now()
        stopped: BaseException | None = None
        abandoned = False
        with _progress(self._count) as show:
            try:
                try:
                    self._send_all(show)
                except InputError as error:  # no reason to abandon what is on its way
                    self._unreadable = True
                    say(f"send: {error}; delivering what was read ...", error=True)
                except (KeyboardInterrupt, SystemExit) as error:
                    stopped = error
                    say("send: stopping; delivering what was read ...", error=True)
                self._drain(show)
            except (KeyboardInterrupt, SystemExit) as error:
                stopped, abandoned = error, True
                say("send: abandoning the rest", error=True)
        ledger = self._publisher.close(timeout=0 if abandoned else None)
        core = self._publisher._core
        if core is not None:
            core.runtime.wait_for_end(_LAST_CALLBACKS)  # what was abandoned is written too
        lost = ledger.failed + ledger.dropped + self._refused
        read = ledger.accepted + self._refused
        # More than none also where a file has become shorter since it was checked.
        rest = 0 if self._count is None else max(0, self._count - read)
        self._report(ledger, _clock.now() - began)
        self._report_failed(lost)
        if rest:
            say(f"stopped: the first {read:,} lines were read, {rest:,} were not sent")
        if isinstance(stopped, SystemExit):
            return int(stopped.code or 0)
        if stopped is not None:
            return INTERRUPTED
        return LOST if lost or rest or self._unreadable else 0

    def _check_client(self) -> None:
        import boto3

        try:
            boto_client = self._client.meta
        except Exception as error:  # noqa: BLE001 - whatever boto3 says, nothing can be sent
            raise InputError(" ".join(str(error).split())) from None
        del boto_client
        if boto3.Session().get_credentials() is None:
            raise InputError("no credentials were found; `aws configure`, or AWS_ACCESS_KEY_ID ...")

    def _send_all(self, show: Callable[[Ledger], None]) -> None:
        send = getattr(self._client, self._destination.service.single)
        params = self._destination.params
        for number, line in enumerate(self._lines):
            try:
                if line is None:
                    raise InputError(self._lines.too_long)
                send(**params(line))
            except InvalidMessage as error:
                self._refuse(line, reason(error))
            except InputError as error:
                self._refuse(line, str(error))
            if number % 100 == 0:
                self._update(show)

    def _refuse(self, line: bytes | None, why: str) -> None:
        say(f"send: {self._lines.where}: {why}", error=True)
        self._refused += 1
        if line is not None:
            self._failed.keep(line)

    def _drain(self, show: Callable[[Ledger], None]) -> None:
        while self._publisher.flush(_PROGRESS_EVERY):
            self._update(show)
        show(self._publisher.stats().total)

    def _update(self, show: Callable[[Ledger], None]) -> None:
        now = _clock.now()
        if now >= self._next_update:
            self._next_update = now + _PROGRESS_EVERY
            show(self._publisher.stats().total)

    def _report(self, ledger: Ledger, seconds: float) -> None:
        say(str(ledger))
        rate = ledger.delivered / seconds if seconds else 0.0
        say(f"{seconds:.1f} s, {rate:,.0f} messages a second, to {self._destination.name}")
        if text := lost_text(ledger):
            say(text)
        if self._refused:
            say(f"{self._refused:,} lines could not be sent at all")

    def _report_failed(self, lost: int) -> None:
        failed, path = self._failed, self._failed_path
        failed.close()
        if path is None or not lost:
            return
        if failed.error is not None:
            why = failed.error.strerror
            say(f"send: the lost lines could not all be written to {path}: {why}", error=True)
            return
        if failed.written:
            say(f"{failed.written:,} lines to be sent again are in {path}")
        if failed.written < lost:
            say(f"send: {lost - failed.written:,} lost lines are not in {path}", error=True)


@contextlib.contextmanager
def _progress(total: int | None) -> Iterator[Callable[[Ledger], None]]:
    """A bar on a terminal, where rich is installed (the extra ``cli``); elsewhere nothing."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ModuleNotFoundError:
        say("send: no progress bar without rich: pip install 'boto3-publisher[cli]'", error=True)
        yield lambda _: None
        return
    columns = (BarColumn(), TextColumn("{task.fields[counts]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total, counts="")

        def show(ledger: Ledger) -> None:
            ended = ledger.delivered + ledger.failed + ledger.dropped
            counts = (
                f"{ledger.delivered:,} delivered, {ledger.failed + ledger.dropped:,} lost,"
                f" {ledger.retries:,} retries"
            )
            progress.update(task, completed=ended, counts=counts)

        yield show
