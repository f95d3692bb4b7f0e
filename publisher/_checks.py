"""Checks of values that callers set, each with a message that states the rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def number(name: str, value: Any, rule: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be {rule}, not {type(value).__name__}")
    try:
        found = float(value)
    except OverflowError:  # an int beyond every float
        found = math.inf
    if math.isnan(found) or math.isinf(found):
        raise ValueError(f"{name} must be {rule}, not {found!r}")
    return found


def at_least_one(name: str, value: Any) -> int:
    """An integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer of at least 1, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")
    return value


def seconds(name: str, value: Any) -> float:
    """A finite number, 0 or more."""
    found = number(name, value, "a number of seconds, 0 or more")
    if found < 0:
        raise ValueError(f"{name} must be a number of seconds, 0 or more, not {value!r}")
    return found


def positive_seconds(name: str, value: Any) -> float:
    """A finite number above 0."""
    found = number(name, value, "a number of seconds above 0")
    if found <= 0:
        raise ValueError(f"{name} must be a number of seconds above 0, not {value!r}")
    return found


def one_of(name: str, value: Any, allowed: Sequence[str]) -> str:
    """One of a few texts."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return str(value)
