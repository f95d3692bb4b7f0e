"""publish_on_commit: a message that goes out when, and only when, the transaction is committed."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.transaction import TransactionManagementError

from ..._client import Client, _copied
from ..._future import CANCELLED, FINISHED, LOCK, PublishFuture, finish_locked, is_live

logger = logging.getLogger("publisher")

_CONNECTIONS = "django.db.backends.base.base"


class CommitFuture(PublishFuture):
    """The future of a message that waits for a commit; cancelled where the transaction rolls back.

    Until the commit the message is not accepted: it is not in the account, holds no room in the
    buffer, and its ``delivery_timeout`` has not begun.
    """

    __slots__ = ("_inner", "_pid", "_thread", "_using")

    def __init__(self, using: str | None) -> None:
        super().__init__()
        self._inner: PublishFuture | None = None  # the message's own future, after the commit
        self._pid = os.getpid()
        self._thread = threading.get_ident()
        self._using = using

    @property
    def attempts(self) -> tuple[Any, ...]:
        """The tries so far, oldest first; none before the commit."""
        return self._inner.attempts if self._inner is not None else ()

    def _is_foreign(self) -> bool:
        return self._pid != os.getpid()

    def _withdraw(self) -> bool:
        if self._inner is not None and not self._inner.cancel():
            return False
        return self._end(CANCELLED, None)

    def _outcome(self, timeout: float | None) -> Any:
        # Only this thread could run the transaction's callbacks.
        if self._inner is None and is_live(self) and self._thread == threading.get_ident():
            inside = transaction.get_connection(self._using).in_atomic_block
            why = "is not committed yet" if inside else "has not run its callbacks up to this one"
            raise TransactionManagementError(
                f"the transaction {why}: to wait for its message here would be to wait for ever"
            )
        return super()._outcome(timeout)

    def _send(self, method: Callable[..., PublishFuture], params: dict[str, Any]) -> None:
        """Publish, at the commit."""
        if not is_live(self):  # cancelled before
            return
        try:
            self._inner = method(**params)
        except Exception as error:  # noqa: BLE001
            # Nobody is there to catch it, and no other message nor the view is to suffer from it.
            logger.error("a message was refused at the commit: %s", error)
            self._end(FINISHED, error)
        except BaseException as error:  # Ctrl-C: the future must not wait for ever
            self._end(FINISHED, error)
            raise
        else:
            if not is_live(self):  # cancelled meanwhile
                self._inner.cancel()
            self._inner.add_done_callback(self._follow)

    def _follow(self, inner: PublishFuture) -> None:
        if inner.cancelled():
            self._end(CANCELLED, None)
        else:
            self._end(FINISHED, inner.exception() or inner.result())

    def _end(self, phase: str, value: Any) -> bool:
        with LOCK.rlock:
            if not is_live(self):
                return False
            failed = isinstance(value, BaseException)
            callbacks = finish_locked(self, phase, value, failed=failed)
        for callback, future in callbacks:
            try:
                callback(future)
            except Exception:
                logger.exception("a done callback raised")
        return True


class _AtCommit:
    """What ``on_commit`` calls.

    A rollback calls nothing, but it lets go of this object. So does a commit, later, where a
    callback that stood before this one raised.
    """

    def __init__(self, future: CommitFuture, method: Any, params: dict[str, Any]) -> None:
        self._future: CommitFuture | None = future
        self._method = method
        self._params = params

    def __call__(self) -> None:
        future, self._future = self._future, None
        if future is not None:
            future._send(self._method, self._params)

    def __del__(self) -> None:
        if self._future is not None and self._future.cancel() and not _is_rolling_back():
            logger.error(
                "a message that waited for a commit was not published: an on_commit() callback"
                " before it raised, or nobody ran them; robust=True keeps one from stopping others"
            )


def _is_rolling_back() -> bool:
    """Whether this thread is in a method of a database's connection, which drops callbacks."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != _CONNECTIONS:
        frame = frame.f_back
    return frame is not None


def publish_on_commit(
    method: Callable[..., PublishFuture], /, *, using: str | None = None, **params: Any
) -> CommitFuture:
    """Call ``method(**params)`` at the current transaction's commit; at once if there is none.

    ::

        with transaction.atomic():
            order.save()
            publish_on_commit(client("sns").publish, TopicArn=ARN, Message=f"order {order.pk}")

    The arguments are checked and copied now: what is wrong with them raises here, and what is done
    to them later changes nothing. Where the transaction, or the savepoint around this call, is
    rolled back, the message is never sent and the future is cancelled. What goes wrong at the
    commit is on the future, and stops no other message. But a plain ``on_commit()`` callback that
    raises keeps Django from those after it, also from this: then the future is cancelled, and a
    line is logged, once the exception is over.

    Args:
        method: an operation of a client, such as ``client("sns").publish``.
        using: the alias of the database; None: the default one.
        **params: the operation's own arguments.

    Returns:
        the message's future; before the commit has come to it, waiting for it in this thread raises
        ``TransactionManagementError``.

    Raises:
        InvalidMessage: as ``method`` itself would.
        PublisherClosed: the publisher is closed.
        TypeError: ``method`` is no operation of a publisher's client.
    """
    owner = getattr(method, "__self__", None)
    if not isinstance(owner, Client):
        raise TypeError(
            'publish_on_commit() takes an operation of a client, such as client("sns").publish,'
            f" not {type(method).__name__}"
        )
    operation = method.__name__
    operation = {
        "_publish_one": owner._service.single,
        "_publish_many": owner._service.batch,
    }.get(operation, operation)
    owner._check(operation, params)
    future = CommitFuture(using)
    transaction.on_commit(_AtCommit(future, method, _copied(params)), using=using, robust=True)
    return future
