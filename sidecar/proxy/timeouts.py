"""Closes clients that are silent for too long, or too slow with a request's head: one task for all of them.

A connection costs no timer of its own. Each look asks where bytes have moved since the last one, so that a limit is
kept to a quarter of itself, and never cuts short. Who waits for the model's answer is spared, however long it takes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection

from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.proxy.relay import Downstream

LOOKS_PER_LIMIT = 4
_CONNECTIONS_AT_ONCE = 500
"""So many are looked at before the loop turns to the traffic."""


class Timeouts:
    """Looks after `connections`; a limit that is None is none. `run` until cancelled."""

    def __init__(
        self,
        connections: Collection[Downstream],
        events: Events,
        clock: Clock,
        *,
        idle_seconds: float | None,
        head_seconds: float | None,
    ) -> None:
        self._connections = connections
        self._events = events
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._head_seconds = head_seconds
        self._looked_at = clock.monotonic()
        self._silent: dict[Downstream, tuple[float, int]] = {}
        self._heads: dict[Downstream, tuple[int, float]] = {}

    @property
    def period_seconds(self) -> float:
        """Between two looks; 0 when there is no limit."""
        limits = [limit for limit in (self._idle_seconds, self._head_seconds) if limit is not None]
        return min(limits, default=0.0) / LOOKS_PER_LIMIT

    async def run(self) -> None:
        while self.period_seconds:
            await asyncio.sleep(self.period_seconds)
            await self.look()

    async def look(self) -> None:
        """Close whose time is over."""
        now, last = self._clock.monotonic(), self._looked_at
        silent, heads = self._silent, self._heads
        self._looked_at, self._silent, self._heads = now, {}, {}
        for number, connection in enumerate(tuple(self._connections), start=1):
            if self._idle_seconds is not None:
                self._look_for_silence(connection, silent.get(connection), last, now, self._idle_seconds)
            if self._head_seconds is not None:
                self._look_for_head(connection, heads.get(connection), now, self._head_seconds)
            if number % _CONNECTIONS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _look_for_silence(
        self, connection: Downstream, before: tuple[float, int] | None, last: float, now: float, idle_seconds: float
    ) -> None:
        was_heard, connection.was_heard = connection.was_heard, False
        waiting_bytes = connection.waiting_bytes
        since, waited_bytes = before or (last, waiting_bytes)
        if was_heard or waiting_bytes != waited_bytes:
            return
        self._silent[connection] = (since, waiting_bytes)
        if now - since >= idle_seconds and not connection.watch.owes_answer:
            self._close(connection, "idle")

    def _look_for_head(
        self, connection: Downstream, before: tuple[int, float] | None, now: float, head_seconds: float
    ) -> None:
        unfinished = connection.watch.unfinished_head
        if not unfinished:
            return
        since = before[1] if before is not None and before[0] == unfinished else now
        self._heads[connection] = (unfinished, since)
        if now - since >= head_seconds:
            self._close(connection, "head")

    def _close(self, connection: Downstream, limit: str) -> None:
        """One that was closed already and does not take what is to be written is cut."""
        if not connection.transport.is_closing():
            connection.close()
            with contextlib.suppress(Exception):  # a log that cannot be written must not end this task
                self._events.connection_timed_out(limit)
        elif connection.waiting_bytes:
            connection.abort()
