"""A high rate of which every exchange is wanted: nothing is lost, and the callers hardly notice that it is wanted."""

from __future__ import annotations

import latencies
import ledger
from contestants import SAMPLED, UNWANTED, running
from figures import absolute, compared
from findings import Findings, Row
from open_loop import Result
from run import Run

from scenarios.scenario import Scenario

RATE = 5000


def measure(run: Run) -> Findings:
    names = (UNWANTED, SAMPLED)
    results: dict[str, list[Result]] = {name: [] for name in names}
    with run.room() as room, running(names, room) as servers:
        for number, name in run.turns(names, run.plan.paired_rounds):
            results[name].append(latencies.offered(servers[name], RATE, run.plan.seconds, number))
        found = ledger.read(servers[SAMPLED].admin)
    method = f"{RATE:,} calls a second offered, {run.plan.paired_rounds} rounds of {run.plan.seconds:g} s, open loop."
    sent = sum(each.sent for each in results[SAMPLED])
    lost = found["exchanges"]["lost"] or "none"
    note = f"Of {sent:,} wanted exchanges lost: {lost}; unaccounted for: {ledger.unaccounted(sent, found):,}."
    return Findings(
        method, (_row(results, ledger.lost(found)),), (latencies.table(results),), (note, *latencies.notes(results))
    )


def _row(results: latencies.Results, lost: int) -> Row:
    ours, unwanted = (latencies.p99(results[name]) for name in (SAMPLED, UNWANTED))
    measures = (
        absolute([lost], "lost", floor=0, goal=0),
        compared(ours, unwanted, "µs", floor=None, goal=1.2),
    )
    return Row(f"{RATE:,}/s, every exchange wanted: lost / p99", "unwanted traffic", measures)


SCENARIO = Scenario("wanted", f"exchanges lost and p99 at {RATE:,} calls a second, all wanted", measure)
