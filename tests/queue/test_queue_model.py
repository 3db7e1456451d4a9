"""The queue against a naive model of it, in any order of calls, with kills and a failing disk in between."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import Connection
from support.clock import FakeClock

from sidecar.errors import CapacityError, TransientError
from sidecar.events import Events
from sidecar.queue.jobs import JobQueue
from sidecar.queue.leases import ENGINE_DIED, MOST_VOIDS, SUSPECT_VOIDS
from sidecar.queue.ledger import read_ledger
from sidecar.queue.values import Delivered, Dropped, End, Filtered, Job, NewJob, Rejected, Retry, Settlement
from sidecar.store.database import Database, sqlite_url

T = TypeVar("T")
COLLECTORS = st.sampled_from(["a", "b"])
ENDS = st.sampled_from(["filtered", "delivered", "retry", "rejected", "dropped"])


class FailingDatabase(Database):
    """A database whose disk can be full."""

    is_full = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        if self.is_full:
            raise CapacityError("database or disk is full")
        return await super().write(work)


@dataclass
class Row:
    """One job in the model; `leased_until` is None unless it is leased."""

    collector: str
    retry_at: float
    number: int
    reason: str = ""
    is_dead: bool = False
    leased_until: float | None = None
    job_id: int = 0
    voids: int = 0

    def weight(self, limit: int) -> int:
        return limit if self.voids >= SUSPECT_VOIDS else 8**self.voids

    def engine_died(self) -> None:
        self.leased_until, self.reason, self.voids = None, "lease_void", self.voids + 1
        if self.voids == MOST_VOIDS:
            self.is_dead, self.reason = True, ENGINE_DIED


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.rows: dict[tuple[str, str], Row] = {}
        self.ended: Counter[tuple[str, str, str]] = Counter()
        self.owed: Counter[tuple[str, str, str]] = Counter()
        self.held: list[Job] = []
        self.starts = self.recorded = 0
        self.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def start(self) -> None:
        self.starts += 1
        self.database = FailingDatabase(sqlite_url(Path(self.folder.name)))
        self.run(self.database.open())
        events = Events(structlog.wrap_logger(structlog.testing.CapturingLogger()))
        self.queue = JobQueue(self.database, self.clock, events, f"start-{self.starts}")
        self.run(self.queue.void_leases())
        for row in self.rows.values():
            if row.leased_until is not None:
                row.engine_died()

    def teardown(self) -> None:
        self.run(self.database.close())
        self.runner.close()
        self.folder.cleanup()

    def write(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Make a call; None when the disk is full. One that succeeds has written what was owed."""
        try:
            done = self.run(work)
        except TransientError:
            assert self.database.is_full
            return None
        self.pay()
        return done

    def pay(self) -> None:
        self.ended += self.owed
        self.owed.clear()

    @rule(collectors=st.lists(COLLECTORS, max_size=4), filtered=st.integers(0, 3), repeats=st.booleans())
    def record(self, collectors: list[str], filtered: int, repeats: bool) -> None:
        self.recorded += 0 if repeats and self.recorded else 1
        exchange = f"{self.recorded:032x}"
        counts = {("a", "filtered", "pre_queue"): filtered} if filtered else {}
        jobs = [NewJob(exchange, 0, collector, "", "m", "", b"{}") for collector in collectors]
        self.run(self.queue.record(jobs, counts))
        if self.database.is_full:
            self.owed.update(counts)
            self.owed.update(Counter((collector, "dropped", "disk_full") for collector in collectors))
            return
        self.pay()
        self.ended.update(counts)
        for collector in collectors:
            self.insert(exchange, collector)

    def insert(self, exchange: str, collector: str) -> None:
        if (exchange, collector) not in self.rows:
            self.rows[exchange, collector] = Row(collector, self.clock.now(), len(self.rows) + self.ended.total())
            self.ended[collector, "matched", ""] += 1

    @rule(limit=st.integers(1, 5), seconds=st.sampled_from([10.0, 40.0]))
    def lease(self, limit: int, seconds: float) -> None:
        leased = self.write(self.queue.lease(limit, seconds))
        if leased is None:
            return
        now = self.clock.now()
        for row in self.rows.values():
            if row.leased_until is not None and row.leased_until <= now:
                row.leased_until, row.reason = None, "lease_void"
        due = [row for row in self.rows.values() if self.is_due(row)]
        taken = [self.rows[job.exchange_id, job.collector] for job in leased]
        assert all(self.is_due(row) for row in taken)
        assert [row.retry_at for row in taken] == sorted(row.retry_at for row in due)[: len(taken)]
        weight = sum(row.weight(limit) for row in taken)
        if len(taken) < min(len(due), limit):  # one more would have been too many
            assert taken
            assert weight + max(row.weight(limit) for row in due if row not in taken) > limit
        assert len(taken) <= 1 or weight <= limit
        for job, row in zip(leased, taken, strict=True):
            row.leased_until, row.job_id = now + seconds, job.id
        self.held.extend(leased)

    def is_due(self, row: Row) -> bool:
        return not row.is_dead and row.leased_until is None and row.retry_at <= self.clock.now()

    @rule(ends=st.lists(ENDS, min_size=1, max_size=4), delay=st.sampled_from([0.0, 15.0]), forgets=st.booleans())
    def settle(self, ends: list[str], delay: float, forgets: bool) -> None:
        retry_at = self.clock.now() + delay
        made: dict[str, End] = {
            "filtered": Filtered(), "delivered": Delivered(), "retry": Retry(retry_at, "timeout"),
            "rejected": Rejected("too_large"), "dropped": Dropped("unredactable"),
        }  # fmt: skip
        settlements = [Settlement(job, made[end]) for job, end in zip(self.held, ends, strict=False)]
        if self.write(self._settle(settlements)) is None:
            return
        for settlement in settlements:
            self.apply(settlement)
        if forgets:  # else the same jobs are settled once more, which must change nothing
            del self.held[: len(settlements)]

    async def _settle(self, settlements: list[Settlement]) -> bool:
        await self.queue.settle(settlements)
        if not settlements:
            await self.queue.retry_dead([])  # a write all the same, which pays what is owed
        return True

    def apply(self, settlement: Settlement) -> None:
        key = (settlement.job.exchange_id, settlement.job.collector)
        row = self.rows.get(key)
        if row is None or row.leased_until is None:
            return
        if (row.job_id, row.leased_until) != (settlement.job.id, settlement.job.leased_until):
            return
        end = settlement.end
        row.leased_until, row.voids = None, 0
        if isinstance(end, Retry):
            row.retry_at, row.reason = end.retry_at, end.reason
        elif isinstance(end, Rejected):
            row.is_dead, row.reason = True, end.reason
        else:
            del self.rows[key]
            self.ended[row.collector, type(end).__name__.lower(), end.reason] += 1

    @rule(collector=COLLECTORS)
    def drop_pending(self, collector: str) -> None:
        dropped = self.write(self.queue.drop_pending(collector))
        if dropped is not None:
            self.forget([key for key, row in self.rows.items() if row.collector == collector], "collector_deleted")

    @rule()
    def retry_dead(self) -> None:
        if self.write(self.queue.retry_dead()) is not None:
            for row in self.rows.values():
                if row.is_dead:
                    row.is_dead, row.reason, row.retry_at, row.voids = False, "", self.clock.now(), 0

    @rule()
    def discard_dead(self) -> None:
        if self.write(self.queue.discard_dead()) is not None:
            self.forget([key for key, row in self.rows.items() if row.is_dead], "discarded")

    def forget(self, keys: list[tuple[str, str]], reason: str) -> None:
        for key in keys:
            self.ended[self.rows.pop(key).collector, "dropped", reason] += 1

    @rule(seconds=st.sampled_from([1.0, 10.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(is_full=st.booleans())
    def disk(self, is_full: bool) -> None:
        self.database.is_full = is_full

    @rule()
    def stop(self) -> None:
        """As at SIGTERM: what is still leased is given back without blame."""
        if self.write(self.queue.release()) is not None:
            for row in self.rows.values():
                row.leased_until = None

    @rule()
    def kill(self) -> None:
        """As after `kill -9`: what stood in memory is gone, what was committed is not."""
        self.run(self.database.close())
        self.owed.clear()
        self.start()

    @invariant()
    def ledger_holds_and_is_the_models(self) -> None:
        ledger = self.run(read_ledger(self.database))
        assert ledger.holds
        expected: dict[str, Counter[str]] = {
            verdict: Counter() for verdict in ("filtered", "dropped", "dead", "pending")
        }
        for (_, verdict, reason), count in self.ended.items():
            if verdict in expected:
                expected[verdict][reason] += count
        for row in self.rows.values():
            expected["dead" if row.is_dead else "pending"][row.reason] += 1
        assert {verdict: Counter(counts) for verdict, counts in ledger.reasons.items()} == expected
        assert ledger.total.delivered == sum(n for (_, verdict, _), n in self.ended.items() if verdict == "delivered")

    @invariant()
    def next_due_is_the_earliest(self) -> None:
        alive = [row for row in self.rows.values() if not row.is_dead]
        times = [row.retry_at if row.leased_until is None else row.leased_until for row in alive]
        assert self.run(self.queue.next_due()) == min(times, default=None)


QueueMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestQueueMachine = QueueMachine.TestCase
