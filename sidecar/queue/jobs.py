"""The queue of jobs, on the database.

Owns the jobs' rows, their leases, and the counts that a failing disk keeps from being written. Promises that a job and
its count change in one transaction, so the ledger's sums hold after any kill, and that `record` never raises for a
fault of the storage: what cannot be kept is counted instead. Every other call then raises TransientError and has
changed nothing. Runs no workflow and delivers nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import sqlalchemy
from sqlalchemy import ColumnElement, Connection

from sidecar.errors import CapacityError, TransientError
from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.memory import Change, Entry, Place, give_back
from sidecar.queue import by_hand, leases, memories, statements, stories
from sidecar.queue.displacing import PRE_QUEUE
from sidecar.queue.leases import NONE, Limit, Passed
from sidecar.queue.states import Event, State
from sidecar.queue.values import (
    EVERY,
    Counts,
    DeliveryStory,
    Job,
    JobStory,
    JobView,
    NewJob,
    Retry,
    Settlement,
    Split,
    Wanted,
)
from sidecar.store.database import Database
from sidecar.store.tables import DELIVERY

T = TypeVar("T")
# What the driver cannot encode is refused before the database sees it, as an error of Python's own.
_STORAGE_FAULTS = (CapacityError, sqlalchemy.exc.SQLAlchemyError, OSError, UnicodeEncodeError, OverflowError)
_RETRY_AFTER_SECONDS = 5.0
_MAX_PAGE = 1000
LEASE_BYTES = 32 * 1024 * 1024


class JobQueue:
    """Jobs from their first verdict to their last; `owner` is a random id of this engine's start."""

    def __init__(self, database: Database, clock: Clock, events: Events, owner: str) -> None:
        self._database = database
        self._clock = clock
        self._events = events
        self._owner = owner
        self._owed: Counter[tuple[str, str, str]] = Counter()
        self._is_paid = asyncio.Event()
        self._is_paid.set()
        self._must_void = False
        self.wake = asyncio.Event()
        """Set when a job became due, or its due time changed; whoever waits clears it."""

    async def record(self, kept: Sequence[NewJob], counts: Counts, changes: Sequence[Change] = ()) -> bool:
        """Queue the inputs that were kept and count the first verdicts of the others, in one transaction.

        `changes` are what nodes remember of these inputs: written in the same one, or given back where it fails.

        A repeat of (exchange, input, collector) is passed over and not counted. When the storage fails, the kept ones
        are counted as dropped{disk_full} or dropped{store_failed}, written with the next write that succeeds;
        gives False until then, see `paid`.
        """
        now = self._clock.now()

        verdicts = dict(counts)
        try:
            queued, displaced = await self._write("record", lambda c: statements.record(c, kept, counts, now, changes))
        except TransientError as error:
            give_back(changes)
            reason = "disk_full" if isinstance(error.__cause__, CapacityError) else "store_failed"
            for job in kept:
                key = (job.collector, State.DROPPED.value, reason)
                verdicts[key] = verdicts.get(key, 0) + 1
            self._owe(verdicts)
            self.wake.set()  # whoever leases next writes what is owed, also when no more is recorded
        else:
            self._wake_for(queued)
            for collector, count in displaced.items():
                self._events.jobs_settled(collector, State.FILTERED.value, PRE_QUEUE, count)
        for (collector, verdict, reason), count in verdicts.items():
            self._events.jobs_settled(collector, verdict, reason, count)
        return not self._owed

    async def paid(self) -> None:
        """Wait until nothing is owed: all that was recorded is then in the ledger."""
        await self._is_paid.wait()

    @property
    def owes(self) -> bool:
        """True while counts stand in memory because the storage failed."""
        return bool(self._owed)

    async def void_leases(self) -> int:
        """At start: take back what an engine that is gone had leased; gives how many jobs came back.

        A job that was leased at `leases.MOST_VOIDS` deaths in a row is dead, as engine_died. When the storage fails,
        the next `lease` does it.
        """
        self._must_void = True
        voided, dead = await self._write("void_leases", lambda c: leases.void_others(c, self._owner))
        self._must_void = False
        for collector, count in dead.items():
            self._events.jobs_settled(collector, State.DEAD.value, leases.ENGINE_DIED, count)
        self._wake_for(voided)
        return voided

    async def release(self) -> int:
        """At stop: give back what this start still holds, as if never leased; gives how many jobs that were."""
        return await self._write("release", lambda c: leases.release(c, self._owner))

    async def lease(self, limit: int, seconds: float, passed: Passed = NONE, max_bytes: int = LEASE_BYTES) -> list[Job]:
        """Take up to `limit` due jobs for `seconds`, longest due first, none that are to be `passed` over.

        Leases that ran out come back first. The content of all is at most `max_bytes` together, or it is one job; jobs
        whose engine died are taken in smaller numbers, see `leases`.
        """
        if self._must_void:
            await self.void_leases()
        now = self._clock.now()
        most = Limit(limit, max_bytes, passed)
        return await self._write("lease", lambda c: leases.lease(c, self._owner, most, now, now + seconds))

    async def next_due(self, passed: Passed = NONE) -> float | None:
        """When `lease` will next find something, in seconds since the epoch; None when nothing is pending."""
        return await self._read("next_due", lambda c: leases.next_due(c, passed))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """End leases, in one transaction; said by events after the commit.

        A settlement whose lease has passed to another, or whose job is gone, is passed over.
        """
        if not settlements:
            return
        now = self._clock.now()
        settled = await self._write("settle", lambda c: statements.settle(c, self._owner, settlements, now))
        standing = set(map(id, settled.standing))
        for settlement in settlements:
            if settlement.changes and id(settlement) not in standing:
                give_back(settlement.changes)
        self._say_settled(settled)

    async def drop_pending(self, collector: str, reason: str = "collector_deleted") -> int:
        """Drop every job of a collector that is gone, and what its nodes remember; gives how many jobs.

        The dead ones too: without their collector nobody could see, retry or discard them.
        """
        removed = await self._remove("drop_pending", Event.WITHDRAWN, reason, DELIVERY.c.collector == collector)
        await self._write("forget", lambda c: memories.forget(c, collector))
        return removed

    async def forget_others(self, collectors: Collection[str]) -> None:
        """Forget what the nodes of all collectors but these remember."""
        await self._write("forget_others", lambda c: memories.forget_others(c, collectors))

    async def remembered(self, collectors: Collection[str]) -> dict[Place, list[Entry]]:
        """What the nodes of these collectors remember."""
        return await self._read("remembered", lambda c: memories.read(c, collectors))

    async def retry_dead(self, wanted: Wanted = EVERY) -> int:
        """Queue dead letters again, each for the wanted destinations where it is dead; gives how many there were."""
        now = self._clock.now()
        revived = await self._write("retry_dead", lambda connection: by_hand.revive(connection, wanted, now))
        self._wake_for(revived)
        return revived

    async def discard_dead(self, wanted: Wanted = EVERY) -> int:
        """Give up dead letters, whole jobs, as dropped{discarded}; gives how many there were. A job that is pending for
        one of its destinations is none yet."""
        return await self._remove("discard_dead", Event.DISCARDED, "discarded", *by_hand.among(wanted))

    async def count_jobs(self, event: Event, wanted: Wanted = EVERY) -> int:
        """How many jobs `event`, a retry by hand or a discard, would touch now."""
        return await self._read("count_jobs", lambda c: by_hand.count_jobs(c, event, wanted))

    async def list_jobs(self, wanted: Wanted = EVERY, before: int | None = None, limit: int = 100) -> list[JobView]:
        """Jobs, newest first; for the next page give the last one's id as `before`. At most 1000 a page."""
        size = min(max(limit, 1), _MAX_PAGE)
        return await self._read("list_jobs", lambda c: by_hand.list_jobs(c, wanted, before, size))

    async def find_job(self, job_id: int) -> JobStory | None:
        """All that is known of a pending or dead job, with its content; None where there is none of that id."""
        return await self._read("find_job", lambda c: stories.find_job(c, job_id))

    async def find_destinations(
        self, exchange_id: str, input_index: int, collector: str
    ) -> tuple[DeliveryStory, ...]:  # fmt: skip
        """How a job stands with each destination, or ended there if it had several; none where it is not known."""
        return await self._read(
            "find_destinations", lambda c: stories.find_destinations(c, exchange_id, input_index, collector)
        )

    async def _remove(self, doing: str, event: Event, reason: str, *conditions: ColumnElement[bool]) -> int:
        now = self._clock.now()
        removed = await self._write(doing, lambda c: by_hand.remove(c, event, reason, now, *conditions))
        for collector, count in removed.items():
            self._events.jobs_settled(collector, State.DROPPED.value, reason, count)
        return removed.total()

    def _wake_for(self, count: int) -> None:
        if count:
            self.wake.set()

    def _say_settled(self, settled: statements.Settled) -> None:
        retries: dict[tuple[str, str], list[float]] = {}
        goes_on = False
        for job, end, *_ in settled.standing:
            goes_on |= isinstance(end, Split)
            if isinstance(end, Retry):
                retries.setdefault((job.collector, end.reason), []).append(end.retry_at)
        for (collector, verdict, reason), count in settled.ends.items():
            self._events.jobs_settled(collector, verdict, reason, count)
        for (collector, reason), times in retries.items():
            self._events.jobs_retried(collector, reason, len(times), max(min(times) - self._clock.now(), 0.0))
        self._wake_for(len(retries) + goes_on)

    async def _write(self, doing: str, work: Callable[[Connection], T]) -> T:
        """Run `work` after writing what is owed. What a cancelled write took with it is not counted twice."""
        owed, self._owed = self._owed, Counter()

        def both(connection: Connection) -> T:
            statements.add_first_verdicts(connection, owed)
            return work(connection)

        try:
            done = await self._database.write(both)
        except _STORAGE_FAULTS as error:
            self._owe(owed)
            raise self._failed(doing, error) from error
        except Exception:
            self._owe(owed)
            raise
        if not self._owed:
            self._is_paid.set()
        return done

    def _owe(self, counts: Counts) -> None:
        self._owed.update(counts)
        if self._owed:
            self._is_paid.clear()

    async def _read(self, doing: str, work: Callable[[Connection], T]) -> T:
        try:
            return await self._database.read(work)
        except _STORAGE_FAULTS as error:
            raise self._failed(doing, error) from error

    def _failed(self, doing: str, error: Exception) -> TransientError:
        # Python's error repeats the text that it could not encode, and that was captured.
        told = ValueError(error.reason) if isinstance(error, UnicodeEncodeError) else error
        self._events.store_failed(doing, told)
        return TransientError(f"the queue's database failed at {doing}: {type(error).__name__}", _RETRY_AFTER_SECONDS)
