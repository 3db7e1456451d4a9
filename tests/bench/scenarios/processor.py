"""Processor time per request at a fixed rate, where everybody does all of the work: the rows that are judged.

At a fixed rate nobody can drop work unseen, so ours pays for every exchange that it is said to keep; and everybody is
woken for nearly each call alone. At saturation (saturation.py) calls come in bunches and our engine gives way.
"""

from __future__ import annotations

import statistics
from typing import NamedTuple

import ledger
import load
from contestants import BLIND, ENVOY_MIRROR, MIRROR, PLAIN, SAMPLED, UNWANTED, USUAL, running
from figures import compared, number, ratios, spread
from findings import Findings, Row, Table
from run import Run
from servers import Server

from scenarios.scenario import Scenario

RATE = 3000
"""What the slowest still serves with ease."""
NAMES = (PLAIN, MIRROR, ENVOY_MIRROR, USUAL, BLIND, UNWANTED, SAMPLED)
RELAY, BOTH, IDLE = "relay, every exchange wanted", "relay + engine, a tenth kept", "relay, no collector wants it"
HEADINGS = ("contestant", "µs a request", "quartiles", "ratio to nginx", "p50 µs", "p99 µs", "failed")


class Sample(NamedTuple):
    """One turn: microseconds, and calls that failed."""

    all_us: float
    first_us: float
    p50_us: float
    p99_us: float
    failed: int


Samples = dict[str, list[Sample]]


def measure(run: Run) -> Findings:
    names = run.present(*NAMES)
    samples: Samples = {name: [] for name in names}
    with run.room() as room, running(names, room) as servers:
        for number_, name in run.turns(names, run.plan.rounds):
            samples[name].append(_turn(servers[name], run.plan.seconds, number_))
        lost = ledger.read(servers[SAMPLED].admin)["exchanges"]["lost"]
    method = (
        f"{RATE:,} calls a second offered to each, {run.plan.rounds} rounds of {run.plan.seconds:g} s. User and system "
        "time of every process of the contestant per request, ours until the engine has done all its work; the model, "
        "the mirrors' sink and the load generator are not counted."
    )
    relay = statistics.median(each.first_us for each in samples[SAMPLED])
    note = f"The relay alone takes {number(relay)} µs of the last line: the rest is the engine's, beside the path."
    if lost:
        note += f" Exchanges were lost, which costs the engine nothing, so that its figure is too low: {lost}."
    return Findings(method, tuple(judged(samples)), (_table(samples),), (note,))


def _turn(server: Server, seconds: float, seed: int) -> Sample:
    result, cost = load.costing(server, lambda: load.offered(server, RATE, seconds, seed))
    each = 1e6 / result.sent
    return Sample(cost.all_seconds * each, cost.first_seconds * each, result.p50_us, result.p99_us, result.failed)


def judged(samples: Samples) -> list[Row]:
    """The rows whose peer was there."""
    total = {name: [each.all_us for each in of] for name, of in samples.items()}
    relay = [each.first_us for each in samples[SAMPLED]]
    rows = (
        (RELAY, relay, PLAIN, 1.25, 1.0),
        (BOTH, total[SAMPLED], MIRROR, 1.1, 0.9),
        (BOTH, total[SAMPLED], ENVOY_MIRROR, 0.4, 0.3),
        (BOTH, total[SAMPLED], USUAL, 0.25, 0.2),
        (IDLE, total[UNWANTED], BLIND, 1.2, 1.1),
    )
    return [
        Row(f"{scenario}: µs a request", peer, (compared(ours, total[peer], "µs", floor=floor, goal=goal),))
        for scenario, ours, peer, floor, goal in rows
        if peer in total
    ]


def _table(samples: Samples) -> Table:
    yardstick = [each.all_us for each in samples[PLAIN]] if PLAIN in samples else None
    rows = []
    for name, of in samples.items():
        costs = [each.all_us for each in of]
        cost = spread(costs)
        ratio = f"{ratios(costs, yardstick).median:.2f}" if yardstick else "–"
        latencies = (statistics.median(each.p50_us for each in of), statistics.median(each.p99_us for each in of))
        failed = sum(each.failed for each in of)
        around = f"{number(cost.low)} – {number(cost.high)}"
        rows.append((name, number(cost.median), around, ratio, *(f"{one:,.0f}" for one in latencies), f"{failed:,}"))
    return Table(HEADINGS, tuple(rows))


SCENARIO = Scenario("processor", f"processor time per request, {RATE:,} calls a second offered", measure)
