"""What the comparison shows: medians, ratios, and the page they stand on. Pure."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

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
    """An aligned table that reads the same in a terminal: names to the left, numbers to the right."""
    lines = [HEADINGS, *table]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    rule = "|".join("-" * (width + 2) if at == 0 else "-" * (width + 1) + ":" for at, width in enumerate(widths))
    first, *rest = (_line(line, widths) for line in lines)
    return "\n".join([first, f"|{rule}|", *rest])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers = zip(cells, widths, strict=True)
    aligned = [name[0].ljust(name[1]), *(cell.rjust(width) for cell, width in numbers)]
    return f"| {' | '.join(aligned)} |"


class Method(NamedTuple):
    """How it was measured; `rate` is in calls a second, 0 for as many as will go; `size` in bytes."""

    rounds: int
    seconds: int
    rate: int
    size: int


def report(results: Mapping[str, Sample], kept: str, method: Method) -> str:
    """The whole page: how it was measured, the table, what became of the exchanges that ours saw."""
    offered = f"about {method.rate:,} calls a second offered to each" if method.rate else "as many calls as will go"
    text = (
        f"A predict call of {method.size:,} bytes, {CONNECTIONS} connections, wrk with one thread, {offered}; "
        f"{method.rounds} rounds of {method.seconds} s, contestants in turn, medians. Every proxy has one worker and "
        "stands before the same model, an nginx that answers at once. *Processor* is user and system time of every "
        "process of the contestant (ours: relay and engine, until the engine has done all its work) per request; the "
        "model and the mirror's sink are not counted. Ratios are to nginx; they travel to another machine better than "
        "the figures do."
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
    options = f"--rounds {method.rounds} --seconds {method.seconds} --rate {method.rate}"
    command = f"`python tests/bench/compare.py {options} --write`"
    parts = ("# First figures", textwrap.fill(text, WIDTH), markdown(rows(results)), textwrap.fill(ours, WIDTH))
    return "\n\n".join((*parts, command)) + "\n"
