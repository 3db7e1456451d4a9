"""Large bodies, up in the request and down in the answer: processor time per megabyte forwarded.

The relay's process is what is compared, as nginx's forwards and nothing more; the engine's share is shown beside it.
nginx is asked twice, with its default buffering (large bodies go by way of files) and without any, and the better of
the two, by the median, is the one that counts. The model reads every request to its end before it answers.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import calls
import load
from contestants import KEEP_A_TENTH, PLAIN, STREAMING, WORKFLOW, Room, collector, running, sidecar
from figures import compared, number
from findings import Findings, Row, Table
from run import Run
from servers import Server
from tools import H2LOAD, NGINX

from scenarios.scenario import Scenario

OURS = "ours, every exchange wanted"
HEADINGS = ("bodies", "contestant", "µs per MB", "with the engine", "failed")
COUNTS = {"100 kB": 3000, "10 MB": 45}
"""Of one turn: enough for a clock of 10 ms."""


class Case(NamedTuple):
    """One direction and size: the call's path, the file that is sent, the bytes of the large body."""

    name: str
    path: str
    body: Path
    size: str

    @property
    def megabytes(self) -> float:
        """Of one turn."""
        return calls.SIZES[self.size] * COUNTS[self.size] / 1e6


class Sample(NamedTuple):
    """One turn: of the first process that does the forwarding, and of all."""

    relay_us: float
    all_us: float
    failed: int


Samples = dict[str, list[Sample]]


def measure(run: Run) -> Findings:
    rounds = max(run.plan.rounds - 2, 1)
    with run.room() as room, _everyone(room) as servers:
        found = {case: _case(run, servers, case, rounds) for case in _cases(room)}
    method = f"An exact number of calls on {load.BODY_CONNECTIONS} connections, {rounds} rounds: {_counts()}."
    table = Table(HEADINGS, tuple(line for case, samples in found.items() for line in _lines(case, samples)), words=2)
    return Findings(method, tuple(judged(case, samples) for case, samples in found.items()), (table,))


@contextlib.contextmanager
def _everyone(room: Room) -> Iterator[dict[str, Server]]:
    own = room._replace(folder=room.folder / "ours")
    with running((PLAIN, STREAMING), room) as peers, sidecar(own, *_policies()) as ours:
        yield {**peers, OURS: ours}


def _cases(room: Room) -> list[Case]:
    small = room.folder / "small.json"
    small.write_bytes(calls.numbers(calls.SMALL_BYTES))
    cases = []
    for size, length in calls.SIZES.items():
        body = room.folder / f"{length}.json"
        body.write_bytes(calls.numbers(length))
        cases.append(Case(f"{size} up", calls.UPLOAD_PATH, body, size))
        cases.append(Case(f"{size} down", calls.download_path(size), small, size))
    return cases


def _policies() -> list[str]:
    names = ["upload", *(f"download-{size.replace(' ', '')}" for size in calls.SIZES)]
    return [WORKFLOW, *(collector(model=name, keep=KEEP_A_TENTH) for name in names)]


def _case(run: Run, servers: dict[str, Server], case: Case, rounds: int) -> Samples:
    samples: Samples = {name: [] for name in servers}
    for _, name in run.turns(tuple(servers), rounds):
        samples[name].append(_turn(run.tools[H2LOAD], servers[name], case))
    return samples


def _turn(h2load: str, server: Server, case: Case) -> Sample:
    count = COUNTS[case.size]
    sent, cost = load.costing(server, lambda: load.bodies(h2load, server, case.path, case.body, count))
    forwarding = cost.first_seconds if server.admin else cost.all_seconds
    each = 1e6 / case.megabytes
    return Sample(forwarding * each, cost.all_seconds * each, sent.failed)


def judged(case: Case, samples: Samples) -> Row:
    """Against the better nginx of the two."""
    relay = {name: [each.relay_us for each in of] for name, of in samples.items()}
    better = min((PLAIN, STREAMING), key=lambda name: statistics.median(relay[name]))
    measure_ = compared(relay[OURS], relay[better], "µs", floor=1.5, goal=1.1)
    return Row(f"bodies of {case.name}, relay: µs per MB", better, (measure_,))


def _lines(case: Case, samples: Samples) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for name, of in samples.items():
        relay, both = (
            number(statistics.median(part)) for part in zip(*((e.relay_us, e.all_us) for e in of), strict=True)
        )
        failed = sum(each.failed for each in of)
        lines.append((case.name, name, relay, both if name == OURS else "–", f"{failed:,}"))
    return lines


def _counts() -> str:
    return ", ".join(f"{count:,} of {size}" for size, count in COUNTS.items())


SCENARIO = Scenario("bodies", "processor time per MB of large bodies", measure, (NGINX, H2LOAD))
