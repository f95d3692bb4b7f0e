"""Having an exception let go of what it keeps in memory."""

from __future__ import annotations

from typing import Any

from botocore import exceptions as boto

#: Characters, or bytes, of each text that an exception keeps; entries of each list.
_MAX_KEPT = 1_000


def lighten(error: BaseException) -> None:
    """Have an exception let go of frames, of the request's body, and of texts over 1,000 long.

    A message keeps the error of each try until it ends. A body of a megabyte, or the page that a
    proxy sent, is too much to keep with it.
    """
    seen: set[int] = set()
    left: list[Any] = [error]
    while left:
        one = left.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = None
        kept = getattr(one, "kwargs", None) if isinstance(one, boto.BotoCoreError) else None
        left += [one.__cause__, one.__context__, *(kept.values() if type(kept) is dict else ())]
        if isinstance(one, boto.HTTPClientError):
            for name in ("request", "response"):
                setattr(one, name, None)
        if isinstance(one, UnicodeError):  # it has the whole text beside its arguments
            for name in ("object", "reason"):
                _replace(one, name)
        if any(_is_large(value) for value in one.args):
            one.args = tuple(map(_cut, one.args))
        for name in list(getattr(one, "__dict__", ())):
            _replace(one, name)


def _replace(error: BaseException, name: str) -> None:
    value = getattr(error, name, None)
    if _is_large(value):
        try:
            setattr(error, name, _cut(value))
        except Exception:  # noqa: BLE001 - a class that does not allow it keeps what it has
            return


def _is_large(value: Any, depth: int = 5) -> bool:
    if isinstance(value, (str, bytes, bytearray)):
        return len(value) > _MAX_KEPT
    if isinstance(value, dict) and depth:
        return len(value) > _MAX_KEPT or any(_is_large(each, depth - 1) for each in value.values())
    if isinstance(value, (list, tuple)) and depth:
        return len(value) > _MAX_KEPT or any(_is_large(each, depth - 1) for each in value)
    return False


def _cut(value: Any) -> Any:
    """A value in which no text, and no list, is longer than 1,000; a short one is left as it is."""
    if not _is_large(value):
        return value
    if isinstance(value, str):
        return value[:_MAX_KEPT] + "..."
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[:_MAX_KEPT])
    if isinstance(value, dict):
        return {key: _cut(each) for key, each in list(value.items())[:_MAX_KEPT]}
    return type(value)(map(_cut, value[:_MAX_KEPT])) if type(value) in (list, tuple) else None
