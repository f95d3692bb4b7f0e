"""Every publisher of this process at once, under one deadline.

That is the process-wide one and those with a lifetime of their own.
"""

from __future__ import annotations

from .. import _clock
from .._publisher import Publisher, _publishers


def publishers() -> list[Publisher]:
    """The publishers that are alive in this process."""
    while True:
        try:
            return list(_publishers)
        except RuntimeError:  # another thread made one just now
            continue


def flush(timeout: float | None = None) -> int:
    """Flush all publishers.

    Args:
        timeout: seconds for all of them together; None: until the messages' own deadlines.

    Returns:
        how many of the messages accepted before the call are still unresolved.
    """
    deadline = None if timeout is None else _clock.now() + timeout
    alive = publishers()
    for each in alive:
        each.flush(0)  # what lingers goes out now, whichever of them is waited for first
    return sum(each.flush(_left(deadline)) for each in alive)


def close(timeout: float | None = None) -> None:
    """Close all publishers; what is not delivered in time ends with ``PublisherClosed``.

    Args:
        timeout: seconds for all of them together; None: the longest ``close_timeout`` among them.
    """
    alive = publishers()
    deadline = _clock.now() + (close_timeout() if timeout is None else timeout)
    for each in alive:
        each.flush(0)
    for each in alive:
        each.close(_left(deadline))


def close_timeout() -> float:
    """The longest ``close_timeout`` among them, seconds."""
    return max((each._options.close_timeout for each in publishers()), default=0.0)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - _clock.now(), 0.0)
