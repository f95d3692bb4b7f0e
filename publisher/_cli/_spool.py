"""``python -m publisher spool status | check``: what is in a spool; nothing in it is changed."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .. import _clock
from .._counting import counted
from .._text import printable
from ._console import InputError, put, say
from ._keys import add_key_file, read_keys

if TYPE_CHECKING:
    from .._store.directory import Directory
    from .._store.survey import Owner

FOUND = 1
_NO_KEY = "encrypted, and no key was given that opens it"
_UNKNOWN = "not written by this version"
_SHOWN = 20  # destinations, and damaged places of a segment


def add_to(commands: Any) -> None:
    """Add the commands' arguments."""
    parser = commands.add_parser(
        "spool",
        help="what waits in a spool, and whether it is whole",
        description="Look at a spool. Nothing in it is changed, and whoever writes to it, or sends"
        " what is in it, goes on. No message is shown.",
    )
    kinds = parser.add_subparsers(dest="look", metavar="LOOK", required=True)
    status = kinds.add_parser(
        "status",
        help="what waits, how long, for what, and who is there to send it",
        description="Say what waits, how long, for which destinations, and who is there to send"
        " it.",
        epilog="exit code: 0, 2 bad input",
    )
    status.add_argument("--json", action="store_true", help="as JSON")
    check = kinds.add_parser(
        "check",
        help="read every record, and report what is damaged",
        description="Read every record, and report damaged places and what no key opens. What is"
        " just being written counts as whole.",
        epilog="exit code: 0 all is whole, 1 something is not, 2 bad input",
    )
    for each, run in ((status, run_status), (check, run_check)):
        each.add_argument("directory", metavar="DIR", help="the spool's directory")
        add_key_file(each)
        each.set_defaults(run=run)


def _look(options: argparse.Namespace, *, settled: bool) -> tuple[Directory, list[Owner]]:
    """The directory, and what is in it. Raises InputError."""
    from .._store.crypt import Codec
    from .._store.survey import look_at, survey

    keys = read_keys(options.key_file)
    try:
        directory = look_at(options.directory)
        codec = Codec(keys) if keys else None
        return directory, list(survey(directory, codec, settled=settled))
    except (ValueError, ImportError) as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"{options.directory}: {error.strerror}") from None


def run_status(options: argparse.Namespace) -> int:
    """Say what waits."""
    from .._store.survey import put_aside, relay_runs

    directory, owners = _look(options, settled=False)
    found = _summed(owners)
    found = {
        "directory": directory.path,
        **found,
        "put_aside": put_aside(directory),
        "relay": relay_runs(directory),
    }
    if options.json:
        put(json.dumps(found, indent=2))
    else:
        for line in _lines(found):
            say(line)
    return 0


def _summed(owners: list[Owner]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    destinations: Counter[str] = Counter()
    oldest: float | None = None
    for owner in owners:
        left = bool(owner.segments or owner.foreign)
        counts["alive" if owner.alive else "dead" if left else "gone"] += 1
        counts["foreign"] += len(owner.foreign)
        for segment in owner.segments:
            counts["segments"] += 1
            counts["waiting"] += segment.waiting
            counts["bytes"] += segment.bytes
            counts["damaged"] += segment.damaged
            for where, count in segment.destinations.items():
                destinations[_name(where)] += count
            if segment.unreadable:
                destinations[_NO_KEY] += segment.unreadable
            if segment.oldest is not None and (oldest is None or segment.oldest < oldest):
                oldest = segment.oldest
    return {
        "waiting": counts["waiting"],
        "bytes": counts["bytes"],
        "segments": counts["segments"],
        "oldest_age": None if oldest is None else round(max(_clock.wall() - oldest, 0.0), 3),
        "owners": {"alive": counts["alive"], "dead": counts["dead"]},
        "destinations": dict(destinations.most_common()),
        "damaged": counts["damaged"],
        "foreign": counts["foreign"],
    }


def _name(where: bytes) -> str:
    """A destination as the account names it."""
    from .. import services
    from ..spool.destinations import read

    try:
        name, place, arguments, _ = read(where)
        service = services.load(name)
        label = service.label(service.address(place))
    except ValueError:  # InvalidMessage is one too
        return _UNKNOWN
    return printable(f"{name}:{arguments.get('region_name', '')}:{label}")


def _lines(found: dict[str, Any]) -> Iterator[str]:
    age = found["oldest_age"]
    text = f"{found['directory']}: {counted(found['waiting'], 'message')} waiting"
    if age is not None:
        text += f", the oldest for {age:,.0f} s"
    yield f"{text}; {found['bytes']:,} bytes in {counted(found['segments'], 'segment')}"
    alive, dead = found["owners"]["alive"], found["owners"]["dead"]
    relay = "a relay runs" if found["relay"] else "no relay runs"
    yield f"  {counted(alive, 'writer')} alive, {dead:,} dead with something left; {relay}"
    destinations = list(found["destinations"].items())
    for name, count in destinations[:_SHOWN]:
        yield f"  {count:,} to {name}" if name not in (_NO_KEY, _UNKNOWN) else f"  {count:,} {name}"
    if len(destinations) > _SHOWN:
        yield f"  {sum(count for _, count in destinations[_SHOWN:]):,} to other destinations"
    if found["damaged"]:
        yield f"  {counted(found['damaged'], 'damaged place')}"
    if found["put_aside"]:
        yield f"  {counted(found['put_aside'], 'damaged piece')} put aside in damaged/"
    if found["foreign"]:
        yield f"  {counted(found['foreign'], 'file')} that no spool made: links, or another user's"


def run_check(options: argparse.Namespace) -> int:
    """Report what is not whole."""
    directory, owners = _look(options, settled=True)
    messages = segments = wrong = 0
    for owner in owners:
        for name in owner.foreign:
            wrong += 1
            say(f"{name}: not a private file of this user")
        for segment in owner.segments:
            segments += 1
            messages += segment.waiting
            wrong += segment.damaged + segment.unreadable
            for begin, end in segment.places[:_SHOWN]:
                say(f"{segment.name}.log: bytes {begin:,} to {end:,} are damaged")
            if (more := segment.damaged - len(segment.places[:_SHOWN])) > 0:
                say(f"{segment.name}.log: {more:,} more damaged places")
            if segment.unreadable:
                say(f"{segment.name}.log: {counted(segment.unreadable, 'message')} {_NO_KEY}")
    read = f"{counted(segments, 'segment')} read, {counted(messages, 'message')} waiting"
    say(f"{directory.path}: {read}; {'all whole' if not wrong else 'not all whole'}")
    return FOUND if wrong else 0
