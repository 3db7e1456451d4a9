"""What a scenario found, as values that are kept beside the page: rows that are judged, tables, curves.

They are kept in a file, so that one scenario can be measured again, or for longer, without the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from figures import VERDICTS, Measure
from pydantic import TypeAdapter

Curves = Mapping[str, tuple[tuple[float, float, float], ...]]
"""By contestant: calls a second, p50 and p99 in milliseconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of floors and goals; several measures share one where they are promised together."""

    scenario: str
    against: str
    measures: tuple[Measure, ...]

    @property
    def verdict(self) -> str:
        """The worst of its measures'."""
        return min((each.verdict for each in self.measures), key=VERDICTS.index)


@dataclass(frozen=True, slots=True)
class Table:
    """Figures that are shown and not judged."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    """Columns of words, before the numbers."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Of one scenario; `method` says how it was measured."""

    method: str
    rows: tuple[Row, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    curves: Curves = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """All that was measured last: by scenario's name, and on what."""

    machine: str
    findings: Mapping[str, Findings]


_KEPT = TypeAdapter(Kept)


def load(path: Path) -> Kept:
    """What was kept there; nothing if there is no such file. Raises ValidationError if it is something else."""
    return _KEPT.validate_json(path.read_bytes()) if path.exists() else Kept("", {})


def save(path: Path, kept: Kept) -> None:
    path.write_bytes(_KEPT.dump_json(kept, indent=1) + b"\n")
