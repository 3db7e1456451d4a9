"""Latency over the offered rate, until a contestant no longer keeps up: what the picture shows."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence

import latencies
from contestants import DIRECT, ENVOY_MIRROR, MIRROR, SAMPLED, USUAL, running
from findings import Curves, Findings, Table
from open_loop import Result
from run import Run

from scenarios.scenario import Scenario

NAMES = (DIRECT, SAMPLED, MIRROR, ENVOY_MIRROR, USUAL)
KEEPS_UP = 0.95
"""Of what was offered; below it, every further second would only lengthen the queue."""
LONGEST_US = 200_000

Found = dict[str, dict[int, list[Result]]]


def measure(run: Run) -> Findings:
    names = run.present(*NAMES)
    found: Found = {name: {} for name in names}
    plan, seconds = run.plan, min(run.plan.seconds, 2.0)
    turns = list(itertools.product(range(plan.curve_rounds), plan.rates, names))
    with run.room() as room, running(names, room) as servers, run.steps(len(turns)) as step:
        for number, rate, name in turns:
            step(f"{rate:,}/s, {name}")
            if keeps_up(found[name], rate):
                result = latencies.offered(servers[name], rate, seconds, number)
                found[name].setdefault(rate, []).append(result)
    method = (
        f"{seconds:g} s at each rate, {plan.curve_rounds} rounds, medians; a line ends where its contestant no longer "
        f"served {KEEPS_UP:.0%} of the calls, or p99 passed {LONGEST_US / 1000:g} ms."
    )
    curves = {name: points(of) for name, of in found.items()}
    return Findings(method, tables=(_table(curves, plan.rates),), curves=curves)


def keeps_up(found: Mapping[int, Sequence[Result]], rate: int) -> bool:
    """False once it was not served at a lower rate in any round so far."""
    return all(any(is_served(each, at) for each in results) for at, results in found.items() if at < rate)


def is_served(result: Result, rate: int) -> bool:
    return not result.failed and result.rate >= KEEPS_UP * rate and result.p99_us <= LONGEST_US


def points(of: Mapping[int, Sequence[Result]]) -> tuple[tuple[float, float, float], ...]:
    """Medians at each rate, up to the first that was not served in most of the rounds."""
    lasting = itertools.takewhile(lambda at: _is_mostly_served(of[at], at), sorted(of))
    return tuple(
        (rate, _milliseconds(latencies.p50(of[rate])), _milliseconds(latencies.p99(of[rate]))) for rate in lasting
    )


def _milliseconds(microseconds: Sequence[float]) -> float:
    return statistics.median(microseconds) / 1000


def _is_mostly_served(results: Sequence[Result], rate: int) -> bool:
    return 2 * sum(is_served(each, rate) for each in results) > len(results)


def _table(curves: Curves, rates: tuple[int, ...]) -> Table:
    """p50 / p99 in milliseconds."""
    by_rate = {name: {rate: f"{p50:.2f} / {p99:.2f}" for rate, p50, p99 in points} for name, points in curves.items()}
    rows = [(f"{rate:,}/s", *(by_rate[name].get(rate, "–") for name in curves)) for rate in rates]
    return Table(("offered: p50 / p99 ms", *curves), tuple(rows))


SCENARIO = Scenario("curve", "latency over the offered rate; the picture", measure)
