"""Values that are equal to many others: ``Message=contains("paid")``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any


class Matcher:
    """Equal to whatever fulfils a condition; its repr is the condition.

    Args:
        shown: how it is written.
        fits: the condition.
    """

    def __init__(self, shown: str, fits: Callable[[Any], bool]) -> None:
        self._shown = shown
        self._fits = fits

    def __eq__(self, other: object) -> bool:
        try:
            return self._fits(other)
        except (TypeError, ValueError):  # another kind of value than the condition is about
            return False

    __hash__ = None  # type: ignore[assignment]  # equal to many values with different hashes

    def __repr__(self) -> str:
        return self._shown


def contains(part: Any) -> Any:
    """A text or bytes with ``part`` in it, a dict with (at least) these items, a list with it.

    Texts and bytes are compared as UTF-8, so that it reads the same for ``Message`` and ``Data``.
    The values of a dict may be matchers in turn.
    """

    def fits(value: Any) -> bool:
        if isinstance(part, Mapping):
            return isinstance(value, Mapping) and all(
                name in value and item == value[name] for name, item in part.items()
            )
        if isinstance(part, (str, bytes)) and isinstance(value, (str, bytes)):
            return _text(part) in _text(value)
        return part in value

    return Matcher(f"contains({part!r})", fits)


def matching(pattern: str) -> Any:
    """A text, or bytes as UTF-8, in which the regular expression is found."""
    compiled = re.compile(pattern)
    return Matcher(
        f"matching({pattern!r})", lambda value: compiled.search(_text(value)) is not None
    )


def as_json(expected: Any) -> Any:
    """A text or bytes that is JSON for ``expected``, in which matchers may stand."""
    return Matcher(f"as_json({expected!r})", lambda value: expected == json.loads(value))


def _text(value: str | bytes) -> str:
    if not isinstance(value, (str, bytes)):
        raise TypeError
    return value if isinstance(value, str) else value.decode(errors="replace")
