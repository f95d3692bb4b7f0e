"""Callables whose call runs nothing: it makes an object that somebody else has to run."""

from __future__ import annotations

import functools
import inspect
from typing import Any

_KINDS = (
    (inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE, "a coroutine"),
    (inspect.CO_ASYNC_GENERATOR, "an async generator"),
    (inspect.CO_GENERATOR, "a generator"),
)


def runs_nothing(function: Any) -> str:
    """What a call would only make, ``"a coroutine"``; empty where a call runs the code.

    Looks into ``functools.partial``, methods, and objects that are called through ``__call__``.
    """
    while isinstance(function, functools.partial):
        function = function.func
    code = _code_of(function)
    if code is None and callable(function) and not isinstance(function, type):
        code = _code_of(type(function).__call__)
    flags = getattr(code, "co_flags", 0)
    if not isinstance(flags, int):  # of a stand-in for a function
        return ""
    if not flags and inspect.iscoroutinefunction(function):  # is said to be one
        return "a coroutine"
    return next((kind for flag, kind in _KINDS if flags & flag), "")


def _code_of(function: Any) -> Any:
    return getattr(getattr(function, "__func__", function), "__code__", None)
