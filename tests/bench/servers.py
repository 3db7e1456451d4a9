"""Servers as processes: started, known to listen, and stopped. What runs in them is not this module's concern."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from faults import MeasurementError

STOP_SECONDS = 60
LISTEN_SECONDS = 20.0
HERE = Path(__file__).parent


class Server(NamedTuple):
    """A running server: where it listens, and the process that all of its processes descend from (0: none to count)."""

    address: str
    pid: int
    admin: str = ""
    """Ours: where the admin API is."""


@contextlib.contextmanager
def process(command: Sequence[str], log: Path, *, stdout: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A child with none of our own settings in its environment, which is ended in peace and then by force."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
    with log.open("w") as errors:
        child = subprocess.Popen(command, stdout=stdout or errors, stderr=errors, text=True, env=environment)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


@contextlib.contextmanager
def listening(command: Sequence[str], log: Path, address: str) -> Iterator[Server]:
    """A server that was told where to listen; given once it does. Raises MeasurementError if it ends before."""
    with process(command, log) as child:
        deadline = time.monotonic() + LISTEN_SECONDS
        while not accepts(address):
            if child.poll() is not None or time.monotonic() > deadline:
                raise MeasurementError(f"{' '.join(command)} does not listen on {address}:\n{log.read_text()}")
            time.sleep(0.01)
        yield Server(address, child.pid)


@contextlib.contextmanager
def announcing(command: Sequence[str], log: Path) -> Iterator[Server]:
    """A server that says `ready listen=… admin=…` on stdout. Raises MeasurementError if it says anything else."""
    with process(command, log, stdout=subprocess.PIPE) as child:
        line = child.stdout.readline() if child.stdout is not None else ""
        said = dict(part.split("=", 1) for part in line.split()[1:])
        if "listen" not in said:
            raise MeasurementError(f"{' '.join(command)} did not start:\n{log.read_text()}")
        yield Server(said["listen"], child.pid, said.get("admin", ""))


def script(name: str, *arguments: str) -> list[str]:
    """The command that runs one of this folder's scripts."""
    return [sys.executable, str(HERE / name), *arguments]


@contextlib.contextmanager
def answering(folder: Path, answer: str, delay: str = "0") -> Iterator[Server]:
    """A server with one answer for everything, `delay` seconds late or `never`."""
    folder.mkdir(parents=True)
    body = folder / "answer.json"
    body.write_text(answer)
    with announcing(script("answering.py", str(body), delay), folder / "log") as server:
        yield server


def free_port() -> int:
    """A port that nobody has now, for those who cannot choose one themselves and say which."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def accepts(address: str) -> bool:
    """True if somebody listens there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
