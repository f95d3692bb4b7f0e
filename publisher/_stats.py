"""The path of the ledger in 0.1, for what was pickled there; it goes after one release."""

from __future__ import annotations

from ._account.ledger import Ledger, Stats

__all__ = ["Ledger", "Stats"]
