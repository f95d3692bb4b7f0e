"""``python -m publisher relay``: sends what all processes of a host leave in a spool."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from .._counting import counted
from .._spooling import Spool
from ._console import InputError, check_endpoint, say
from ._keys import add_key_file, read_keys
from ._stopping import Signals, Stopped

if TYPE_CHECKING:
    from .._account.ledger import SpoolStats
    from ..spool.relay import Relay

LEFT = 1
_LOOKS = 60.0  # seconds between two looks whether there is anything to wait for
_FIRST_LOOK = 30.0  # seconds


def add_to(commands: Any) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "relay",
        help="send what other processes leave in a spool",
        description='Send what the processes with Spool(DIR, send="relay") leave there, and what'
        " any process left that has died. Run it as the user that writes, one for a directory.",
        epilog="exit code: 0 stopped by Ctrl-C or SIGTERM (what is left stays for the next one), or"
        " --once and all was sent; 1 another relay has the directory, or --once and something"
        " stays or cannot be read; 2 bad input",
    )
    parser.add_argument("directory", metavar="DIR", help="the spool's directory")
    parser.add_argument(
        "--once", action="store_true", help="send what is there now, wait for its end, and end"
    )
    parser.add_argument(
        "--linger",
        metavar="SECONDS",
        type=_seconds,
        help="how long messages wait for company; default: as in any publisher",
    )
    parser.add_argument(
        "--metrics", metavar="PORT", type=_port, help="serve Prometheus's metrics at 127.0.0.1:PORT"
    )
    parser.add_argument(
        "--endpoint-url",
        metavar="URL",
        action="append",
        default=[],
        help="an endpoint that messages on disk may name, again for each; messages for any other"
        " one but AWS's own stay",
    )
    add_key_file(parser)
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 16:
        raise ValueError
    return number


_seconds.__name__ = "number of seconds"  # argparse says: invalid ... value
_port.__name__ = "port"


def run(options: argparse.Namespace) -> int:
    """Send until a signal comes. Raises InputError for what cannot be used."""
    from ..spool.relay import AnotherRelay, Relay

    for url in options.endpoint_url:
        check_endpoint(url)
    keys = read_keys(options.key_file)
    with Signals() as signals:
        try:
            relay = Relay(
                Spool(options.directory, key=keys),
                linger=options.linger,
                endpoints=options.endpoint_url,
                once=options.once,
            )
        except AnotherRelay as error:
            say(f"relay: {error}", error=True)
            return LEFT
        except (ValueError, ImportError) as error:
            raise InputError(str(error)) from None
        except OSError as error:
            raise InputError(f"{options.directory}: {error.strerror}") from None
        with relay:
            if options.metrics is not None:
                _serve(relay, options.metrics)
            is_over = _wait(relay, options, signals)
            return _stop(relay, options, is_over)


def _wait(relay: Relay, options: argparse.Namespace, signals: Signals) -> bool:
    """Wait for the end; whether, with ``--once``, there was one before a signal."""
    try:
        signals.reading = True
        if signals.count:
            raise Stopped
        relay.wait_for_look(_FIRST_LOOK)
        say(f"relay: {options.directory}: {_found(relay)}")
        while not relay.wait(_LOOKS):
            pass
        signals.reading = False
    except Stopped:
        say("relay: stopping; finishing what is on its way ...", error=True)
        return False
    return True


def _found(relay: Relay) -> str:
    on_disk = relay.on_disk
    text = f"{counted(on_disk.waiting, 'message')} of {counted(relay.owners, 'writer')} on disk"
    return text + _others(on_disk)


def _others(on_disk: SpoolStats) -> str:
    """What was not read."""
    if not on_disk.orphans:
        return ""
    return f", and files of {counted(on_disk.orphans, 'writer')} wait, or cannot be read"


def _stop(relay: Relay, options: argparse.Namespace, is_over: bool) -> int:
    ledger = relay.close()
    on_disk = relay.on_disk
    lost = ledger.failed + ledger.dropped
    say(
        f"relay: {ledger.delivered:,} delivered, {lost:,} lost, {on_disk.waiting:,} stay on disk"
        + _others(on_disk)
    )
    return LEFT if options.once and is_over and (on_disk.waiting or on_disk.orphans) else 0


def _serve(relay: Relay, port: int) -> None:
    try:
        from prometheus_client import CollectorRegistry, start_http_server

        from ..contrib.prometheus import PublisherCollector
    except ModuleNotFoundError:
        raise InputError("--metrics needs pip install 'boto3-publisher[prometheus]'") from None
    registry = CollectorRegistry()
    registry.register(PublisherCollector(relay.publisher))
    try:
        server, _ = start_http_server(port, "127.0.0.1", registry)
    except OSError as error:
        raise InputError(f"--metrics {port}: {error.strerror}") from None
    say(f"relay: metrics at http://127.0.0.1:{server.server_port}/metrics")
