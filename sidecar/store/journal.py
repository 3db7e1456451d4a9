"""What happened by itself and is worth seeing later: written among the events, off to the side.

Whoever notes something never waits for it. Promises to say the same (kind, subject, reason) once in `QUIET_SECONDS`
however often it happens, to hold little while the disk is slow, and that what a failing database does not take is gone
here alone: the log and the counters have it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.kit.tasks import Tasks
from sidecar.store.audit import SIDECAR, Change, write_changes
from sidecar.store.database import Database

QUIET_SECONDS = 600.0
MOST_REMEMBERED = 1000
MOST_WAITING = 100


class Journal:
    """Notes on the engine's loop; `close` before the database."""

    def __init__(self, database: Database, events: Events, clock: Clock) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._said: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._waiting: deque[tuple[float, Change]] = deque(maxlen=MOST_WAITING)
        self._tasks = Tasks(events.task_failed)

    def note(self, kind: str, subject: str, collector: str = "", **after: Any) -> None:  # noqa: ANN401 - any JSON
        """Something of `kind` happened to `subject`; `after` is what else is known, `reason` among it."""
        now = self._clock.now()
        if self._is_said((kind, subject, str(after.get("reason", ""))), now):
            return
        self._waiting.append((now, Change(kind, subject, collector, after=after or None)))
        if not len(self._tasks):
            self._tasks.start(self._write(), "journal")

    async def close(self) -> None:
        """Write what waits; safe twice."""
        await self._tasks.drained()

    def _is_said(self, key: tuple[str, str, str], now: float) -> bool:
        if now - self._said.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
            return True
        self._said[key] = now
        self._said.move_to_end(key)
        while len(self._said) > MOST_REMEMBERED:
            self._said.popitem(last=False)
        return False

    async def _write(self) -> None:
        while self._waiting:
            at, change = self._waiting.popleft()
            try:
                await self._database.write(_writing(at, change))
            except Exception as error:  # noqa: BLE001 - whatever the database says, the next one may be written
                self._events.store_failed("journal", error)


def _writing(at: float, change: Change) -> Callable[..., None]:
    return lambda connection: write_changes(connection, SIDECAR, at, [change])
