"""Loading values that an older version pickled, when they had fewer fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


def outlives_fields(cls: C) -> C:
    """Have a frozen dataclass with slots load from before its last fields were there.

    Those get their defaults, so new fields go last.
    """

    def restore(self: Any, state: Sequence[Any]) -> None:
        for place, each in enumerate(fields(self)):
            if place < len(state):
                value = state[place]
            elif each.default_factory is not MISSING:
                value = each.default_factory()
            else:
                value = each.default
            object.__setattr__(self, each.name, value)

    cls.__setstate__ = restore  # type: ignore[attr-defined]
    return cls
