"""What the comparison shows: medians, ratios, and the page they stand on. Pure."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence

from measure import CONNECTIONS, Sample

YARDSTICK = "nginx"
OURS = "sidecar, collecting"
WIDTH = 120
HEADINGS = ("contestant", "processor µs", "ratio", "requests/s", "ratio", "p50 µs", "p99 µs")


def medians(samples: Sequence[Sample]) -> Sample:
    """The median of each figure; requests and errors are sums."""
    return Sample(
        requests=sum(sample.requests for sample in samples),
        errors=sum(sample.errors for sample in samples),
        requests_per_second=statistics.median(sample.requests_per_second for sample in samples),
        p50_us=statistics.median(sample.p50_us for sample in samples),
        p99_us=statistics.median(sample.p99_us for sample in samples),
        processor_us=statistics.median(sample.processor_us for sample in samples),
        first_process_us=statistics.median(sample.first_process_us for sample in samples),
    )


def rows(results: Mapping[str, Sample]) -> list[tuple[str, ...]]:
    """The table's cells, ratios to the yardstick."""
    yardstick = results[YARDSTICK]
    table: list[tuple[str, ...]] = []
    for name, it in results.items():
        has_cost = it.processor_us > 0
        table.append(
            (
                name,
                f"{it.processor_us:.1f}" if has_cost else "–",
                f"{it.processor_us / yardstick.processor_us:.2f}" if has_cost else "–",
                f"{it.requests_per_second:,.0f}",
                f"{it.requests_per_second / yardstick.requests_per_second:.2f}",
                f"{it.p50_us:,.0f}",
                f"{it.p99_us:,.0f}",
            )
        )
    return table


def markdown(table: Sequence[tuple[str, ...]]) -> str:
    """An aligned table that reads the same in a terminal."""
    lines = [HEADINGS, *table]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    text = [
        "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(x, widths, strict=True)))
        + " |"
        for x in lines
    ]  # fmt: skip
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([text[0], rule, *text[1:]])


def report(results: Mapping[str, Sample], kept: str, rounds: int, seconds: int, size: int) -> str:
    """The whole page: how it was measured, the table, what became of the exchanges that ours saw."""
    method = (
        f"A predict call of {size:,} bytes, {CONNECTIONS} connections, wrk with one thread; {rounds} rounds of "
        f"{seconds} s, contestants in turn, medians. Every proxy has one worker and stands before the same model, an "
        "nginx that answers at once. *Processor* is user and system time of every process of the contestant (ours: "
        "relay and engine, until the engine has done all its work) per request; the model and the mirror's sink are "
        "not counted. Ratios are to nginx; they travel to another machine better than the figures do."
    )
    ours = (
        "*Collecting*: every call is copied, decoded and matched; a threshold on the output, then a sample of 10 %, "
        "into the queue, and from there into the embedded app. "
        f"The relay alone takes {results[OURS].first_process_us:.1f} µs of it: the rest is the engine's, beside the "
        f"path. {kept}"
    )
    failed = [f"{name} {it.errors:,}" for name, it in results.items() if it.errors]
    if failed:
        ours += f" Calls that failed, so that these lines say little: {', '.join(failed)}."
    command = f"`python tests/bench/compare.py --rounds {rounds} --seconds {seconds} --write`"
    parts = ("# First figures", textwrap.fill(method, WIDTH), markdown(rows(results)), textwrap.fill(ours, WIDTH))
    return "\n\n".join((*parts, command)) + "\n"
