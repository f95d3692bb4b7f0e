"""The threads of one core, and how those of which there is one are started, once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .. import _clock
from .primitives import join, pop


class Crew:
    """The threads of one core.

    Args:
        before_start: called in the thread that is about to start one.
    """

    def __init__(self, before_start: Callable[[], None]) -> None:
        self.before_start = before_start
        #: Those that run alone; the workers are their executor's. A dict changes as a whole.
        self.threads: dict[threading.Thread, None] = {}
        self.retired = False  # whether none may be started any more
        self._local = threading.local()

    def enter(self) -> None:
        """Count the calling thread among them from here on."""
        self._local.own = True

    def is_own_thread(self) -> bool:
        """True on one of them, where nothing may wait for the others."""
        return getattr(self._local, "own", False)

    def join(self, deadline: float) -> None:
        """Wait until each but the calling one has ended, or until ``deadline``."""
        for thread in list(self.threads):
            if thread is not threading.current_thread():
                join(thread, max(deadline - _clock.now(), 0))

    def alive(self) -> int:
        """How many have not ended."""
        return sum(thread.is_alive() for thread in list(self.threads))


class LazyThread:
    """A daemon thread that is started when it is first needed, by whoever needs it.

    Two tokens see to it that there is one. ``to_start`` is popped by whoever starts it, and put
    back where Ctrl-C leaves it unknown whether it has started; ``to_run`` is popped by the thread
    itself, so that one runs, however many were started.

    Args:
        crew: that it belongs to.
        name: of the thread.
        run: what it does.
    """

    def __init__(self, crew: Crew, name: str, run: Callable[[], None]) -> None:
        self._crew = crew
        self._name = name
        self._run = run
        self.to_start: list[None] = [None]
        self.to_run: list[None] = [None]
        self.denied = False  # whether it cannot be started: then whoever needs it does its work
        self._starter = 0  # the system's id of the thread that started it

    def deny(self) -> None:
        """Start it no more: whoever needs it does its work."""
        self.to_start[:] = [None]
        self.denied = True

    def start(self) -> None:
        """Start it, unless another caller is about to."""
        if self._crew.retired:
            return
        thread = threading.Thread(target=self._begin, name=self._name, daemon=True)
        denied = False
        try:
            # Another caller may start it, perhaps one that this signal handler has interrupted.
            if not pop(self.to_start):
                return
            self._crew.before_start()
            self._starter = threading.get_native_id()
            thread.start()
        except RuntimeError:  # the end of the interpreter, or the system has no threads left
            self.to_start.append(None)  # there may be one the next time
            denied = True
        except BaseException:  # Ctrl-C: nobody knows whether it will run
            self.to_start.append(None)
            raise
        else:
            self._crew.threads[thread] = None
        self.denied = denied

    def _begin(self) -> None:
        if pop(self.to_run):
            self._crew.enter()
            self._crew.threads[threading.current_thread()] = None
            self._run()

    def is_green(self) -> bool:
        """Whether it is a green thread, to the system that of its starter; called on it."""
        return threading.get_native_id() == self._starter

    def join(self, timeout: float) -> None:
        """Wait, for each that was started as this one, at most ``timeout`` seconds."""
        for thread in list(self._crew.threads):
            if thread.name == self._name:
                join(thread, timeout)

    def leave(self) -> None:
        """Called on it when it is about to end: for work that comes later another is started."""
        self.to_run.append(None)
        self.to_start.append(None)

    def stay(self) -> bool:
        """Called on it after :meth:`leave`: whether it may go on, as no other was started."""
        return pop(self.to_start) and pop(self.to_run)
