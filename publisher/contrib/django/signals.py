"""Signals: what became of a message.

Receivers get ``event``, a :class:`publisher.Event`, and ``using``, the alias in ``AWS_PUBLISHER``;
the sender is :class:`publisher.Publisher`. They run on the thread ``publisher-callbacks``, and may
use the ORM there. One that raises is logged and stops no other.
"""

from __future__ import annotations

from django.dispatch import Signal

delivered = Signal()
failed = Signal()
dropped = Signal()
spooled = Signal()
