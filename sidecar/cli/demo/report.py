"""What the demo shows at its end, from the ledger's JSON and the latency samples. Pure: no I/O, no clock.

The two sums are checked here and nowhere else in the demo:

    seen    = unwanted + taken + lost
    matched = filtered + delivered + dead + dropped + pending
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from sidecar.cli.demo.traffic import Latencies

Ledger = Mapping[str, Any]
NOTHING_DELIVERED = "nothing was delivered"


class Term(NamedTuple):
    """One term of a sum, with what it means."""

    name: str
    amount: int
    meaning: str


class Sum(NamedTuple):
    """A whole and the terms that must add up to it."""

    whole: Term
    terms: tuple[Term, ...]

    @property
    def holds(self) -> bool:
        return self.whole.amount == sum(term.amount for term in self.terms)


def count_of(value: object) -> int:
    """A count, or the sum of counts by reason."""
    if isinstance(value, Mapping):
        return sum(count_of(part) for part in value.values())
    return value if isinstance(value, int) else 0


def exchanges(ledger: Ledger) -> Sum:
    """The sum before matching."""
    counts = ledger.get("exchanges", {})
    return Sum(
        Term("seen", count_of(counts.get("seen")), "predict calls that passed the sidecar"),
        (
            Term("unwanted", count_of(counts.get("unwanted")), "no collector wants this caller: nothing was copied"),
            Term("taken", count_of(counts.get("taken")), "copied, and read by the engine"),
            Term("lost", count_of(counts.get("lost")), _reasons(counts.get("lost")) or "copies let go"),
        ),
    )


def jobs(ledger: Ledger) -> Sum:
    """The sum from matching on: a job is one input for one collector."""
    total, reasons = ledger.get("total", {}), ledger.get("reasons", {})
    return Sum(
        Term("matched", count_of(total.get("matched")), "inputs of a watched caller"),
        (
            *_filtered(count_of(total.get("filtered")), reasons.get("filtered")),
            Term("delivered", count_of(total.get("delivered")), "kept: on the page"),
            Term("dead", count_of(total.get("dead")), "could not be delivered: kept, can be tried again"),
            Term("dropped", count_of(total.get("dropped")), _reasons(reasons.get("dropped")) or "meant by no policy"),
            Term("pending", count_of(total.get("pending")), "in the queue"),
        ),
    )


_WHY_FILTERED = {
    "pre_queue": Term("filtered, pre-queue", 0, "the model was sure"),
    "post_queue": Term("filtered, post-queue", 0, "unsure, but the second model agrees"),
}


def _filtered(total: int, by_reason: object) -> Iterable[Term]:
    """One line for each workflow that filtered; the total alone when the ledger does not tell them apart."""
    if not isinstance(by_reason, Mapping) or count_of(by_reason) != total:
        return [Term("filtered", total, "what the policy meant to leave out")]
    names = {**dict.fromkeys(_WHY_FILTERED), **dict.fromkeys(by_reason)}
    unknown = Term("filtered", 0, "")
    return [_WHY_FILTERED.get(name, unknown)._replace(amount=count_of(by_reason.get(name))) for name in names]


def _reasons(counts: object) -> str:
    if not isinstance(counts, Mapping):
        return ""
    return ", ".join(f"{name} {count_of(count):,}" for name, count in counts.items() if count_of(count))


def is_settled(ledger: Ledger, sent: int) -> bool:
    """True if all of `sent` calls were seen, nothing is on its way, and both sums hold."""
    return not set(faults(ledger, sent)) - {NOTHING_DELIVERED}


def faults(ledger: Ledger, sent: int) -> list[str]:
    """Why it is no success, in words; empty when it is one: what `--once` promises with exit code 0."""
    counts, total = ledger.get("exchanges", {}), ledger.get("total", {})
    checks = (
        (exchanges(ledger).holds, "the exchanges do not add up"),
        (jobs(ledger).holds, "the inputs do not add up"),
        (count_of(counts.get("seen")) >= sent, f"{sent:,} calls were sent, {count_of(counts.get('seen')):,} seen"),
        (not count_of(counts.get("open")), f"{count_of(counts.get('open')):,} exchanges are still open"),
        (not count_of(total.get("pending")), f"{count_of(total.get('pending')):,} inputs are still in the queue"),
        (count_of(total.get("delivered")) > 0, NOTHING_DELIVERED),
    )
    return [fault for is_well, fault in checks if not is_well]


def percentile(samples: Sequence[float], fraction: float) -> float:
    """The smallest sample that at least `fraction` of all samples do not exceed. Raises ValueError without samples."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    return ordered[max(math.ceil(fraction * len(ordered)), 1) - 1]


def _table(title: str, *numbers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, expand=True, header_style="bold", pad_edge=False)
    table.add_column(title, width=30, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", width=8, no_wrap=True)
    table.add_column("", ratio=1)
    return table


def sum_table(title: str, added: Sum) -> Table:
    """A sum as a table: the whole, its terms, and whether they add up."""
    table = _table(title, "count")
    table.add_row(f"  {added.whole.name}", f"{added.whole.amount:,}", added.whole.meaning, style="bold")
    for index, term in enumerate(added.terms):
        style = None if term.amount else "dim"
        table.add_row(f"{'+' if index else '='} {term.name}", f"{term.amount:,}", term.meaning, style=style)
    together = f"{sum(term.amount for term in added.terms):,}"
    verdict = Text("the sum holds", "green") if added.holds else Text("the sum does NOT hold", "bold red")
    table.add_row("  together", together, verdict)
    return table


def latency_table(latencies: Latencies) -> Table:
    """p50 and p99 of both ways in microseconds, and their difference."""
    table = _table("What the caller pays", "p50 µs", "p99 µs")
    direct, through = ([percentile(way, fraction) * 1e6 for fraction in (0.5, 0.99)] for way in latencies)
    added = [b - a for a, b in zip(direct, through, strict=True)]
    pairs = f"{len(latencies.direct):,} requests, both ways in turn"
    table.add_row("  direct to the model", *(f"{value:,.0f}" for value in direct), pairs)
    table.add_row("  through the sidecar", *(f"{value:,.0f}" for value in through))
    table.add_row("  added", *(f"{value:+,.0f}" for value in added), style="bold")
    return table
