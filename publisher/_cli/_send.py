"""``python -m publisher send``: lines to a destination, and an account of every one."""

from __future__ import annotations

import argparse
import math
from typing import Any

from .. import _clock
from .._account.ledger import Ledger
from .._account.losses import lost_text
from .._aws.secrets import told
from .._client import Client
from .._counting import counted
from .._publisher import Publisher
from ..errors import InvalidMessage
from ..services import by_option, flag
from ._console import InputError, check_endpoint, say
from ._destination import Destination, named_in, reason
from ._failed import Failed
from ._lines import Lines, Place
from ._progress import watching
from ._stopping import Signals, Stopped

LOST, INTERRUPTED = 1, 130
_LOOK_EVERY = 0.2  # seconds
_LAST_CALLBACKS = 30.0  # seconds


def add_to(commands: Any) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "send",
        help="send lines to a topic, a stream or the like",
        description="Send each line of the files, or of standard input, as one message. All input"
        " is checked before anything is sent. Empty lines are left out, gzip's files unpacked. FIFO"
        " destinations are refused: a line has no group.",
        epilog="exit code: 0 all delivered, 1 something was lost or not read to its end,"
        " 2 bad input and nothing sent, 130 or 143 stopped by Ctrl-C or SIGTERM (what had been read"
        " was delivered, unless it came twice)",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    for name, service in by_option().items():
        where.add_argument(flag(name), metavar="NAME", help=service.option_help)
    parser.add_argument("files", nargs="*", metavar="FILE", help="default, and -: standard input")
    parser.add_argument(
        "--partition-key",
        metavar="FIELD",
        help="each line is a JSON object, this field of it the partition key; default: keys that"
        " spread the lines over all shards",
    )
    for name, (words, _) in _details().items():
        parser.add_argument(flag(name), metavar="TEXT", help=words)
    parser.add_argument(
        "--failed",
        metavar="FILE",
        help="write the lines that were lost there, to be sent again; a new file, or an empty one"
        " of your own, that only you can read",
    )
    parser.add_argument(
        "--skip",
        metavar="N",
        type=_count,
        default=0,
        help="leave out the first N lines of all the input, as a stopped run said",
    )
    parser.add_argument("--dry-run", action="store_true", help="check the input, send nothing")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="send lines as they come through a pipe (tail -n +1 -F FILE | ...): a bad one is"
        " reported, skipped, and counts as lost",
    )
    parser.add_argument("--region", help="default: the ARN's, or boto3's")
    parser.add_argument("--endpoint-url", metavar="URL", help="in place of AWS's own")
    parser.add_argument(
        "--quiet", action="store_true", help="no bar, and no account of what went well"
    )
    parser.set_defaults(run=run)


def _details() -> dict[str, tuple[str, str]]:
    """What else messages can be given: words, and the option of the service that takes it."""
    return {
        name: (f"{words}; default: {default}", flag(option))
        for option, service in by_option().items()
        for name, (default, words) in service.details.items()
    }


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


_count.__name__ = "number of lines"  # argparse says: invalid ... value


def run(options: argparse.Namespace) -> int:
    """Send the lines. Raises InputError where nothing could be sent."""
    ((service, name),) = named_in(options)
    if options.partition_key is not None and not service.has_key:
        keyed = ", ".join(flag(key) for key, each in by_option().items() if each.has_key)
        raise InputError(
            f"--partition-key is for {keyed}: a {service.option.replace('_', ' ')} has none"
        )
    if options.dry_run and options.follow:
        raise InputError("--dry-run checks all input, which --follow does not wait for")
    check_endpoint(options.endpoint_url)
    details = {name: value for name in _details() if (value := getattr(options, name)) is not None}
    for unknown in details.keys() - service.details:
        raise InputError(f"{flag(unknown)} is for {_details()[unknown][1]}")
    destination = Destination(service, name, options.partition_key, **details)
    if not options.dry_run:
        _check_way(options, destination)
    lines = Lines(
        options.files, destination.service.max_message, options.skip, follow=options.follow
    )
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
        failed = Failed(destination, options.failed)
        try:
            return _Sending(options, destination, lines, count, failed).run()
        finally:
            failed.close()
    finally:
        lines.close()


def _client(publisher: Publisher, options: argparse.Namespace, destination: Destination) -> Client:
    kwargs = {
        "region_name": options.region or destination.region,
        "endpoint_url": options.endpoint_url,
    }
    service: Any = destination.service.name
    given: dict[str, Any] = {name: value for name, value in kwargs.items() if value}
    client: Client = publisher.client(service, **given)
    return client


def _check_way(options: argparse.Namespace, destination: Destination) -> None:
    """See that boto3 has what it needs, before any input is read. Raises InputError."""
    from .._aws import sessions as _sessions
    from .._doctoring.live import ENDPOINT_RULE, parts_of

    with Publisher() as trial:
        try:
            url = _client(trial, options, destination).meta.endpoint_url
        except Exception as error:  # noqa: BLE001 - whatever boto3 says, nothing can be sent
            raise InputError(told(error)) from None
    if parts_of(url) is None:  # boto3 looks less closely
        raise InputError(f"the endpoint URL that boto3 is set to: {ENDPOINT_RULE}")
    if _sessions.current().get_credentials() is None:
        raise InputError("no credentials were found; `aws configure`, or AWS_ACCESS_KEY_ID ...")


