"""The path of moto's guard in 0.1, for what was pickled there; it goes after one release."""

from __future__ import annotations

from .._aws.mocks import MockEnded

__all__ = ["MockEnded"]
