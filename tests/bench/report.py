"""The page of the results, and the part of it that stands in the README between its markers. Pure."""

from __future__ import annotations

import textwrap

import table
from findings import Findings, Kept, Row

START, END = "<!-- bench -->", "<!-- /bench -->"
WIDTH = 120
PICTURE = ".github/latency.png"
PAGE = "tests/bench/results/page.md"
_TO_ROOT = "../../../"
_INTRODUCTION = """\
Each row's two sides were measured in turns within one run, each round beginning with another contestant; shown are
medians, and of the ratios, which were taken round by round, the quartiles. *Floor* is what must hold, *goal* what is
aimed at; *met* says which of the two is. Every proxy has one worker and stands before the same model, an nginx that
answers at once. Calls have a body of 1.4 kB and come on 32 connections unless the row says otherwise.

Processor time per request is the steadiest measure on a busy machine. It is judged at a fixed rate, where everybody
does all of the work and is woken for nearly every call alone. At saturation calls come in bunches, which makes all of
them cheaper; but there our engine yields to the traffic and loses copies, counted, so that ours would be flattered.

Latency is taken from the moment at which a call was due, drawn beforehand (a Poisson process, the same for everybody in
a round): a call that had to wait for a connection has waited. The load generator runs in real time where it is allowed
to, as if it were elsewhere; but it, the model and the contestant share this machine's processors, so the figures
themselves do not travel to another machine. The ratios do."""


def readme_block(kept: Kept) -> str:
    """What stands between the markers: the table, the picture, where to read how it was measured."""
    link = f"[How it was measured, and all figures]({PAGE})."
    return "\n\n".join([table.judged(all_rows(kept)), *_picture(kept, PICTURE), link])


def page(kept: Kept) -> str:
    """The whole page."""
    picture = _picture(kept, _TO_ROOT + PICTURE)
    parts = ["# What it costs, measured", kept.machine, _INTRODUCTION, table.judged(all_rows(kept)), *picture]
    for name, findings in kept.findings.items():
        parts += _section(name, findings)
    return "\n\n".join(parts) + "\n"


def all_rows(kept: Kept) -> list[Row]:
    return [row for each in kept.findings.values() for row in each.rows]


def _picture(kept: Kept, path: str) -> list[str]:
    """One line, or none where no curve was measured."""
    has_curves = any(each.curves for each in kept.findings.values())
    return [f"![Latency over the offered rate, of ours and of other proxies]({path})"] if has_curves else []


def _section(name: str, findings: Findings) -> list[str]:
    notes = [textwrap.fill(note, WIDTH) for note in findings.notes]
    tables = [table.shown(each) for each in findings.tables]
    return [f"## {name}", textwrap.fill(findings.method, WIDTH), *tables, *notes]


def replaced(text: str, block: str) -> str:
    """`text` with `block` between its markers. Raises ValueError if they are not there once each, in order."""
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(f"the README must have {START} and then {END}, once each")
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{block}\n{END}{rest.partition(END)[2]}"