def _show_plan(destination: Destination, count: int, size: int) -> None:
    limits = destination.service.limits
    requests = max(math.ceil(count / limits.entries), math.ceil(size / limits.bytes))
    say(
        f"{counted(count, 'line')}, {size:,} bytes, would go to {destination.name}"
        f" in {counted(requests, 'request')} or more; nothing was sent"
    )


class _Sending:
    """One run: send, drain, report."""

    def __init__(
        self,
        options: argparse.Namespace,
        destination: Destination,
        lines: Lines,
        count: int | None,
        failed: Failed,
    ) -> None:
        self._destination = destination
        self._lines = lines
        self._count = count
        self._failed = failed
        self._quiet = options.quiet
        self._handed = 0  # lines that were accepted
        self._refused = 0  # lines that cannot be sent
        self._done = Place(0, "")  # the line up to which all were one or the other
        self._unreadable = False
        # A command would rather wait for room in the buffer than lose a message.
        self._publisher = Publisher(max_block=None, hooks=[failed])
        kwargs = {
            "region_name": options.region or destination.region,
            "endpoint_url": options.endpoint_url,
        }
        service: Any = destination.service.name
        given: dict[str, Any] = {name: value for name, value in kwargs.items() if value}
        self._client: Client = self._publisher.client(service, **given)

    def run(self) -> int:
        began = _clock.now()
        stats = self._publisher.stats
        service = self._destination.service
        with Signals() as signals:
            with watching(lambda: stats().total, self._count, service, quiet=self._quiet):
                self._send_all(signals)
                drained = self._drain(signals)
            ledger = self._publisher.close(timeout=None if drained else 0)
            core = self._publisher._core
            if core is not None:
                core.runtime.wait_for_end(_LAST_CALLBACKS)  # what was abandoned is written too
        lost = ledger.failed + ledger.dropped + self._refused
        self._report(ledger, _clock.now() - began)
        self._report_failed(lost)
        rest = self._report_rest(ledger, bool(signals.count))
        if signals.count:
            return signals.code
        return LOST if lost or rest or self._unreadable else 0

    def _send_all(self, signals: Signals) -> None:
        try:
            signals.reading = True
            if not signals.count:
                for line in self._lines:
                    self._send(line)
            signals.reading = False
        except Stopped:
            say("send: stopping; delivering what was read ...", error=True)
        except InputError as error:  # no reason to abandon what is on its way
            signals.reading = False
            self._unreadable = True
            say(f"send: {error}; delivering what was read ...", error=True)

    def _send(self, line: bytes | None) -> None:
        try:
            if line is None:
                raise InputError(self._lines.too_long)
            getattr(self._client, self._destination.service.single)(
                **self._destination.params(line)
            )
            # First: whatever a signal comes between, one more was accepted than was handed.
            self._done = self._lines.place
            self._handed += 1
        except InvalidMessage as error:
            self._refuse(line, reason(error))
        except InputError as error:
            self._refuse(line, str(error))

    def _refuse(self, line: bytes | None, why: str) -> None:
        say(f"send: {self._lines.place.where}: {why}", error=True)
        if line is not None:
            self._failed.keep(line)
        self._refused += 1
        self._done = self._lines.place

    def _drain(self, signals: Signals) -> bool:
        """Wait for what is on its way; False if a second signal gave it up."""
        told_of = signals.count
        while self._publisher.flush(_LOOK_EVERY):
            if signals.count > 1:
                say("send: abandoning the rest", error=True)
                return False
            if signals.count > told_of:
                say("send: all was read; delivering what is on its way ...", error=True)
                told_of = signals.count
        return True

    def _report(self, ledger: Ledger, seconds: float) -> None:
        if not self._quiet:
            say(str(ledger))
            rate = ledger.delivered / seconds if seconds else 0.0
            say(f"{seconds:.1f} s, {rate:,.0f} messages a second, to {self._destination.name}")
        if text := lost_text(ledger):
            say(text, error=self._quiet)
        if self._refused:
            say(f"{counted(self._refused, 'line')} could not be sent at all", error=self._quiet)

    def _report_failed(self, lost: int) -> None:
        failed, path = self._failed, self._failed.path
        failed.close()
        if path is None or not lost:
            return
        if failed.error is not None:
            why = failed.error.strerror
            say(f"send: the lost lines could not all be written to {path}: {why}", error=True)
            return
        if failed.written:
            say(f"{counted(failed.written, 'line')} to be sent again: {path}", error=self._quiet)
        if failed.written < lost:
            say(f"send: {lost - failed.written:,} lost lines are not in {path}", error=True)

    def _report_rest(self, ledger: Ledger, stopped: bool) -> bool:
        """Say where to go on; True where less was read than had been checked."""
        # A signal may have come between the acceptance of a line and our own count of it.
        last = self._lines.place if ledger.accepted > self._handed else self._done
        # More than none also where a file has become shorter since it was checked.
        read = ledger.accepted + self._refused
        rest = 0 if self._count is None else max(0, self._count - read)
        if rest or self._unreadable or (stopped and self._count is None):
            left = f", {counted(rest, 'line', 'were')} not sent" if rest else ""
            after = f"after {last.where}" if last.lines else "before the first line"
            say(f"stopped {after}{left}: --skip {last.lines} goes on there", error=self._quiet)
        return bool(rest)
