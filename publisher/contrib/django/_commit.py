"""publish_on_commit: a message that goes out when, and only when, the transaction is committed."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from django.db import transaction
from django.db.transaction import TransactionManagementError

from ..._client import Client, _copied, _positional
from ..._engine.future import PublishFuture, R
from ..._engine.reentrance import entered
from ..._engine.state import CANCELLED, FINISHED, LOCK, Callback, finish_locked, is_live
from ...errors import PublisherClosed

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

logger = logging.getLogger("publisher")

_CONNECTIONS = "django.db.backends.base.base"


class CommitFuture(PublishFuture[R]):
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

    def _addressed_to(self) -> str:
        return self._inner._addressed_to() if self._inner is not None else "waits for the commit"

    def _is_foreign(self) -> bool:
        return self._pid != os.getpid()

    def _withdraw(self) -> bool:
        if entered():  # a signal handler or finaliser, as for any message
            return False
        if self._inner is not None:
            # That ends this one, but not before the dispatcher tells those who follow.
            return self._inner.cancel() and (self._end(CANCELLED, None) or self.cancelled())
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

    def _acquire(self, gate: threading.Lock, timeout: float | None) -> bool:
        if self._inner is not None:
            return self._inner._acquire(gate, timeout)
        return super()._acquire(gate, timeout)

    def _send(self, method: Callable[..., PublishFuture], params: dict[str, Any]) -> None:
        """Publish, at the commit."""
        if not is_live(self):  # cancelled before
            return
        try:
            inner = method(**params)
        except Exception as error:  # noqa: BLE001
            # Nobody is there to catch it, and no other message nor the view is to suffer from it.
            logger.error("a message was refused at the commit: %s", error)
            self._end(FINISHED, error)
        except BaseException as error:  # Ctrl-C: the future must not wait for ever
            self._end(FINISHED, error)
            raise
        else:
            self._follow(inner)

    def _follow(self, inner: PublishFuture) -> None:
        """End when ``inner`` does: in its worker, for a callback may be waiting for this one."""
        inner._condition  # noqa: B018 - with one a batch knows at its end whether it failed
        with LOCK.rlock:
            self._inner = inner
            ended = not is_live(inner)
            if not ended:
                inner._watching().waiters.append(_Follower(self))
        if ended:
            cancelled = inner.cancelled()
            self._end(*((CANCELLED, None) if cancelled else (FINISHED, inner._outcome(0))))
        elif not is_live(self):  # cancelled meanwhile
            inner.cancel()

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


class _Follower:
    """Waits in the message's own future; answers to the names that such waiters have.

    The one that ends that future calls them, holding ``LOCK``.
    """

    __slots__ = ("_future",)

    def __init__(self, future: CommitFuture) -> None:
        self._future = future

    def add_result(self, inner: PublishFuture, phase: str = FINISHED, failed: bool = False) -> None:
        future = self._future
        if is_live(future):
            value = None if phase == CANCELLED else (_outcome_of, inner, None)
            callbacks = finish_locked(future, phase, value, failed=failed)
            # They go where those of the message go, whose turn comes after its waiters'.
            for one in callbacks:
                call = functools.partial(_call, one)
                functools.update_wrapper(call, one[0])  # its name, for the log
                inner._watching().callbacks.append(call)

    def add_exception(self, inner: PublishFuture) -> None:
        self.add_result(inner, failed=True)

    def add_cancelled(self, inner: PublishFuture) -> None:
        self.add_result(inner, CANCELLED)


def _call(callback: Callback, _: PublishFuture) -> None:
    function, future = callback
    function(future)


def _outcome_of(inner: PublishFuture, _: None) -> Any:
    return inner._outcome(0)


class _AtCommit:
    """What ``on_commit`` calls.

    A rollback calls nothing, but it lets go of this object. So does a commit, later, where a
    callback that stood before this one raised.
    """

    def __init__(
        self, future: CommitFuture, client: Client, method: Any, params: dict[str, Any]
    ) -> None:
        self._future: CommitFuture | None = future
        self._client = client
        self._method = method
        self._params = params

    def __call__(self) -> None:
        future, self._future = self._future, None
        if future is not None:
            future._send(self._method, self._params)

    def __del__(self) -> None:
        future = self._future
        if future is None:
            return
        lost = not _is_rolling_back()
        if not entered():
            _let_go((future, lost))
            return
        # Whoever collects garbage here may hold a lock: on the thread of callbacks.
        with contextlib.suppress(PublisherClosed):
            self._client._on_callbacks_thread(_let_go, (future, lost))


def _let_go(what: tuple[CommitFuture, bool]) -> None:
    future, lost = what
    if future.cancel() and lost:
        logger.warning(
            "a message that waited for a commit was not published: nobody ran its callback; an"
            " on_commit() callback before it may have raised: robust=True keeps one from stopping"
            " others"
        )


def _is_rolling_back() -> bool:
    """Whether this thread is in a method of a database's connection, which drops callbacks."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != _CONNECTIONS:
        frame = frame.f_back
    return frame is not None


@overload
def publish_on_commit(
    method: Callable[P, PublishFuture[R]], /, *args: P.args, **params: P.kwargs
) -> CommitFuture[R]: ...
@overload
def publish_on_commit(
    method: Callable[..., PublishFuture[R]], /, *, using: str | None, **params: Any
) -> CommitFuture[R]: ...
def publish_on_commit(  # type: ignore[misc]  # any parameters, but no operation has "using"
    method: Callable[..., PublishFuture[Any]],
    /,
    *args: Any,
    using: str | None = None,
    **params: Any,
) -> CommitFuture[Any]:
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
        *args: none; as with boto3 all arguments have names.
        using: the alias of the database; None: the default one.
        **params: the operation's own arguments.

    Returns:
        the message's future; before the commit has come to it, waiting for it in this thread raises
        ``TransactionManagementError``.

    Raises:
        InvalidMessage: as ``method`` itself would.
        PublisherClosed: the publisher is closed.
        TypeError: ``method`` is no operation of a publisher's client, or its arguments are
            positional.
    """
    owner = getattr(method, "__self__", None)
    if not isinstance(owner, Client):
        raise TypeError(
            'publish_on_commit() takes an operation of a client, such as client("sns").publish,'
            f" not {type(method).__name__}"
        )
    operation = method.__name__
    if args:
        raise _positional(operation)
    owner._check(operation, params)
    future = CommitFuture(using)
    send = _AtCommit(future, owner, method, _copied(params))
    transaction.on_commit(send, using=using, robust=True)
    return future
