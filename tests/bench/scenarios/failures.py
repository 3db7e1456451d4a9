"""What goes wrong behind the path, and what the callers notice of it: nothing.

The destination is dead, hanging, or answers after a second; or the engine is killed in the middle. Every turn starts a
sidecar of its own on an empty folder, as the jobs of a failed turn would be tried again in the next one's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import latencies
import ledger
import load
from contestants import Room, collector, sidecar
from figures import absolute, compared
from findings import Findings, Row
from open_loop import Result
from processes import family
from run import Run
from servers import Server, answering, free_port

from scenarios.scenario import Scenario

RATE = 1000
HEALTHY = "all healthy"
KILLED = "engine killed"
DELAYS = {HEALTHY: "0", "destination hanging": "never", "destination 1 s slow": "1"}
DEAD = "destination dead"
NAMES = (HEALTHY, DEAD, *tuple(DELAYS)[1:], KILLED)
ACCEPTED = '{"status": {"code": 10000, "description": "Ok"}}'


def measure(run: Run) -> Findings:
    results: dict[str, list[Result]] = {name: [] for name in NAMES}
    untold = 0
    seconds = min(run.plan.seconds, 2.0)
    with run.room() as room, destinations(room) as posts_to:
        for number, name in run.turns(NAMES, run.plan.paired_rounds):
            with _sidecar(room._replace(folder=run.folder()), posts_to[name]) as server:
                result = _turn(server, name, seconds, number)
                untold += ledger.unaccounted(result.sent, ledger.settled(server.admin, ledger.has_ended))
            results[name].append(result)
    method = (
        f"{RATE:,} calls a second offered, every exchange kept and posted to another server, {run.plan.paired_rounds} "
        f"rounds of {seconds:g} s, each on a sidecar just started. The engine is killed after a third of the time."
    )
    rows = [_row(name, results) for name in NAMES if name != HEALTHY]
    rows.append(Row("all of these together: unaccounted for", "–", (absolute([untold], "", floor=0, goal=0),)))
    return Findings(method, tuple(rows), (latencies.table(results),), latencies.notes(results))


@contextlib.contextmanager
def destinations(room: Room) -> Iterator[dict[str, str]]:
    """Where each sidecar posts what it keeps."""
    with contextlib.ExitStack() as started:
        found = {DEAD: f"127.0.0.1:{free_port()}"}
        for number, (name, delay) in enumerate(DELAYS.items()):
            server = answering(room.folder / f"destination-{number}", ACCEPTED, delay)
            found[name] = started.enter_context(server).address
        found[KILLED] = found[HEALTHY]
        yield found


def posting_to(address: str) -> str:
    """A destination as a policy file writes it."""
    return f'{{clarifai: {{base_url: "http://{address}", user_id: me, app_id: bench}}}}'


@contextlib.contextmanager
def _sidecar(room: Room, posts_to: str) -> Iterator[Server]:
    """Ended at once: its drain would wait for the destination."""
    with sidecar(room, collector(destination=posting_to(posts_to))) as server:
        yield server
        for pid in family(server.pid):
            os.kill(pid, signal.SIGKILL)


def _turn(server: Server, name: str, seconds: float, seed: int) -> Result:
    wait_for_the_end = load.offering(server, RATE, seconds, seed)
    if name == KILLED:
        time.sleep(seconds / 3)
        for pid in family(server.pid)[1:]:
            os.kill(pid, signal.SIGKILL)
    return wait_for_the_end()


def _row(name: str, results: latencies.Results) -> Row:
    measures = []
    for part, floor in ((latencies.p50, 1.1), (latencies.p99, 1.3)):
        measures.append(
            compared(part(results[name]), part(results[HEALTHY]), "µs", floor=floor, goal=1.0, goal_is_noise=True)
        )
    return Row(f"{name}: callers' p50 / p99", f"ours, {HEALTHY}", tuple(measures))


SCENARIO = Scenario("failures", "callers' latency while the destination or the engine fails", measure)
