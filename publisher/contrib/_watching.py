"""Which publishers' accounts metrics show."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

import publisher

from .._account.ledger import Ledger, SpoolStats, Stats
from .._process import Publishing, publishers
from .._publisher import Publisher

if TYPE_CHECKING:
    from .._engine.core import Core


def named(of: Publisher | Collection[Publisher] | None) -> list[Publisher]:
    """The publishers that a reader of accounts was made for; None is the process-wide one."""
    if of is None:
        return [publisher._default]
    return [of] if isinstance(of, Publisher) else list(of)


def watched(hook: Any) -> list[Core]:
    """The cores whose accounts a hook shows: those of its attribute ``publisher``.

    Where that is None they are those of every publisher that it is a hook of. They are looked up
    each time, for frameworks make publishers of their own, and others in their place when settings
    change. Who adds a hook need not know of that.
    """
    found = [hook.publisher]
    if hook.publisher is None:
        found = [each for each in publishers() if _has(each, hook)]
    cores = [each._mine() for each in found or [publisher._default]]
    return [core for core in cores if core is not None]


def _has(each: Publishing, hook: Any) -> bool:
    # Django's app wraps hooks; it keeps what it has wrapped as `hook`.
    return any(one is hook or getattr(one, "hook", None) is hook for one in each._options.hooks)


def together(looks: Iterable[Stats]) -> dict[str, Ledger]:
    """Several accounts added up by destination; the oldest age is the highest of theirs."""
    found: dict[str, Ledger] = {}
    for stats in looks:
        for key, ledger in stats.destinations.items():
            found[key] = found[key] + ledger if key in found else ledger
    return found


def on_disk(looks: Iterable[Stats]) -> SpoolStats | None:
    """What several publishers' spools hold, added up; None where none has one."""
    found = None
    for stats in looks:
        if stats.spool is not None:
            found = stats.spool if found is None else found + stats.spool
    return found
