"""Whether a boto3 client is as botocore and this package made it: nobody listens, nobody wraps.

Event handlers, instrumentations and tests that patch botocore must see the entries of a request,
and may change them. The hand-made bodies of ``_fast`` show them a stub: they are used only where
nobody looks. An application may begin to look at any time, so this is asked again at each request.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType, MethodType
from typing import Any

import botocore.history

#: What botocore emits while a request has its entries in the parameters, or its answer is a body.
#: Who listens to a later event sees the body that goes out, and the answer as it was parsed.
_EVENTS = (
    "provide-client-params.{service}.{operation}",
    "before-parameter-build.{service}.{operation}",
    "before-endpoint-resolution.{service}",
    "before-call.{service}.{operation}",
    "before-parse.{service}.{operation}",
)
#: The methods of a client that are given the entries.
_METHODS = ("_make_api_call", "_emit_api_params", "_convert_to_request_dict")


class Listeners:
    """Who listens to, or wraps, one operation of one boto3 client.

    Made when the client is new: botocore's own handlers of that moment are taken as nobody.

    Args:
        client: a boto3 client that this package made.
        operation: the operation's name in the API: ``PutRecords``.
        method: boto3's name of it.
        events: those that are listened to, ``{service}`` and ``{operation}`` in place of names.
        bare: those among them to which botocore's own handlers count as somebody too.
    """

    def __init__(
        self,
        client: Any,
        operation: str,
        method: str,
        events: Sequence[str] = _EVENTS,
        bare: Sequence[str] = (),
    ) -> None:
        self._client = client
        service = client.meta.service_model.service_id.hyphenize()
        self._events = [event.format(service=service, operation=operation) for event in events]
        self._bare = [event.format(service=service, operation=operation) for event in bare]
        self._methods = (method, *_METHODS)
        #: botocore's cache of who listens, which it replaces at each change: while it is the same
        #: one nobody has come or gone.
        self._seen: Any = None
        self._known: set[int] = set()
        self._kept: list[Any] = []  # their ids stay theirs
        self._mocks: list[Any] = []  # of moto, which is always there and seldom on
        self._nobody = False
        try:
            handlers = self._handlers(self._events)
            others = {id(each) for each in self._handlers(self._bare) if not _is_ours(each)}
            self._mocks = [each for each in handlers if _is_mock(each)]
            known = [each for each in handlers if _is_own(each) and id(each) not in others]
            self._kept = [*known, *self._mocks]
            self._known = set(map(id, self._kept))
            self._look()
        except AttributeError:  # a botocore that keeps its handlers elsewhere
            self._seen = self._emitter_cache()

    def nobody(self) -> bool:
        """True while the entries of a request are seen by botocore and this package alone.

        Costs about a microsecond.
        """
        try:
            return self.nobody_listens() and all(map(self._is_plain, self._methods))
        except AttributeError:
            return False

    def nobody_listens(self) -> bool:
        """As :meth:`nobody`, for who looks after the client's methods himself.

        Raises:
            AttributeError: this botocore keeps its handlers elsewhere.
        """
        if self._emitter_cache() is not self._seen:
            self._look()
        return (
            self._nobody
            and not getattr(botocore.history.HISTORY_RECORDER, "_enabled", False)
            and not (self._mocks and any(mock.enabled for mock in self._mocks))
        )

    def _look(self) -> None:
        # The cache first: who registers after it makes another one.
        self._seen = self._emitter_cache()
        self._nobody = all(id(handler) in self._known for handler in self._handlers(self._events))

    def _emitter_cache(self) -> Any:
        return getattr(self._client.meta.events._emitter, "_lookup_cache", None)

    def _handlers(self, events: Sequence[str]) -> list[Any]:
        registered = self._client.meta.events._emitter._handlers
        return [one for event in events for one in registered.prefix_search(event) or ()]

    def _is_plain(self, name: str) -> bool:
        """Whether a method of the client is the very function that botocore defines.

        A wrapper is no method (wrapt's, which passes on the attributes of what it wraps), or its
        function is of another module.
        """
        method = getattr(self._client, name)
        if type(method) is not MethodType or type(method.__func__) is not FunctionType:
            return False
        return _home(method.__func__).startswith("botocore.")


def _home(function: Any) -> str:
    """The module whose code a function is; ``functools.wraps`` copies only its name for people."""
    return str(function.__globals__["__name__"])


def _is_own(handler: Any) -> bool:
    """Whether a handler is botocore's or this package's; its stubber's are a test's."""
    function = getattr(handler, "__func__", handler)
    # An older botocore retries by an object that can be called.
    home = _home(function) if type(function) is FunctionType else type(handler).__module__
    return home.startswith(("botocore.", "publisher.")) and home != "botocore.stub"


def _is_ours(handler: Any) -> bool:
    function = getattr(handler, "__func__", handler)
    return type(function) is FunctionType and _home(function).startswith("publisher.")


def _is_mock(handler: Any) -> bool:
    """Whether it is the one that moto gives every client; it does nothing while no mock is on."""
    kind = type(handler)
    return kind.__module__.startswith("moto.") and isinstance(
        getattr(handler, "enabled", None), bool
    )
