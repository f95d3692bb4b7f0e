"""The commands behind ``python -m publisher``.

Bad input to any of them is one line on standard error and exit code 2, before anything is sent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._console import BAD_INPUT, SCRIPT, InputError, Parser, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; 2 is bad input to all of them."""
    parser = make_parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["demo"]:
        return _demo(given[1:])
    options = parser.parse_args(given)
    try:
        return int(options.run(options))
    except InputError as error:
        say(f"{parser.prog} {options.command}: {error}", error=True)
        return BAD_INPUT


def make_parser() -> Parser:
    """The parser of all commands, under the name that they were called by."""
    called = Path(sys.argv[0]).name
    parser = Parser(
        prog=SCRIPT if called.startswith(SCRIPT) else "python -m publisher",
        description="boto3-publisher's commands.",
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("demo", help="the same lines through boto3 and publisher, on a local AWS")
    from ._completion import add_to as add_completion
    from ._doctor import add_to as add_doctor
    from ._relay import add_to as add_relay
    from ._send import add_to as add_send
    from ._spool import add_to as add_spool

    add_doctor(commands)
    add_send(commands)
    add_relay(commands)
    add_spool(commands)
    add_completion(commands, make_parser)
    return parser


class _Version(argparse.Action):
    """Prints which version this is, and the versions of what it uses."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="say which version this is")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        python = ".".join(map(str, sys.version_info[:3]))
        say(f"{SCRIPT} {version(SCRIPT)} (boto3 {version('boto3')}, Python {python})")
        parser.exit()


def _demo(arguments: Sequence[str]) -> int:
    from ..demo.__main__ import main as demo

    return demo(arguments)
