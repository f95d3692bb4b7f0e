"""Run the demo: `python -m publisher demo [--input FILE | --durable]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .._text import escaped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code: 0 all arrived, 1 something did not, 2 bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m publisher demo",
        description="Send lines to a topic (or a queue) and a stream, the plain boto3 way and "
        "through publisher, and check that every one arrived. No AWS account is needed or touched.",
        epilog="exit code: 0 every line arrived, 1 something was lost, 2 bad input",
    )
    parser.add_argument(
        "--input",
        type=Path,
        metavar="FILE",
        help="one message a line, UTF-8, .gz understood (default: a sample of 250 lines)",
    )
    parser.add_argument(
        "--service",
        choices=["sns", "sqs"],
        default="sns",
        help="what stands beside the stream: a topic of SNS (default), or a queue of SQS",
    )
    parser.add_argument(
        "--durable",
        action="store_true",
        help="kill a process half-way in place of the tour, and see the rest arrive",
    )
    options = parser.parse_args(arguments)
    if options.durable and options.input:
        parser.error("--durable takes no --input")
    try:
        from rich.console import Console

        from . import durable
        from .aws import DemoError, isolate
        from .lines import InputError, read
        from .run import run
    except ModuleNotFoundError as error:
        return _complain(f"{error.name} is missing: pip install 'boto3-publisher[demo]'", 2)
    try:
        lines = read(options.input)
        isolate()
        if options.durable:
            return 0 if durable.run(Console()) else 1
        return 0 if run(lines, Console(), options.service) else 1
    except InputError as error:
        return _complain(str(error), 2)
    except DemoError as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def _complain(text: str, code: int) -> int:
    print(f"demo: {escaped(text)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
