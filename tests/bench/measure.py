"""What is measured: processor time of every process of a contestant, and what wrk saw.

Processor time is utime + stime from /proc: on a machine that others use too it is steadier than requests a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from contestants import Server

WRK = "/usr/bin/wrk"
CONNECTIONS = 32
SETTLE_SECONDS = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """One run of wrk against one contestant."""

    requests: int
    errors: int
    requests_per_second: float
    p50_us: float
    p99_us: float
    processor_us: float
    """Per request; of the contestant alone, not of the model behind it."""
    first_process_us: float
    """The share of it that its first process had: ours, the relay; nginx's first only starts the worker."""


def processes(pid: int) -> list[int]:
    """`pid` and all that descend from it; none for 0."""
    if not pid:
        return []
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in processes(int(child)))]


def processor_seconds(*pids: int) -> float:
    """Seconds that these processes have had of a processor so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def ledger(server: Server) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{server.admin}/v1/ledger", timeout=30) as response:
        found: dict[str, Any] = json.load(response)
    return found


def _settle(server: Server) -> None:
    """Wait until ours has done all the work that the run has given it: that work is part of its cost."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while server.admin and not is_quiet(ledger(server)):
        if time.monotonic() > deadline:
            raise SystemExit(f"{server.url} has not settled within {SETTLE_SECONDS:g} s: {ledger(server)}")
        time.sleep(0.1)


def is_quiet(found: Mapping[str, Any]) -> bool:
    """True if every exchange seen has its end and no input waits."""
    counts = found["exchanges"]
    ended = counts["unwanted"] + counts["taken"] + sum(counts["lost"].values())
    return 0 < counts["seen"] == ended and not found["total"]["pending"]


def run(server: Server, seconds: int, script: Path, body: Path, rate: int) -> Sample:
    """Send predict calls for `seconds`, about `rate` a second (0: as many as will go), and give what they cost."""
    pause_ms = CONNECTIONS / rate * 1000 if rate else 0
    everyone = processes(server.pid)
    before, first_before = processor_seconds(*everyone), processor_seconds(*everyone[:1])
    command = [
        WRK,
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "-s",
        str(script),
        server.url,
        "--",
        str(body),
        str(pause_ms),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    found = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not found:
        raise SystemExit(f"wrk failed against {server.url}:\n{done.stdout}{done.stderr}")
    _settle(server)
    used, first_used = processor_seconds(*everyone) - before, processor_seconds(*everyone[:1]) - first_before
    result = json.loads(found[0].removeprefix("RESULT "))
    requests = max(result["requests"], 1)
    return Sample(
        requests=result["requests"],
        errors=result["errors"],
        requests_per_second=requests / result["seconds"],
        p50_us=result["p50_us"],
        p99_us=result["p99_us"],
        processor_us=used / requests * 1e6,
        first_process_us=first_used / requests * 1e6,
    )
