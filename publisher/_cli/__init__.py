"""The commands behind ``python -m publisher``.

Bad input to any of them is one line on standard error and exit code 2, before anything is sent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

BAD_INPUT = 2


class InputError(Exception):
    """What a command was given is no good; the text is the one line for whoever gave it."""


class Parser(argparse.ArgumentParser):
    """Complains in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(BAD_INPUT, f"{self.prog}: {message} (--help shows what there is)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; 2 is bad input to all of them."""
    parser = Parser(prog="python -m publisher", description="boto3-publisher's commands.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("demo", help="the same lines through boto3 and publisher, on a local AWS")
    from ._doctor import add_to as add_doctor
    from ._send import add_to as add_send

    add_doctor(commands)
    add_send(commands)
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["demo"]:
        return _demo(given[1:])
    options = parser.parse_args(given)
    try:
        return int(options.run(options))
    except InputError as error:
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return BAD_INPUT


def _demo(arguments: Sequence[str]) -> int:
    from ..demo.__main__ import main as demo

    return demo(arguments)
