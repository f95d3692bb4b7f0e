"""The publishers of this process, and what makes their cores."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ._fork import on_fork
from ._options import Options

if TYPE_CHECKING:
    from ._engine.core import Core


class Publishing(Protocol):
    """A publisher, as its clients and this process know it."""

    _core: Core | None
    _options: Options
    #: What makes its cores while no test captures it; None: threads, which send.
    _backend: Callable[[Options], Core] | None

    def close(self, timeout: float | None = None) -> Any:
        """Refuse messages, wait until every future has ended, stop."""

    @property
    def _sends_to_aws(self) -> bool:
        """Whether its messages leave the process."""

    def _mine(self) -> Core | None:
        """The core of this process, if there is one."""

    def _current(self) -> Core:
        """The core of this process, made if there is none."""

    def _lend(self, make_core: Callable[[Options], Core]) -> Callable[[bool], None]:
        """Have ``make_core`` make its cores, until what is returned gives back all that it had."""

    def _take_backend(self) -> None:
        """Begin anew with what makes its cores now."""

    def _begin_anew(self) -> None:
        """Deliver what it holds; what comes next finds it new."""

    def _forget_parent(self) -> None:
        """In the child of a fork: what was accepted before is the parent's to deliver."""


def threaded_core(options: Options) -> Core:
    """What a publisher runs on, outside of tests."""
    from ._engine.core import Core
    from ._threads.runtime import Threads

    spool = options.spool
    if spool is None:
        return Core(options, Threads)
    from .spool.keeper import Keeper

    return Core(options, Threads, store=lambda core: Keeper(core, spool))


_factory: Callable[[Options], Core] = threaded_core
_publishers: weakref.WeakSet[Publishing] = weakref.WeakSet()


def factory() -> Callable[[Options], Core]:
    """What makes the cores of new publishers: :func:`threaded_core`, or a capture."""
    return _factory


def exchange_factory(other: Callable[[Options], Core]) -> Callable[[Options], Core]:
    """Have ``other`` make the cores of new publishers; returns what made them so far."""
    global _factory
    before, _factory = _factory, other
    return before


def sends_to_aws(make_core: Callable[[Options], Core]) -> bool:
    """Whether messages leave the process, which a capture and the console keep them from."""
    return make_core is threaded_core


def note(publisher: Publishing) -> None:
    """Note a publisher that was just made."""
    _publishers.add(publisher)


def publishers() -> list[Publishing]:
    """The publishers that are alive in this process."""
    while True:
        try:
            return list(_publishers)
        except RuntimeError:  # another thread made one just now
            continue


def deliver_all() -> None:
    """Have every publisher whose messages leave the process deliver them, and begin anew."""
    for publisher in publishers():
        if publisher._sends_to_aws:
            publisher._begin_anew()


def _renew() -> None:
    for publisher in publishers():
        publisher._forget_parent()


on_fork(_renew)
