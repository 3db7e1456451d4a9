"""Durable queue → post-queue workflow → delivery: the second half of an input's way.

Owns the order of leasing; `batch` takes what was leased to its end. A slow destination holds up no other, be it of the
same collector: while a lane (a collector's jobs for one destination) has a batch under way, no more of it is leased.
Waits for events, never polls. Promises to go on whatever fails: the database, a destination, or a part of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

from sidecar.errors import TransientError
from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.batch import LEASE_SECONDS, Batch
from sidecar.queue.jobs import JobQueue
from sidecar.queue.leases import SUSPECT_VOIDS, Passed
from sidecar.queue.values import Job, Lane

LEASE_LIMIT = 512
AFTER_A_FAULT_SECONDS = 5.0
GATHER_SECONDS = 0.25
BUSY_GATHER_SECONDS = 1.0
"""How long due jobs gather before they are leased: a delivery in batches costs a fraction of one by one. Longer while
leases are of more than `BUSY_JOBS`, not at all after one that left jobs behind."""
BUSY_JOBS = 64


class Dispatch:
    """Works on due jobs until it is stopped."""

    def __init__(self, queue: JobQueue, batch: Batch, clock: Clock, events: Events) -> None:
        self._queue = queue
        self._batch = batch
        self._clock = clock
        self._events = events
        self._busy: set[Lane] = set()
        self._suspected: Lane | None = None
        """The lane whose job, leased alone, may be what kills engines."""
        self._batches = Tasks(events.task_failed)
        self._gather_seconds = GATHER_SECONDS

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._queue.wake.clear()
            try:
                seconds = await self._start_what_is_due()
            except TransientError as error:  # the database: said where it failed
                seconds = error.retry_after_seconds or AFTER_A_FAULT_SECONDS
            except Exception as error:  # noqa: BLE001 - a bug of ours must not end all deliveries until a restart
                self._events.task_failed("dispatch", error)
                seconds = AFTER_A_FAULT_SECONDS
            if seconds != 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):  # `wait_for` may take a cancellation for the event
                        await self._queue.wake.wait()
                await asyncio.sleep(self._gather_seconds)

    async def stop(self, grace_seconds: float) -> None:
        """Let the batches under way end, then cut them: their jobs stay in the queue. Safe twice."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._batches.drained()
        await self._batches.stop()

    async def _start_what_is_due(self) -> float | None:
        """Start work on due jobs; gives the seconds until there will be more, None when only an event can tell."""
        jobs = await self._queue.lease(LEASE_LIMIT, LEASE_SECONDS, self._passed())
        for lane, group in _by_lane(jobs).items():
            self._busy.add(lane)
            if group[0].voids >= SUSPECT_VOIDS:
                self._suspected = lane
            self._batches.start(self._work(lane, group), f"dispatch {lane.collector}")
        self._gather_seconds = gather_seconds(len(jobs))
        due = await self._queue.next_due(self._passed())
        return None if due is None else max(0.0, due - self._clock.now())

    def _passed(self) -> Passed:
        return Passed(tuple(self._busy), suspects=self._suspected is not None)

    async def _work(self, lane: Lane, jobs: Sequence[Job]) -> None:
        try:
            await self._batch.work(lane, jobs)
        finally:
            self._busy.discard(lane)
            if self._suspected == lane:
                self._suspected = None
            self._queue.wake.set()


def gather_seconds(leased: int) -> float:
    """How long jobs gather after a lease of so many."""
    if leased >= LEASE_LIMIT:
        return 0.0
    return BUSY_GATHER_SECONDS if leased > BUSY_JOBS else GATHER_SECONDS


def _by_lane(jobs: Iterable[Job]) -> dict[Lane, list[Job]]:
    groups: dict[Lane, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.lane, []).append(job)
    return groups
