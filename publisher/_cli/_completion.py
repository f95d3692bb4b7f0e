"""``boto3-publisher completion``: what a shell needs to complete the commands."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Mapping
from typing import Any

from ._console import SCRIPT, InputError, put

_SHELLS = ("bash", "zsh")


def add_to(commands: Any, make_parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Add the command's arguments; ``make_parser`` makes the parser of all commands."""
    parser = commands.add_parser(
        "completion",
        help=f"print what a shell needs to complete {SCRIPT}",
        description=f"Print what a shell needs to complete {SCRIPT}. For bash:"
        f' eval "$({SCRIPT} completion bash)"',
    )
    parser.add_argument("shell", choices=_SHELLS)
    parser.set_defaults(run=functools.partial(run, make_parser))


def run(make_parser: Callable[[], argparse.ArgumentParser], options: argparse.Namespace) -> int:
    """Print it. Raises InputError without shtab."""
    try:
        import shtab
    except ModuleNotFoundError:
        raise InputError("it needs pip install 'boto3-publisher[cli]'") from None
    parser = make_parser()
    parser.prog = SCRIPT
    _name_files(parser, {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY})
    put(shtab.complete(parser, options.shell))
    return 0


def _name_files(parser: argparse.ArgumentParser, kinds: Mapping[str, Any]) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _name_files(command, kinds)
        elif (kind := kinds.get(str(action.metavar))) is not None:
            action.complete = kind  # type: ignore[attr-defined] # where shtab looks for it
