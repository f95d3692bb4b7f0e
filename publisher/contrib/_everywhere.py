"""All publishers of this process at once, under one deadline.

That is the process-wide one, and those with a lifetime of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _clock
from .._process import publishers
from .._threads.exit import drain

if TYPE_CHECKING:
    from .._engine.core import Core


def flush(timeout: float | None = None) -> int:
    """Flush all publishers, and what their callbacks and hooks publish meanwhile.

    Args:
        timeout: seconds for all of them together; None: until the messages' own deadlines.

    Returns:
        how many of those messages are still unresolved.
    """
    deadline = None if timeout is None else _clock.now() + timeout
    drain(_cores, lambda _: _left(deadline))
    return sum(core.flush(0) for core in _cores())


def close(timeout: float | None = None) -> None:
    """Close all publishers; what is not delivered in time ends with ``PublisherClosed``.

    Args:
        timeout: seconds for all of them together; None: the longest ``close_timeout`` among them.
    """
    deadline = _clock.now() + (close_timeout() if timeout is None else timeout)
    drain(_cores, lambda _: _left(deadline))
    for each in publishers():
        each.close(_left(deadline))


def _cores() -> list[Core]:
    return [core for each in publishers() if (core := each._mine()) is not None]


def checked_timeout(timeout: Any) -> float | None:
    """``timeout`` as given to a host's set-up, checked.

    Raises:
        TypeError: it is not a number of seconds.
        ValueError: it is negative.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(
            f"timeout must be a number of seconds, 0 or more, not {type(timeout).__name__}"
        )
    if not timeout >= 0:
        raise ValueError(f"timeout must be a number of seconds, 0 or more, not {timeout!r}")
    return timeout


def close_timeout() -> float:
    """The longest ``close_timeout`` among them, seconds."""
    return max((each._options.close_timeout for each in publishers()), default=0.0)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - _clock.now(), 0.0)
