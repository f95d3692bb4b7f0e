"""The commands behind ``python -m publisher``.

Bad input to any of them is one line on standard error and exit code 2, before anything is sent.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .._text import escaped

BAD_INPUT = 2
#: The console script's name, and the distribution's.
SCRIPT = "boto3-publisher"


class InputError(Exception):
    """The input of a command is wrong; the text is one line that says how."""


class Parser(argparse.ArgumentParser):
    """A parser that complains in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        say(f"{self.prog}: {message} (--help shows what there is)", error=True)
        self.exit(BAD_INPUT)

    def print_help(self, file: Any = None) -> None:
        """Print the help; it is no error where nobody reads it."""
        put(self.format_help().rstrip(), error=file is sys.stderr)


def say(text: str, *, error: bool = False) -> None:
    """Print one line, on standard error or output; line ends in it are escaped."""
    put(escaped(text), error=error)


def put(text: str, *, error: bool = False) -> None:
    """Print a text as it is.

    Where nobody reads any more, the command goes on, and its exit code says how it went.
    """
    stream: Any = sys.stderr if error else sys.stdout
    if stream is None:  # closed before Python began
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(text, file=stream, flush=True)
    except OSError:  # the reader of a pipe has gone, or the disk is full
        # What is left in the buffer goes nowhere: at its end Python tries to write it once more,
        # and makes a failure of that the exit code.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def check_endpoint(url: str | None) -> None:
    """Look at what ``--endpoint-url`` was given. Raises InputError."""
    if url is None:
        return
    from .._doctoring.live import ENDPOINT_RULE, parts_of

    if parts_of(url) is None:
        raise InputError(f"--endpoint-url: {ENDPOINT_RULE}, such as http://localhost:4566")


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
    from ._send import add_to as add_send

    add_doctor(commands)
    add_send(commands)
    add_completion(commands)
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
