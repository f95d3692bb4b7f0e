"""In the child of a fork: locks of boto3's that a thread of the parent may have held.

That thread does not exist in the child, so nobody would ever release them.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import weakref
from collections.abc import Iterable
from typing import Any

from .._fork import on_fork

#: One role's credentials may be those with which another is assumed: so many of them are followed.
_MAX_ROLES = 16


def free(owners: Iterable[Any]) -> None:
    """Give what users passed in, which the child shares with its parent, locks that nobody holds.

    Args:
        owners: the sessions and clients that users passed in, or None; boto3's default session is
            looked at too.
    """
    for owner in (getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None), *owners):
        with contextlib.suppress(Exception):  # whatever a user passed in
            _free_credentials(owner)
        with contextlib.suppress(Exception):
            _free_managers(owner)


def _free_credentials(owner: Any) -> None:
    """A thread of the parent may have been refreshing them, or those that they are made with."""
    keeper = getattr(owner, "_session", None) or getattr(owner, "_request_signer", None)
    credentials: Any = getattr(keeper, "_credentials", None)
    for _ in range(_MAX_ROLES):
        if not hasattr(credentials, "_refresh_lock"):
            return
        credentials._refresh_lock = threading.Lock()
        fetcher = getattr(getattr(credentials, "_refresh_using", None), "__self__", None)
        credentials = getattr(fetcher, "_source_credentials", None)


def _free_managers(owner: Any) -> None:
    """A worker of the parent may have been looking for the pool of a client that was passed in."""
    session = owner._endpoint.http_session
    for manager in (session._manager, *session._proxy_managers.values()):
        manager.pools.lock = threading.RLock()


def _free_pools() -> None:
    """Workers take and put back connections all the time, and each pool's queue has a lock.

    urllib3 empties a pool when it is let go, and all that are left at the end of the process: the
    child would wait there for ever. It arranges that by a finalizer for each pool, whoever made it;
    so these lead to all of them.
    """
    # Private, and the only way to what is registered. Where it is not there, nothing is lost.
    registered: Any = getattr(weakref.finalize, "_registry", {})
    for one in list(registered):
        with contextlib.suppress(Exception):  # whatever anybody registered
            found = one.peek()
            for argument in found[2] if found is not None else ():
                if isinstance(argument, queue.Queue):
                    _free_queue(argument)


def _free_queue(of_pool: queue.Queue[Any]) -> None:
    of_pool.mutex = threading.Lock()
    for name in ("not_empty", "not_full", "all_tasks_done"):
        setattr(of_pool, name, threading.Condition(of_pool.mutex))


# Also where no publisher is left, for its threads may have been delivering still. And before
# anything of the parent's is let go, for that may need one of these locks.
on_fork(_free_pools, first=True)
