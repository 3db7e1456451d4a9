"""As many calls as will go: shown beside the fixed rate, and not judged.

On two processors this says as much about the load generator, which is on one of them; and our engine, which yields to
the traffic, loses copies then, counted, so that it pays for fewer exchanges than it saw. The share kept is shown.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import NamedTuple

import calls
import ledger
import load
from contestants import DIRECT, running
from figures import number
from findings import Findings, Table
from run import Run
from servers import Server
from tools import WRK

from scenarios import processor
from scenarios.scenario import Scenario

HEADINGS = ("contestant", "requests/s", "µs a request", "share copied", "failed")


class Sample(NamedTuple):
    """One turn; `copied` is the share of the exchanges that were not lost, None for others than ours."""

    per_second: float
    all_us: float
    copied: float | None
    failed: int


def measure(run: Run) -> Findings:
    names = run.present(DIRECT, *processor.NAMES)
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    rounds = max(run.plan.rounds - 2, 1)
    with run.room() as room, running(names, room) as servers:
        body = room.folder / "body.json"
        body.write_bytes(calls.numbers(calls.SMALL_BYTES))
        for _, name in run.turns(names, rounds):
            samples[name].append(_turn(run, servers[name], body))
    method = (
        f"{load.CONNECTIONS} connections that each send the next call when the last is answered, "
        f"{rounds} rounds of {run.plan.seconds:g} s."
    )
    return Findings(method, tables=(Table(HEADINGS, tuple(_line(name, of) for name, of in samples.items())),))


def _turn(run: Run, server: Server, body: Path) -> Sample:
    before = _counts(server)
    sent, cost = load.costing(server, lambda: load.saturating(run.tools[WRK], server, run.plan.seconds, body))
    lost, seen = (after - first for after, first in zip(_counts(server), before, strict=True))
    copied = 1 - lost / seen if seen else None
    return Sample(sent.requests / sent.seconds, cost.all_seconds / sent.requests * 1e6, copied, sent.failed)


def _counts(server: Server) -> tuple[int, int]:
    """Exchanges lost and seen so far; nothing for others than ours."""
    if not server.admin:
        return 0, 0
    found = ledger.read(server.admin)
    return ledger.lost(found), found["exchanges"]["seen"]


def _line(name: str, of: list[Sample]) -> tuple[str, ...]:
    copied = [each.copied for each in of if each.copied is not None]
    return (
        name,
        f"{statistics.median(each.per_second for each in of):,.0f}",
        number(statistics.median(each.all_us for each in of)) if name != DIRECT else "–",
        f"{statistics.median(copied):.0%}" if copied else "–",
        f"{sum(each.failed for each in of):,}",
    )


SCENARIO = Scenario("saturation", "requests a second, as many as will go", measure, (WRK,))
