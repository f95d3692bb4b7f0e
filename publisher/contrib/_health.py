"""Whether the messages of a publisher get through, as data for a health view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .._account.ledger import Ledger, Stats
from .._account.recent import LONGEST
from .._counting import counted
from .._publisher import Publisher

#: A message that has been on disk for so many seconds is worth a word.
_OLD_ON_DISK = 300.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The share of lost messages from which on a publisher is not healthy.

    Attributes:
        share: of the messages that ended of late, more than 0 and at most 1; None: whatever is
            lost.
        minimum: however large the share, so many have to be lost.
        window: how many seconds "of late" is.
    """

    share: float | None = 0.5
    minimum: int = 5
    window: float = 60


def limits(given: Any) -> Limits:
    """The limits that a setting describes, as a dict of some of their names.

    Raises:
        TypeError: it is no dict, has another name, or a value is not a number.
        ValueError: a value is not allowed.
    """
    names = [item.name for item in fields(Limits)]
    if not isinstance(given, Mapping) or not set(given) <= set(names):
        kind = type(given).__name__
        found = f"one with {', '.join(map(str, given))}" if isinstance(given, Mapping) else kind
        raise TypeError(f"it must be a dict with some of {', '.join(names)}, not {found}")
    for name, value in given.items():
        if name == "share" and value is None:
            continue
        kinds = int if name == "minimum" else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            what = "a whole number" if name == "minimum" else "a number"
            raise TypeError(f"{name} must be {what}, not {type(value).__name__}")
        highest = {"share": 1.0, "minimum": float("inf"), "window": LONGEST}[name]
        lowest = 0 if name == "share" else 1
        if not (lowest <= value <= highest and value):
            rule = "more than 0 and at most 1" if name == "share" else "at least 1"
            rule = f"from 1 to {LONGEST} seconds" if name == "window" else rule
            raise ValueError(f"{name} must be {rule}, not {value!r}")
    return Limits(**given)


@dataclass(frozen=True, slots=True)
class Recent:
    """What became of messages of late.

    Attributes:
        seconds: back from now.
        ended: how many were delivered or lost.
        lost: how many of them were lost.
        alarming: too many of them were lost, and of the latest too.
    """

    seconds: float
    ended: int = 0
    lost: int = 0
    alarming: bool = False


def recent(seconds: Sequence[tuple[int, int]], at: Limits) -> Recent:
    """Sum up how many messages were delivered and lost in each second, the latest first.

    Losses stop being alarming as soon as messages are delivered again.
    """
    ended = lost = 0
    still = None  # whether the latest are lost, once there are enough of them to tell
    share = 2 if at.share is None else at.share
    for delivered, missing in seconds:
        ended += delivered + missing
        lost += missing
        if still is None and ended >= at.minimum:
            still = lost >= share * ended
    alarming = bool(still) and lost >= max(at.minimum, share * ended)
    return Recent(at.window, ended, lost, alarming)


def _look(publisher: Publisher, at: Limits) -> tuple[list[str], Recent]:
    """The problems, and what became of messages of late."""
    core = publisher._mine()
    late = recent([] if core is None else core.recent(at.window), at)
    if publisher._closed_in is not None:
        return ["the publisher is closed"], late
    options = publisher._options
    found = []
    if core is not None:
        flow = core.flow  # other operations take room too
        if flow.messages >= options.max_messages or flow.bytes >= options.max_bytes:
            held = counted(flow.messages, "message")
            found.append(f"the buffer is full: {held}, {flow.bytes:,} bytes")
    age = publisher.stats().total.oldest_age
    if age > options.delivery_timeout / 2:
        found.append(
            f"the oldest message has waited for {age:.1f} s of"
            f" delivery_timeout={options.delivery_timeout:g} s"
        )
    if late.alarming:
        found.append(
            f"{late.lost:,} of {counted(late.ended, 'message')} of the last {at.window:g} s"
            f" {'was' if late.lost == 1 else 'were'} lost"
        )
    return found, late


def problems(publisher: Publisher, at: Limits) -> list[str]:
    """Why this publisher is not healthy; empty if it is.

    It is not, when it is closed, when its buffer is full, when the oldest message has waited for
    more than half of its ``delivery_timeout``, or when too many messages were lost of late.
    """
    return _look(publisher, at)[0]


def _degraded(stats: Stats) -> list[str]:
    """What is not as it should be, though messages are taken and none is lost."""
    if stats.spool is None or stats.spool.oldest_age <= _OLD_ON_DISK:
        return []
    waiting, age = counted(stats.spool.waiting, "message"), stats.spool.oldest_age
    return [f"the oldest of {waiting} on disk has waited for {age:.0f} s"]


def report(publisher: Publisher, at: Limits) -> dict[str, Any]:
    """The problems and the account of one publisher, for JSON.

    What is ``degraded`` does not make it unhealthy: a load balancer that took the process away
    would help nobody.
    """
    found, late = _look(publisher, at)
    stats = publisher.stats()
    return {
        "healthy": not found,
        "problems": found,
        "degraded": _degraded(stats),
        "recent": {"seconds": late.seconds, "ended": late.ended, "lost": late.lost},
        "total": as_dict(stats.total),
        "destinations": {name: as_dict(ledger) for name, ledger in stats.destinations.items()},
        "spool": None if stats.spool is None else asdict(stats.spool),
    }


def as_dict(ledger: Ledger) -> dict[str, Any]:
    """A ledger as JSON's own types."""
    values = {item.name: getattr(ledger, item.name) for item in fields(ledger)}
    return {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()
    }
