"""Memory while the queue fills: every exchange is kept, and the destination is dead for minutes."""

from __future__ import annotations

import os
import signal

import ledger
import load
from contestants import collector, sidecar
from figures import absolute, number
from findings import Findings, Row, Table
from processes import Memory, family, family_memory, memory
from run import Run
from servers import Server, free_port

from scenarios.failures import posting_to
from scenarios.memory import MIB, at_rest
from scenarios.scenario import Scenario
from sidecar.settings import Settings

RATE = 2000
PIECES = 10
HEADINGS = ("minutes", "relay MiB", "all MiB", "pending jobs", "lost")


def measure(run: Run) -> Findings:
    policy = collector(destination=posting_to(f"127.0.0.1:{free_port()}"))
    with run.room() as room, sidecar(room._replace(folder=run.folder()), policy) as server:
        rest = at_rest(server)
        lines = [_line(0.0, server)]
        with run.steps(PIECES) as step:
            for piece in range(1, PIECES + 1):
                minutes = run.plan.minutes * piece / PIECES
                step(f"{minutes:.1f} of {run.plan.minutes:g} minutes")
                load.offered(server, RATE, run.plan.minutes * 60 / PIECES, piece)
                lines.append(_line(minutes, server))
        grown = memory(server.pid), family_memory(server.pid)
        for pid in family(server.pid):
            os.kill(pid, signal.SIGKILL)
    method = f"{RATE:,} calls a second for {run.plan.minutes:g} min, all kept, the destination dead; resident size."
    return Findings(method, (_row(run.plan.minutes, rest, grown),), (Table(HEADINGS, tuple(lines)),))


def _line(minutes: float, server: Server) -> tuple[str, ...]:
    found = ledger.settled(server.admin, ledger.has_ended)
    sizes = (memory(server.pid), family_memory(server.pid))
    jobs = (found["total"]["pending"], ledger.lost(found))
    return (f"{minutes:.2f}", *(number(each.resident / MIB) for each in sizes), *(f"{each:,}" for each in jobs))


def _row(minutes: float, rest: tuple[Memory, Memory], grown: tuple[Memory, Memory]) -> Row:
    """The bounds: at rest and the relay's budget; at rest and both budgets."""
    defaults = Settings()
    budgets = (defaults.relay_memory, defaults.relay_memory + defaults.queue_memory)
    measures = tuple(
        absolute([after.resident / MIB], "MiB", floor=(before.resident + budget) / MIB, goal=None)
        for before, after, budget in zip(rest, grown, budgets, strict=True)
    )
    return Row(f"memory after {minutes:g} min of {RATE:,} wanted/s, destination dead: relay / all", "–", measures)


SCENARIO = Scenario("backlog", "memory while the queue fills for minutes", measure)
