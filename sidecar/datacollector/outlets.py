"""The way out: a bounded buffer and one thread behind it for each destination of a process.

Promises that `put` never waits, that what does not fit is dropped, counted and said once, and that a forked child
starts with an empty buffer and a thread of its own: what its parent had collected, the parent sends. At the end of the
process what is left is written for at most `EXIT_SECONDS`. No signal handler is touched: a process that is killed by a
signal it does not handle loses what was collected in its last moments.
"""

from __future__ import annotations

import atexit
import os
import queue
import sys
import threading
import time
from typing import Union

from sidecar.datacollector.identity import Switches
from sidecar.datacollector.record import Record
from sidecar.datacollector.said import get_ready, say_once
from sidecar.datacollector.sink import RefusedError, Sink
from sidecar.datacollector.sinks import open_sink

LIMIT_BYTES = 32 * 2**20
EXIT_SECONDS = 2.0
_BATCH_BYTES = 2**20
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 5.0


class _Waiting:
    """A record in the buffer."""

    __slots__ = ("record", "weight_bytes")

    def __init__(self, record: Record, weight_bytes: int) -> None:
        self.record = record
        self.weight_bytes = weight_bytes


_Entry = Union[_Waiting, threading.Event]


class Outlet:
    """One destination."""

    def __init__(self, sink: Sink, limit_bytes: int = LIMIT_BYTES) -> None:
        self._sink = sink
        self._limit_bytes = limit_bytes
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # one that its holder may take again: a signal handler may collect too
        self._entries: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._weight_bytes = 0
        self._untold_drops = 0
        self._taken = self._done = 0
        self.dropped = 0
        """Records that did not fit or were refused, in this process."""

    def after_fork(self) -> None:
        """The parent's buffer is the parent's; its thread is not here."""
        self._sink.forget()
        self._begin()

    def put(self, record: Record, weight_bytes: int) -> None:
        """Take `record`, or drop it: at once, either way."""
        with self._lock:
            fits = self._weight_bytes + weight_bytes <= self._limit_bytes
            if fits:
                self._weight_bytes += weight_bytes
                self._taken += 1
            if self._thread is None:
                self._start()
        if fits:
            self._entries.put(_Waiting(record, weight_bytes))
        else:
            self._drop(1, "the buffer is full")

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="sidecar-datacollector", daemon=True)
        thread.start()
        self._thread = thread
        _flush_at_the_end_of_a_child()

    def _drop(self, count: int, reason: str) -> None:
        with self._lock:
            self.dropped += count
            self._untold_drops += count
        say_once("rows are dropped: %s, %s; from now on they are only counted", self._sink, reason)

    @property
    def waiting(self) -> int:
        """Records that are neither written nor dropped."""
        return self._taken - self._done

    def flush(self, seconds: float) -> bool:
        """Wait until what was collected so far is written, for at most `seconds`; False if it was not."""
        if self._thread is None:
            return True
        written = threading.Event()
        self._hurry.set()
        self._entries.put(written)
        is_written = written.wait(seconds)
        self._hurry.clear()
        return is_written

    def _run(self) -> None:
        while True:
            batch, flushes = self._next()
            if batch:
                try:
                    self._write(batch)
                except Exception as error:  # noqa: BLE001 - the thread must outlive a bug of ours
                    self._drop(len(batch), repr(error))
                with self._lock:
                    self._weight_bytes -= sum(each.weight_bytes for each in batch)
                    self._done += len(batch)
            for written in flushes:
                written.set()

    def _next(self) -> tuple[list[_Waiting], list[threading.Event]]:
        """What waits, up to a batch; waits for the first of it."""
        batch: list[_Waiting] = []
        weight = 0
        entry = self._entries.get()
        while isinstance(entry, _Waiting):
            batch.append(entry)
            weight += entry.weight_bytes
            if weight >= _BATCH_BYTES:
                return batch, []
            try:
                entry = self._entries.get_nowait()
            except queue.Empty:
                return batch, []
        return batch, [entry]

    def _write(self, batch: list[_Waiting]) -> None:
        """Write all of `batch`, however long that takes."""
        records = [each.record for each in batch]
        wait_seconds = _FIRST_WAIT_SECONDS
        while not self._try(records):
            if self._hurry.is_set():
                time.sleep(_FIRST_WAIT_SECONDS)
            else:
                self._hurry.wait(wait_seconds)
            wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)

    def _try(self, records: list[Record]) -> bool:
        """False if they should be tried again."""
        told = self._untold_drops
        try:
            self._sink.write(records, told)
        except RefusedError as error:
            self._drop(len(records), str(error))
        except OSError as error:
            say_once("rows wait: %s, %s", self._sink, error)
            return False
        else:
            with self._lock:
                self._untold_drops -= told
        return True


_OUTLETS: dict[str, Outlet] = {}
_OPENING = threading.RLock()


def outlet_of(switches: Switches) -> Outlet:
    """The outlet of this process for where `switches` say that rows go. Raises ValueError for what is no address."""
    sink = open_sink(switches)
    get_ready()
    with _OPENING:
        return _OUTLETS.setdefault(str(sink), Outlet(sink))


def flush(seconds: float = EXIT_SECONDS) -> bool:
    """Wait until everything collected so far in this process is written, for at most `seconds`; False if it was not."""
    ends_at = time.monotonic() + seconds
    written = [outlet.flush(max(0.0, ends_at - time.monotonic())) for outlet in tuple(_OUTLETS.values())]
    return all(written)


def dropped() -> int:
    """How many records this process has dropped."""
    return sum(outlet.dropped for outlet in tuple(_OUTLETS.values()))


def _end() -> None:
    """What is not written by now is lost: say how much."""
    if not flush():
        lost = sum(outlet.waiting for outlet in tuple(_OUTLETS.values()))
        say_once("%d records were not written before the end of the process", lost)


def _after_fork() -> None:
    global _OPENING
    _OPENING = threading.RLock()
    for outlet in _OUTLETS.values():
        outlet.after_fork()


def _flush_at_the_end_of_a_child() -> None:
    """A child of multiprocessing runs no atexit handlers, only its own finalizers."""
    processes = sys.modules.get("multiprocessing.process")
    ends = sys.modules.get("multiprocessing.util")
    if processes is not None and ends is not None and processes.parent_process() is not None:
        ends.Finalize(None, _end, exitpriority=0)


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
