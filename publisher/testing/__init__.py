"""For users' tests: assert what was published, have requests fail, let time pass.

::

    from publisher.testing import capture, contains

    with capture() as published:
        place_order(17)
    published.assert_sent("sns", TopicArn=ORDERS, Message=contains("paid"))
    published.assert_nothing_else()

pytest has the same as the fixture ``published``.
"""

from __future__ import annotations

from .._aws.mocks import MockEnded, MockGuard
from ._capture import Capture, capture
from ._console import Console, console
from ._faults import ALWAYS, Faults
from ._local import LocalOnly, RealEndpointRefused, local_only, refuse_real
from ._matching import as_json, contains, matching
from ._messages import Expected, Sent, call

__all__ = [
    "ALWAYS",
    "Capture",
    "Console",
    "Expected",
    "Faults",
    "LocalOnly",
    "MockEnded",
    "MockGuard",
    "RealEndpointRefused",
    "Sent",
    "as_json",
    "call",
    "capture",
    "console",
    "contains",
    "local_only",
    "matching",
    "refuse_real",
]
