"""What a stranger wrote (a service, a caller, a command line), made fit to be shown."""

from __future__ import annotations

import re

#: What forges log lines and steers terminals: control characters, line and paragraph separators,
#: marks of direction, and halves of characters, which no stream can print.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_TOKEN = re.compile(r"\S+")
_USER = re.compile(r"(?P<scheme>[^@]*?//|[\"'(<\[]*).*@", re.DOTALL)
_QUERY = re.compile(r"(?P<before>[^?]*[/:.][^?]*)\?[^\"')>\]]+", re.DOTALL)
_HIDDEN = "***"
_MAX_TEXT = 500  # characters
_LOOKED_AT = 8 * _MAX_TEXT  # of a text that may be as long as an answer


def escaped(text: object) -> str:
    """The text with control and direction characters as Python's escapes, so in one line."""
    return _UNSEEN.sub(lambda found: found.group().encode("unicode_escape").decode(), str(text))


def masked_address(address: object) -> str:
    """An address without its user info and query, well formed or not."""
    text = str(address)
    text = _USER.sub(rf"\g<scheme>{_HIDDEN}@", text, count=1) if "@" in text else text
    return _QUERY.sub(rf"\g<before>?{_HIDDEN}", text, count=1) if "?" in text else text


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
