"""How ``stats()`` looks in a terminal and in a notebook."""

from __future__ import annotations

import html as _html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

#: ``publisher.Ledger`` and ``publisher.SpoolStats``, which ``publisher.Stats`` prints with this.
Ledger: TypeAlias = Any
SpoolStats: TypeAlias = Any

_COUNTS = (
    "accepted",
    "delivered",
    "failed",
    "dropped",
    "cancelled",
    "outstanding",
    "retries",
    "requests",
)
_TABLE = "border-collapse: collapse; font-variant-numeric: tabular-nums"
_CELL = "padding: 0.25em 0.75em; white-space: nowrap"
_TOTAL = "font-weight: bold; border-top: 1px solid currentColor"
_LOST = "color: #d55e00"  # of a palette that the colour-blind can tell apart, on light and dark
#: Of a spool; shown where there is one to count.
_SPOOLED = ("spooled", "replayed")
_MEASURES = ("sent", "oldest", "p50", "p99")


def quantile(latency: Sequence[int], bounds: Sequence[float], share: float) -> float | None:
    """The upper bound, in seconds, of the bucket that ``share`` of the messages fall into.

    None where there are none; infinity for the last bucket, which has no bound.
    """
    total = sum(latency)
    if not total:
        return None
    passed = 0
    for count, bound in zip(latency, (*bounds, float("inf")), strict=True):
        passed += count
        if passed >= share * total:
            return bound
    return float("inf")


def text(
    rows: Sequence[tuple[str, Ledger]],
    bounds: Sequence[float],
    columns: int,
    spool: SpoolStats | None = None,
) -> str:
    """A table with a line for each destination; below it the errors that occurred, and the spool.

    Where that is wider than ``columns``, destinations become columns; where they are many, there
    are several such tables, one below the other.
    """
    counts = _counts(rows)
    head = ("destination", *counts, *_MEASURES)
    table = [head, *(_cells(name, ledger, counts, bounds) for name, ledger in rows)]
    lines = _laid_out(table)
    if len(lines[0]) > columns:
        lines = _transposed(table, columns)
    for name, ledger in rows:
        if name != "total" and (troubles := _troubles(ledger)):
            lines += textwrap.wrap(
                f"{name}: {troubles}", columns, subsequent_indent="  ", break_long_words=False
            )
    if spool is not None:
        lines += textwrap.wrap(f"spool: {_of_spool(spool)}", columns, subsequent_indent="  ")
    return "\n".join(lines)


def _laid_out(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for cells in table:
        first, *rest = zip(cells, widths, strict=True)
        lines.append(
            "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
        )
    return lines


def _transposed(table: Sequence[Sequence[str]], columns: int) -> list[str]:
    head, *others = table
    room = columns - max(map(len, head)) - 2
    others = [(_cut(name, room), *cells) for name, *cells in others]
    lines: list[str] = []
    while others:
        shown = len(others)
        while True:
            block = _laid_out([*zip(head, *others[:shown], strict=True)])
            if shown == 1 or len(block[0]) <= columns:
                break
            shown -= 1
        lines += [*([""] if lines else []), *block]
        others = others[shown:]
    return lines


def html(
    rows: Sequence[tuple[str, Ledger]], bounds: Sequence[float], spool: SpoolStats | None = None
) -> str:
    """A table in HTML, for a notebook with a light or a dark background; losses stand out."""
    counts = _counts(rows)
    columns = ("destination", *counts, *_MEASURES)
    head = "".join(
        f'<th style="{_CELL}; text-align: {"left" if column == "destination" else "right"};'
        f' border-bottom: 1px solid currentColor">{column}</th>'
        for column in columns
    )
    body = []
    for name, ledger in rows:
        first, *cells = _cells(name, ledger, counts, bounds)
        marked = [
            f'<b style="{_LOST}">{cell}</b>'
            if column in ("failed", "dropped") and cell != "0"
            else cell
            for column, cell in zip(columns[1:], cells, strict=True)
        ]
        tds = "".join(f'<td style="{_CELL}; text-align: right">{cell}</td>' for cell in marked)
        named = f'<td style="{_CELL}; text-align: left">{_html.escape(first)}</td>'
        body.append(f'<tr style="{_TOTAL if name == "total" else ""}">{named}{tds}</tr>')
    notes = [
        f"<p>{_html.escape(name)}: {_html.escape(troubles)}</p>"
        for name, ledger in rows
        if name != "total" and (troubles := _troubles(ledger))
    ]
    if spool is not None:
        notes.append(f"<p>spool: {_of_spool(spool)}</p>")
    head = f"<thead><tr>{head}</tr></thead>"
    table = f'<table style="{_TABLE}">{head}<tbody>{"".join(body)}</tbody></table>'
    return table + "".join(notes)


def _cut(name: str, room: int) -> str:
    """A long name without its beginning: the end tells more."""
    return name if len(name) <= room else f"...{name[-max(room - 3, 1) :]}"


def _counts(rows: Sequence[tuple[str, Ledger]]) -> tuple[str, ...]:
    """The counts to show: those of a spool only where one of them is not 0."""
    used = [name for name in _SPOOLED if any(getattr(ledger, name) for _, ledger in rows)]
    return (*_COUNTS, *used)


def _cells(
    name: str, ledger: Ledger, counts: Sequence[str], bounds: Sequence[float]
) -> tuple[str, ...]:
    return (
        name,
        *(f"{getattr(ledger, count):,}" for count in counts),
        _size(ledger.bytes_sent),
        _seconds(ledger.oldest_age or None),
        *(_seconds(quantile(ledger.latency, bounds, share)) for share in (0.5, 0.99)),
    )


def _of_spool(spool: SpoolStats) -> str:
    """What is on disk, in one line."""
    parts = [f"{spool.waiting:,} waiting", _size(spool.bytes)]
    if spool.waiting:
        parts.append(f"oldest {_seconds(spool.oldest_age)}")
    rare = {name: getattr(spool, name) for name in ("orphans", "skipped", "unwritten")}
    return ", ".join([*parts, *(f"{name} {count:,}" for name, count in rare.items() if count)])


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds == float("inf"):
        return "longer"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _troubles(ledger: Ledger) -> str:
    dropped = {reason: count for reason, count in ledger.dropped_by_reason.items() if count}
    parts = (
        ("failed", ledger.failed_by_code),
        ("dropped", dropped),
        ("tries that failed", ledger.errors_by_code),
        ("of shards", ledger.errors_by_shard),
    )
    return "; ".join(f"{title}: {_listed(counts)}" for title, counts in parts if counts)


def _listed(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{name} {count:,}" for name, count in ranked[:5]]
    if len(ranked) > len(shown):
        shown.append(f"{len(ranked) - len(shown)} more")
    return ", ".join(shown)
