"""Load on a server, and what it cost: three generators, each a process of its own, and the account of both sides.

`offered` sends a fixed rate, open loop (open_loop.py); `saturating` sends as much as will go, closed loop, on 32
connections (wrk); `bodies` sends an exact number of large ones on 4 (h2load). On a machine of few processors the
generator takes its share of them: ratios hold, as it does the same for everybody; the figures themselves do not travel.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import calls
import ledger
import open_loop
from faults import MeasurementError
from processes import processor_seconds, used_seconds
from servers import HERE, Server, script

CONNECTIONS = 32
BODY_CONNECTIONS = 4
Sent = TypeVar("Sent")


class Cost(NamedTuple):
    """Processor seconds of all of a contestant's processes, and of its first one: ours, the relay."""

    all_seconds: float
    first_seconds: float


class Closed(NamedTuple):
    """What a closed loop sent: whole requests, those that failed among them."""

    requests: int
    failed: int
    seconds: float


def offered(server: Server, rate: float, seconds: float, seed: int = 0) -> open_loop.Result:
    """`rate` predict calls a second for `seconds`, and the latency of each from when it was due."""
    return offering(server, rate, seconds, seed)()


def offering(server: Server, rate: float, seconds: float, seed: int = 0) -> Callable[[], open_loop.Result]:
    """The same, started now; the call waits for its end."""
    request = calls.predict_call(server.address).decode("latin-1")
    job = open_loop.Job(server.address, request, rate, seconds, CONNECTIONS, seed)
    child = subprocess.Popen(script("open_loop.py"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if child.stdin is not None:
        child.stdin.write(json.dumps(job._asdict()))
        child.stdin.close()
        child.stdin = None

    def result() -> open_loop.Result:
        said, _ = child.communicate()
        if child.returncode:
            raise MeasurementError(f"the load generator failed against {server.address}")
        return open_loop.Result(**json.loads(said))

    return result


def saturating(wrk: str, server: Server, seconds: float, body: Path) -> Closed:
    """As many predict calls as will go."""
    whole = max(round(seconds), 1)
    url = f"http://{server.address}{calls.PREDICT_PATH}"
    lua = str(HERE / "predict.lua")
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{whole}s", "-s", lua, url, "--", str(body)]
    return read_wrk(_output(command))


def bodies(h2load: str, server: Server, path: str, body: Path, count: int) -> Closed:
    """`count` calls to `path` with the content of `body`."""
    headers = [word for name, value in calls.HEADERS.items() for word in ("-H", f"{name}: {value}")]
    command = [h2load, "--h1", "-n", str(count), "-c", str(BODY_CONNECTIONS), "-d", str(body), *headers]
    return read_h2load(_output([*command, f"http://{server.address}{path}"]))


def costing(server: Server, send: Callable[[], Sent]) -> tuple[Sent, Cost]:
    """What `send` gives, and what it cost the server, ours until the engine has done all the work of it."""
    before = processor_seconds(server.pid)
    sent = send()
    if server.admin:
        ledger.settled(server.admin, ledger.is_quiet)
    return sent, Cost(*used_seconds(before, processor_seconds(server.pid)))


def read_wrk(said: str) -> Closed:
    """The line of predict.lua. Raises MeasurementError if there is none."""
    found = re.search(r"^RESULT (\{.*\})$", said, re.MULTILINE)
    if found is None:
        raise MeasurementError(f"wrk did not say its result:\n{said}")
    result: Mapping[str, Any] = json.loads(found[1])
    return Closed(result["requests"], result["errors"], result["seconds"])


def read_h2load(said: str) -> Closed:
    """h2load's summary. Raises MeasurementError if it is not one."""
    took = re.search(r"^finished in ([\d.]+)(us|ms|s|m)", said, re.MULTILINE)
    counts = re.search(r"^requests: (\d+) total.* (\d+) done, (\d+) succeeded", said, re.MULTILINE)
    if took is None or counts is None:
        raise MeasurementError(f"h2load did not say its result:\n{said}")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[took[2]]
    total, done, succeeded = (int(number) for number in counts.groups())
    return Closed(done, total - succeeded, float(took[1]) * unit)


def _output(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise MeasurementError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
