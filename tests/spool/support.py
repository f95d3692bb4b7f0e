"""What several tests of the spool share."""

from __future__ import annotations

from typing import Any

from tests.servers import Answer

#: Nothing is stored, and it may pass.
DOWN = Answer(status=503, body=b"{}", store=False)


class Holder:
    """Who is told what the log knows a message by."""

    kept: Any = None
