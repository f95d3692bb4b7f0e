"""What the doctor says of one thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass

from .._text import escaped

#: Severities, in rising order.
OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"
SEVERITIES = (OK, NOTE, WARNING, ERROR)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        severity: ``"ok"``, ``"note"`` (worth knowing), ``"warning"`` (will hurt some day) or
            ``"error"`` (hurts now).
        about: what was looked at, in a word or two.
        text: what was found; never a secret.
        todo: what to do about it; empty where nothing is to be done.
    """

    severity: str
    about: str
    text: str
    todo: str = ""

    def __str__(self) -> str:
        line = f"{self.severity:<8} {escaped(self.about)}: {escaped(self.text)}"
        return f"{line}\n{'':<8} -> {escaped(self.todo)}" if self.todo else line
