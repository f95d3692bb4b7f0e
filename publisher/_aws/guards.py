"""Guards: what is put up from outside to keep requests from leaving this machine.

A test suite's, for instance. Production has none.
"""

from __future__ import annotations

from collections.abc import Callable

_guards: list[Callable[[str], None]] = []


def put_up(guard: Callable[[str], None]) -> None:
    """Ask ``guard`` before each request of the clients that are made from here on.

    Args:
        guard: is called with the request's URL; what it raises ends the request, unsent.
    """
    if guard not in _guards:
        _guards.append(guard)


def are_up() -> bool:
    """Whether there is any."""
    return bool(_guards)


def ask(url: str) -> None:
    """Raise what a guard has against a request to ``url``."""
    for guard in _guards:
        guard(url)
