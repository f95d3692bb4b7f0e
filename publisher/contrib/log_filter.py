"""For a logging handler that publishes: keep away from it what a request of ours writes.

::

    handler = SnsHandler()
    handler.addFilter(OutsideRequests())
    logging.getLogger().addHandler(handler)
"""

from __future__ import annotations

import logging

from .._log_lines import LINES, NONE


class OutsideRequests(logging.Filter):
    """Lets a line through if a message may be made of it.

    Not those that botocore, urllib3 or user code write while this package makes a request or a
    boto3 client on their thread, and not this package's own but for those about losses. Without the
    filter what a handler publishes of such a line is dropped as ``log_line``.

    It belongs to the handler that the line meets first: to a ``QueueHandler``, not to the one
    behind its listener, which runs on another thread.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line may make a message."""
        return LINES.get() < NONE
