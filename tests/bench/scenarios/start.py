"""How long a start takes: from the command to the first byte that was forwarded."""

from __future__ import annotations

import socket
import time

import calls
from contestants import KEEP_A_TENTH, SAMPLED, WORKFLOW, Room, collector, sidecar_command
from faults import MeasurementError
from figures import absolute
from findings import Findings, Row
from run import Run
from servers import free_port, process

from scenarios.scenario import Scenario

STARTS = 9
PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.002


def measure(run: Run) -> Findings:
    starts = STARTS if run.plan.rounds > 2 else 3
    with run.room() as room:
        took = [_start(room._replace(folder=run.folder())) for _ in run.turns((SAMPLED,), starts)]
    method = f"From the command to the first byte of the model's answer, {starts} starts, with a policy of two files."
    measured = absolute(took, "s", floor=0.6, goal=0.3)
    return Findings(method, (Row("start to first forwarded byte", "–", (measured,)),))


def _start(room: Room) -> float:
    at = ("127.0.0.1", free_port())
    command = sidecar_command(room, collector(keep=KEEP_A_TENTH), WORKFLOW, listen=f"{at[0]}:{at[1]}")
    began = time.perf_counter()
    with process(command, room.folder / "log"):
        _first_byte(at, began + PATIENCE_SECONDS)
        return time.perf_counter() - began


def _first_byte(at: tuple[str, int], deadline: float) -> None:
    """Ask until it answers. Raises MeasurementError past the deadline."""
    while time.perf_counter() < deadline:
        try:
            with socket.create_connection(at, timeout=5) as connection:
                connection.sendall(calls.predict_call(f"{at[0]}:{at[1]}"))
                if connection.recv(12) == b"HTTP/1.1 200":
                    return
        except ConnectionError:
            time.sleep(_PAUSE_SECONDS)
    raise MeasurementError(f"the sidecar forwards nothing within {PATIENCE_SECONDS:g} s")


SCENARIO = Scenario("start", "start to first forwarded byte", measure)
