"""What a caller waits longer when every exchange is kept, against nginx with its mirror, both over a direct call."""

from __future__ import annotations

import latencies
import ledger
from contestants import DIRECT, KEPT, MIRROR, running
from figures import added, compared
from findings import Findings, Row
from open_loop import Result
from run import Run
from tools import NGINX

from scenarios.scenario import Scenario

RATE = 2000


def measure(run: Run) -> Findings:
    names = (DIRECT, MIRROR, KEPT)
    results: dict[str, list[Result]] = {name: [] for name in names}
    with run.room() as room, running(names, room) as servers:
        for number, name in run.turns(names, run.plan.paired_rounds):
            results[name].append(latencies.offered(servers[name], RATE, run.plan.seconds, number))
        found = ledger.read(servers[KEPT].admin)
    method = f"{RATE:,} calls a second offered, {run.plan.paired_rounds} rounds of {run.plan.seconds:g} s, open loop."
    notes = (_account(results[KEPT], found), *latencies.notes(results))
    return Findings(method, (judged(results),), (latencies.table(results),), notes)


def judged(results: latencies.Results) -> Row:
    """Both percentiles: what ours adds to a direct call over what nginx with its mirror adds."""
    measures = []
    for part, floor, goal in ((latencies.p50, 1.0, 0.7), (latencies.p99, 1.2, 0.9)):
        ours, theirs = (added(part(results[name]), part(results[DIRECT])) for name in (KEPT, MIRROR))
        measures.append(compared(ours, theirs, "µs", floor=floor, goal=goal))
    return Row(f"{RATE:,}/s, every exchange kept: added p50 / p99", MIRROR, tuple(measures))


def _account(of: list[Result], found: ledger.Ledger) -> str:
    sent = sum(each.sent for each in of)
    return (
        f"Of {sent:,} exchanges {ledger.lost(found):,} were lost and {found['total']['delivered']:,} inputs delivered "
        f"to the embedded app; {ledger.unaccounted(sent, found):,} are unaccounted for."
    )


SCENARIO = Scenario("kept", f"added latency at {RATE:,} calls a second, every exchange kept", measure, (NGINX,))
