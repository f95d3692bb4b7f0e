"""What a stranger wrote (a service, a caller, a command line), made fit to be shown."""

from __future__ import annotations

import re

#: What forges log lines and steers terminals: control characters, line and paragraph separators,
#: marks of direction, and halves of characters, which no stream can print.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_TOKEN = re.compile(r"\S+")
_OPENING = "\"'(<["  # what may stand before an address
_CLOSING = re.compile(r"[\"')>\]]")  # and behind it
_OF_ADDRESSES = re.compile(r"[/:.]")
_HIDDEN = "***"
_MAX_TEXT = 500  # characters
_LOOKED_AT = 8 * _MAX_TEXT  # of a text that may be as long as an answer


def escaped(text: object) -> str:
    """The text with control and direction characters as Python's escapes, so in one line."""
    return _UNSEEN.sub(lambda found: found.group().encode("unicode_escape").decode(), str(text))


def masked_address(address: object) -> str:
    """An address without its user info and query, well formed or not."""
    return _without_query(_without_user(str(address)))


def _without_user(text: str) -> str:
    first = text.find("@")
    if first < 0:
        return text
    slashes = text.find("//", 0, first)
    begin = len(text) - len(text.lstrip(_OPENING)) if slashes < 0 else slashes + 2
    return f"{text[:begin]}{_HIDDEN}@{text[text.rfind('@') + 1 :]}"


def _without_query(text: str) -> str:
    begin = 0
    while (mark := text.find("?", begin)) >= 0:
        if _OF_ADDRESSES.search(text, begin, mark):
            closing = _CLOSING.search(text, mark + 1)
            end = len(text) if closing is None else closing.start()
            if end > mark + 1:
                return f"{text[: mark + 1]}{_HIDDEN}{text[end:]}"
        begin = mark + 1
    return text


def masked(text: object) -> str:
    """A text in which user info and query of every address are hidden."""
    shown = str(text)
    if "@" not in shown and "?" not in shown:
        return shown
    return _TOKEN.sub(lambda found: masked_address(found.group()), shown)


def printable(text: object) -> str:
    """Text that a stranger sent, fit for a log line.

    Addresses masked, control and direction characters escaped, at most 500 characters.
    """
    whole = str(text)
    shown = masked(whole[:_LOOKED_AT])
    cut = len(whole) > _LOOKED_AT or len(shown) > _MAX_TEXT
    shown = escaped(shown[: _MAX_TEXT + 1])
    return shown[:_MAX_TEXT] + "..." if cut or len(shown) > _MAX_TEXT else shown
