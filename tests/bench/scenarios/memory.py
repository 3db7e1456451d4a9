"""Memory at rest: the relay, and relay and engine together, after a few calls and no more traffic.

Judged is the resident size, in which the pages of files that relay and engine share count once when both are summed.
The proportional size is shown beside it; it is smaller as long as other Pythons on this machine share those pages too.
"""

from __future__ import annotations

import time

import ledger
import load
from contestants import SAMPLED, running
from figures import absolute, number, spread
from findings import Findings, Row, Table
from processes import Memory, family_memory, memory
from run import Run
from servers import Server

from scenarios.scenario import Scenario

MIB = 1 << 20
REST_SECONDS = 2.0
STARTS = 3


def measure(run: Run) -> Findings:
    found: list[tuple[Memory, Memory]] = []
    with run.room() as room:
        for _ in run.turns((SAMPLED,), STARTS):
            with running((SAMPLED,), room._replace(folder=run.folder())) as servers:
                found.append(at_rest(servers[SAMPLED]))
    relay, both = ([each.resident / MIB for each in part] for part in zip(*found, strict=True))
    measures = (absolute(relay, "MiB", floor=45, goal=35), absolute(both, "MiB", floor=120, goal=100))
    method = f"Resident size {REST_SECONDS:g} s after the last of some calls, median of {STARTS} starts."
    return Findings(method, (Row("memory at rest: relay / all", "–", measures),), (_table(found),))


def at_rest(server: Server) -> tuple[Memory, Memory]:
    """Of the first process and of all, once some calls have been served and have their end."""
    load.offered(server, rate=200, seconds=0.5)
    ledger.settled(server.admin, ledger.has_ended)
    time.sleep(REST_SECONDS)
    return memory(server.pid), family_memory(server.pid)


def _table(found: list[tuple[Memory, Memory]]) -> Table:
    rows = []
    for name, of in zip(("relay", "relay and engine"), zip(*found, strict=True), strict=True):
        sizes = ([each.resident for each in of], [each.proportional for each in of])
        rows.append((name, *(number(spread(size).median / MIB) for size in sizes)))
    return Table(("processes", "resident MiB", "proportional MiB"), tuple(rows))


SCENARIO = Scenario("memory", "memory at rest", measure)
