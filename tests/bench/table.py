"""Tables that read the same in a terminal and in Markdown: names to the left, numbers to the right. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from figures import Measure, Spread, number
from findings import Row, Table

HEADINGS = ("scenario", "against", "ours", "theirs", "ratio (quartiles)", "floor", "goal", "met")
_WORDS = 2
"""Columns of words, before the numbers."""


def judged(rows: Sequence[Row]) -> str:
    """The table of floors and goals."""
    return aligned(HEADINGS, [_cells(row) for row in rows], _WORDS)


def shown(table: Table) -> str:
    """A table of figures that are not judged."""
    return aligned(table.headings, table.rows, table.words)


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    """Markdown; the first `words` columns to the left."""
    widths = [max(len(line[at]) for line in (headings, *rows)) for at in range(len(headings))]
    rule = "|".join("-" * (width + 2) if at < words else "-" * (width + 1) + ":" for at, width in enumerate(widths))
    first, *rest = (_line(line, widths, words) for line in (headings, *rows))
    return "\n".join([first, f"|{rule}|", *rest])


def _line(cells: Sequence[str], widths: Sequence[int], words: int) -> str:
    placed = [
        cell.ljust(width) if at < words else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(placed)} |"


def _cells(row: Row) -> tuple[str, ...]:
    columns = (
        [each.ours for each in row.measures],
        [each.theirs for each in row.measures],
        [_ratio(each) for each in row.measures],
        [_limit(each, each.floor) for each in row.measures],
        [_limit(each, each.goal) for each in row.measures],
    )
    verdict = row.verdict
    return (row.scenario, row.against, *(_joined(column) for column in columns), verdict)


def _joined(cells: Sequence[str]) -> str:
    """One cell for all measures of a row; nothing is said twice."""
    return " / ".join(cells) if set(cells) != {"–"} else "–"


def _ratio(measure: Measure) -> str:
    return "–" if measure.unit or measure.theirs == "–" else spread_text(measure.measured)


def spread_text(spread: Spread) -> str:
    median, low, high = (f"{each:.2f}" if each < 100 else "> 99" for each in (spread.median, spread.low, spread.high))
    return f"{median} ({low} – {high})"


def _limit(measure: Measure, limit: float | None) -> str:
    if limit is None:
        return "–"
    if measure.goal_is_noise and limit == measure.goal:
        return "noise"
    return f"≤ {limit:g}" if not measure.unit else f"≤ {number(limit)} {measure.unit}"
