"""For users' tests: what was published, asserted; what goes wrong, on order; time, at will.

::

    from publisher.testing import capture, contains

    with capture() as published:
        place_order(17)
    published.assert_sent("sns", TopicArn=ORDERS, Message=contains("paid"))
    published.assert_nothing_else()

pytest has the same as the fixture ``published``.
"""

from __future__ import annotations

from ._capture import Capture, capture
from ._faults import ALWAYS, Faults
from ._matching import as_json, contains, matching
from ._messages import Expected, Sent, call
from ._moto import MockEnded, MockGuard

__all__ = [
    "ALWAYS",
    "Capture",
    "Expected",
    "Faults",
    "MockEnded",
    "MockGuard",
    "Sent",
    "as_json",
    "call",
    "capture",
    "contains",
    "matching",
]
