"""What the commands say, and how they say that what they were given is no good."""

from __future__ import annotations

import argparse
import os
import sys
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
