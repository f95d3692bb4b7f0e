"""Numbers with their nouns, for people."""

from __future__ import annotations


def counted(count: int, noun: str, verb: str = "") -> str:
    """``1 message``, ``1,200 messages``; with the verb ``were`` also ``1 message was``."""
    one = count == 1
    many = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    text = f"{count:,} {noun if one else many}"
    return f"{text} {'was' if one else verb}" if verb else text
