"""What a slow second server does to the callers: a mirror's sink, and our destination, that answer after a second.

nginx ends a mirrored call only with its mirror: the connection, and with it the caller's next call, waits for the sink.
The rate is one that 32 connections carry with ease as long as none of them waits.
"""

from __future__ import annotations

import statistics

import latencies
import load
from contestants import ENVOY_MIRROR, KEPT, MIRROR, collector, running, sidecar
from figures import number
from findings import Findings, Table
from open_loop import Result
from run import Run
from servers import answering
from tools import NGINX

from scenarios.failures import ACCEPTED, posting_to
from scenarios.scenario import Scenario

RATE = 200
SLOW_SECONDS = 1
HEADINGS = ("contestant", "sink or destination", "p50 ms", "p99 ms", "worst ms", "failed")


def measure(run: Run) -> Findings:
    names = run.present(MIRROR, ENVOY_MIRROR)
    results: dict[str, list[Result]] = {}
    rounds = max(run.plan.rounds // 2, 1)
    with run.room() as room, answering(room.folder / "slow", ACCEPTED, str(SLOW_SECONDS)) as slow:
        slowed = room._replace(folder=room.folder / "slowed", sink=slow.address)
        policy = collector(destination=posting_to(slow.address))
        with running(names, room) as well, running(names, slowed) as ill, sidecar(slowed, policy) as ours:
            servers = {f"{name}|at once": server for name, server in well.items()}
            servers |= {f"{name}|after {SLOW_SECONDS} s": server for name, server in ill.items()}
            servers[f"{KEPT}|after {SLOW_SECONDS} s"] = ours
            for number_, name in run.turns(tuple(servers), rounds):
                result = load.offered(servers[name], RATE, run.plan.seconds, number_)
                results.setdefault(name, []).append(result)
    method = (
        f"{RATE:,} calls a second offered on {load.CONNECTIONS} connections, {rounds} rounds of {run.plan.seconds:g} s."
    )
    table = Table(HEADINGS, tuple(_line(name, results[name]) for name in servers), words=2)
    return Findings(method, tables=(table,), notes=latencies.notes(results))


def _line(name: str, of: list[Result]) -> tuple[str, ...]:
    contestant, _, answers = name.partition("|")
    medians = (statistics.median(latencies.p50(of)), statistics.median(latencies.p99(of)))
    shown = (*medians, max(each.worst_us for each in of))
    return (contestant, answers, *(number(each / 1000) for each in shown), f"{latencies.failed(of):,}")


SCENARIO = Scenario("slow-mirror", "callers' latency when a mirror's sink is slow", measure, (NGINX,))
