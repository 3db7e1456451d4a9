"""An open-loop load generator: calls go out when they are due, whether or not earlier ones have been answered.

A closed loop (wrk's) waits with a slow server and so leaves out the calls that would have waited longest. Here each
call is due at a moment drawn beforehand, and its latency counts from that moment: a call for which no connection is
free waits in a queue, and that wait is part of its latency. Callers are many and independent, so the arrivals are a
Poisson process; the same seed gives every contestant of a round the same arrivals.

Runs as a process of its own, so that nobody's garbage or progress bar is in the figures; a job as JSON on stdin, the
result as JSON on stdout. Standard library only: the sockets are used directly, as an event loop's own cost would be
most of what is measured.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import random
import select
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from figures import percentile

GIVE_UP_SECONDS = 5.0
"""After the last call was due: what is unanswered by then has failed."""
_PR_SET_TIMERSLACK = 29
_READ_BYTES = 262144
_OK = b"HTTP/1.1 200"


class Job(NamedTuple):
    """What to send: `request` is one whole call as Latin-1 text, `rate` calls a second."""

    address: str
    request: str
    rate: float
    seconds: float
    connections: int = 32
    seed: int = 0


class Result(NamedTuple):
    """What came of it. Latencies in microseconds, from the moment that a call was due."""

    sent: int
    """Every call, those that opened the connections included."""
    failed: int
    """Not answered with 200, or not at all, or never sent."""
    rate: float
    """Calls a second that were due and well answered."""
    p50_us: float
    p99_us: float
    worst_us: float
    late_p99_us: float
    """How late the generator itself was in sending: what it adds to every contestant alike."""


class _Connection:
    """One connection and the call that is on it."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.received = bytearray()
        self.is_busy = False


class Generator:
    """Sends one job's calls and keeps their latencies."""

    def __init__(self, job: Job) -> None:
        host, _, port = job.address.rpartition(":")
        self._at = (host, int(port))
        self._request = job.request.encode("latin-1")
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        self._usual_bytes = 0
        self._origin = 0.0
        self.latencies = array("d")
        self.late = array("d")
        self.sent = self.failed = 0
        for _ in range(job.connections):
            self._connect()

    def run(self, due: Sequence[float]) -> None:
        """Send a call at each moment of `due`, in seconds from now, and wait for the answers."""
        self._origin = time.perf_counter()
        waiting: deque[float] = deque()
        following, end = 0, (due[-1] if due else 0.0) + GIVE_UP_SECONDS
        while following < len(due) or waiting or len(self._idle) < len(self._connections):
            now = time.perf_counter() - self._origin
            if now > end:
                break
            while following < len(due) and due[following] <= now:
                if len(self._idle) > len(waiting):
                    self.late.append(now - due[following])
                waiting.append(due[following])
                following += 1
            while waiting and self._idle:
                self._send(self._idle.popleft(), waiting.popleft())
            self._read_ready((due[following] if following < len(due) else end) - now)
        self._give_up(waiting)

    def close(self) -> None:
        for each in self._connections.values():
            each.socket.close()
        self._poll.close()

    def _connect(self) -> None:
        made = _Connection(*self._at)
        self._connections[made.socket.fileno()] = made
        self._poll.register(made.socket, select.EPOLLIN)
        self._idle.append(made)

    def _send(self, connection: _Connection, due: float) -> None:
        connection.due = due
        connection.is_busy = True
        self.sent += 1
        try:
            connection.socket.sendall(self._request)
        except OSError:
            self._replace(connection)

    def _read_ready(self, pause: float) -> None:
        """Epoll alone waits in whole milliseconds: select waits for it to the microsecond."""
        select.select([self._poll], [], [], max(pause, 0.0))
        for number, _ in self._poll.poll(0):
            self._read(self._connections[number])

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._replace(connection)
        elif not connection.received and len(data) == self._usual_bytes and data.startswith(_OK):
            self._answered(connection)
        else:
            connection.received += data
            self._look_for_the_end(connection)

    def _look_for_the_end(self, connection: _Connection) -> None:
        whole_bytes = answer_bytes(connection.received)
        if whole_bytes is None or len(connection.received) < whole_bytes:
            return
        if connection.received.startswith(_OK):
            self._usual_bytes = whole_bytes
        else:
            self.failed += 1
        self._answered(connection)

    def _answered(self, connection: _Connection) -> None:
        self.latencies.append(time.perf_counter() - self._origin - connection.due)
        connection.received.clear()
        connection.is_busy = False
        self._idle.append(connection)

    def _replace(self, connection: _Connection) -> None:
        """A connection that broke: its call has failed, if it carried one."""
        if connection.is_busy:
            self.failed += 1
        else:
            self._idle.remove(connection)
        del self._connections[connection.socket.fileno()]
        self._poll.unregister(connection.socket)
        connection.socket.close()
        self._connect()

    def _give_up(self, waiting: Sequence[float]) -> None:
        """What was not answered has failed, and has waited at least until now."""
        now = time.perf_counter() - self._origin
        open_calls = [each.due for each in self._connections.values() if each.is_busy]
        self.latencies.extend(now - due for due in (*open_calls, *waiting))
        self.failed += len(open_calls) + len(waiting)


def answer_bytes(received: bytes | bytearray) -> int | None:
    """The length of a whole answer that begins so; None while its head is not whole. It must have a Content-Length."""
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    for line in received[:head_end].lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head_end + 4 + int(line.partition(b":")[2])
    raise ValueError(f"an answer without Content-Length: {bytes(received[:head_end])!r}")


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Moments of a Poisson process, in seconds from its start."""
    drawn, at, moments = random.Random(seed), 0.0, []
    while (at := at + drawn.expovariate(rate)) < seconds:
        moments.append(at)
    return moments


def run(job: Job) -> Result:
    """Open the connections with one call on each, then send what is due."""
    generator = Generator(job)
    generator.run([0.0] * job.connections)
    del generator.latencies[:], generator.late[:]
    due = arrivals(job.rate, job.seconds, job.seed)
    began = time.perf_counter()
    generator.run(due)
    took = time.perf_counter() - began
    generator.close()
    latencies, late = sorted(generator.latencies), sorted(generator.late)
    return Result(
        sent=generator.sent,
        failed=generator.failed,
        rate=(len(due) - generator.failed) / took,
        p50_us=percentile(latencies, 0.50) * 1e6,
        p99_us=percentile(latencies, 0.99) * 1e6,
        worst_us=percentile(latencies, 1.0) * 1e6,
        late_p99_us=percentile(late, 0.99) * 1e6,
    )


def be_on_time() -> None:
    """No collector, no slack in the timer, and in real time where that is allowed: as if on another machine."""
    gc.disable()
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


if __name__ == "__main__":
    be_on_time()
    print(json.dumps(run(Job(**json.load(sys.stdin)))._asdict()))
