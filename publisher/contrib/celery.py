"""Celery: nothing is lost when a worker's processes are recycled or shut down.

A pool process leaves through ``os._exit``: what Python runs at exit does not run there, Celery's
own signals do.
"""

from __future__ import annotations

from typing import Any

from celery import signals  # type: ignore[import-untyped]

from . import _everywhere

_UID = "publisher.contrib.celery"


def install(*, timeout: float | None = None) -> None:
    """Have every Celery process deliver what its tasks published before it ends.

    Call it once, in the module that makes the Celery app.

    A pool process closes its publishers when it ends (recycling, warm and cold shutdown); a worker
    that runs tasks in its main process flushes them, and the exit of the process does the rest.
    Nothing is started. Calling it again replaces the timeout.

    Args:
        timeout: seconds that a process may spend on it; None: the publishers' ``close_timeout``.

    Raises:
        TypeError: timeout is not a number of seconds.
        ValueError: it is negative.
    """
    timeout = _everywhere.checked_timeout(timeout)

    def close(**_: Any) -> None:
        _everywhere.close(timeout)

    def flush(**_: Any) -> None:
        # Not close: an embedded worker (celery.contrib.testing) ends before its process does.
        _everywhere.flush(_everywhere.close_timeout() if timeout is None else timeout)

    receivers = ((signals.worker_process_shutdown, close), (signals.worker_shutdown, flush))
    for signal, receiver in receivers:
        signal.disconnect(dispatch_uid=_UID)
        signal.connect(receiver, weak=False, dispatch_uid=_UID)
