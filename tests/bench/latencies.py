"""Latencies of several contestants round by round, and how they are shown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import ledger
import load
from figures import number
from findings import Table
from open_loop import Result
from servers import Server

HEADINGS = ("contestant", "p50 µs", "p99 µs", "worst µs", "generator late p99 µs", "failed")
TOO_LATE_US = 1000.0
Results = Mapping[str, Sequence[Result]]


def offered(server: Server, rate: float, seconds: float, seed: int) -> Result:
    """One turn; ours has then done all its work, so that none of it is left over for the next one's turn."""
    result = load.offered(server, rate, seconds, seed)
    if server.admin:
        ledger.settled(server.admin, ledger.is_quiet)
    return result


def p50(of: Sequence[Result]) -> list[float]:
    return [each.p50_us for each in of]


def p99(of: Sequence[Result]) -> list[float]:
    return [each.p99_us for each in of]


def failed(of: Sequence[Result]) -> int:
    return sum(each.failed for each in of)


def notes(results: Results) -> tuple[str, ...]:
    """A warning if the generator itself was late in most of the turns: then it is the machine that was measured."""
    late = statistics.median(each.late_p99_us for of in results.values() for each in of)
    if late < TOO_LATE_US:
        return ()
    return (f"The load generator itself was {number(late / 1000)} ms late (p99): the machine was too busy to tell.",)


def table(results: Results) -> Table:
    """Medians of the rounds; the worst of all calls, and the sum of those that failed."""
    return Table(HEADINGS, tuple(_line(name, of) for name, of in results.items()))


def _line(name: str, of: Sequence[Result]) -> tuple[str, ...]:
    medians = [statistics.median(part) for part in (p50(of), p99(of))]
    late = statistics.median(each.late_p99_us for each in of)
    shown = (*medians, max(each.worst_us for each in of), late)
    return (name, *(number(each) for each in shown), f"{failed(of):,}")
