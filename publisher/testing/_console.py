"""For local development: what is published is printed, and nothing is sent."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from .._engine.core import Core
from .._engine.future import PublishFuture
from .._options import Options
from .._text import escaped
from ._capture import Capture
from ._messages import _arguments

if TYPE_CHECKING:
    from .._publisher import Publisher


class Console(Capture):
    """What :func:`console` gives: prints a line for each message, and keeps none.

    Each line has the whole message: it is for a developer's own machine.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        super().__init__()
        self._stream = stream
        self._for_good = False

    def put_on(self, publisher: Publisher) -> None:
        """Have one publisher print, from now on and for good; its other set-up stays."""
        self._for_good = True
        publisher._run_on(self._make_core)

    def _make_core(self, options: Options) -> Core:
        core = super()._make_core(options)
        core.runtime.ended = core.runtime.ended and not self._for_good
        return core

    def _add(
        self, service: str, operation: str, params: Mapping[str, Any], future: PublishFuture
    ) -> None:
        line = f"{future._addressed_to()} {operation}({_arguments(params)})"
        # The stream of now: a test or a server may have exchanged it; without a console it is None.
        stream = self._stream or sys.stdout
        encoding = getattr(stream, "encoding", None) or "utf-8"
        shown = escaped(line).encode(encoding, "backslashreplace").decode(encoding)
        # A pipe that nobody reads any more, a closed file: the message has been accepted all the
        # same, and its caller cannot help it.
        with contextlib.suppress(OSError, ValueError):
            print(shown, file=stream, flush=True)


def console(stream: IO[str] | None = None) -> Console:
    """Print what is published, and send nothing; for local development.

    ::

        with console():
            place_order(17)  # sns:eu-west-1:orders publish(TopicArn='arn:...', Message='...')

    Everything else is as in :func:`capture`: arguments are checked, limits hold, futures resolve to
    an answer of boto3's shape, and no credentials are needed. ``console().start()`` is for the rest
    of the process. Django and Flask have it as a setting, ``BACKEND``.

    Args:
        stream: where to; default: ``sys.stdout``. What it has no character for is escaped. A line
            that it cannot take (a closed pipe) is left out, and nobody is told.
    """
    return Console(stream)
