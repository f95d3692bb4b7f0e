"""What is plugged into the engine: the only words that it shares with services and their targets.

The engine knows no service by name. A :class:`Service` says what differs from one AWS service to
the next; a :class:`Target` is one destination of one client, through which a request goes out and
its errors come back. The terms that both use are here too, whichever file they are written in.
"""

from __future__ import annotations

from .service import Service
from .target import Judgement, Target
from .terms import Accepted, EntryError, Fast, Limits, Packer, Verdict, Words

__all__ = [
    "Accepted",
    "EntryError",
    "Fast",
    "Judgement",
    "Limits",
    "Packer",
    "Service",
    "Target",
    "Verdict",
    "Words",
]
