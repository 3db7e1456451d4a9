"""The queue against a naive model of it, in any order of calls, with several destinations, kills and a failing disk."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
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
from sidecar.queue.values import (
    WORKFLOW,
    Delivered,
    Dropped,
    End,
    Filtered,
    Job,
    LetGo,
    NewJob,
    Rejected,
    Retry,
    Settlement,
    Split,
    Wanted,
)
from sidecar.store.database import Database, sqlite_url

T = TypeVar("T")
COLLECTORS = st.sampled_from(["a", "b"])
DESTINATIONS = st.sampled_from([("x",), ("x", "y"), ("x", "y", "z")])
ENDS = st.sampled_from(["filtered", "delivered", "delivered", "retry", "rejected", "dropped", "let_go"])
Key = tuple[str, str]
"""The exchange and the collector."""


class FailingDatabase(Database):
    """A database whose disk can be full."""

    is_full = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        if self.is_full:
            raise CapacityError("database or disk is full")
        return await super().write(work)


@dataclass
class Row:
    """A job's standing with one destination; `leased_until` is None unless it is leased."""

    retry_at: float
    state: str = "queued"
    reason: str = ""
    leased_until: float | None = None
    job_id: int = 0
    voids: int = 0

    @property
    def is_pending(self) -> bool:
        return self.state in ("queued", "leased")

    def weight(self, limit: int) -> int:
        return limit if self.voids >= SUSPECT_VOIDS else 8**self.voids

    def free(self, reason: str | None = None) -> None:
        self.state, self.leased_until = "queued", None
        self.reason = self.reason if reason is None else reason

    def engine_died(self) -> None:
        self.free("lease_void")
        self.voids += 1
        if self.voids == MOST_VOIDS:
            self.state, self.reason = "dead", ENGINE_DIED


@dataclass
class Input:
    """One job in the model."""

    collector: str
    destinations: tuple[str, ...]
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def standing(self) -> tuple[str, str]:
        """Its verdict and its reason."""
        for verdict, states in (("pending", ("queued", "leased")), ("dead", ("dead",))):
            reasons = [row.reason for row in self.rows.values() if row.state in states]
            if reasons:
                return verdict, max(reasons)
        is_delivered = any(row.state == "delivered" for row in self.rows.values())
        return ("delivered", "") if is_delivered else ("dropped", "destination_removed")


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.inputs: dict[Key, Input] = {}
        self.ended: Counter[tuple[str, str, str]] = Counter()
        self.owed: Counter[tuple[str, str, str]] = Counter()
        self.held: list[Job] = []
        self.starts = self.recorded = 0
        self.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def rows(self) -> list[Row]:
        return [row for each in self.inputs.values() for row in each.rows.values()]

    def start(self) -> None:
        self.starts += 1
        self.database = FailingDatabase(sqlite_url(Path(self.folder.name)))
        self.run(self.database.open())
        events = Events(structlog.wrap_logger(structlog.testing.CapturingLogger()))
        self.queue = JobQueue(self.database, self.clock, events, f"start-{self.starts}")
        self.run(self.queue.void_leases())
        for row in self.rows:
            if row.state == "leased":
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

    @rule(
        wanted=st.lists(st.tuples(COLLECTORS, DESTINATIONS, st.booleans()), max_size=4),
        filtered=st.integers(0, 3),
        repeats=st.booleans(),
    )
    def record(self, wanted: list[tuple[str, tuple[str, ...], bool]], filtered: int, repeats: bool) -> None:
        self.recorded += 0 if repeats and self.recorded else 1
        exchange = f"{self.recorded:032x}"
        counts = {("a", "filtered", "pre_queue"): filtered} if filtered else {}
        jobs = [
            NewJob(exchange, 0, collector, "", "m", "", b"{}", destinations=destinations, has_workflow=has_workflow)
            for collector, destinations, has_workflow in wanted
        ]
        self.run(self.queue.record(jobs, counts))
        if self.database.is_full:
            self.owed.update(counts)
            self.owed.update(Counter((job.collector, "dropped", "disk_full") for job in jobs))
            return
        self.pay()
        self.ended.update(counts)
        for job in jobs:
            self.insert(job)

    def insert(self, job: NewJob) -> None:
        if (job.exchange_id, job.collector) not in self.inputs:
            waits = job.has_workflow and len(job.destinations) > 1
            made = Input(job.collector, job.destinations)
            made.rows = {name: Row(self.clock.now()) for name in ((WORKFLOW,) if waits else job.destinations)}
            self.inputs[job.exchange_id, job.collector] = made
            self.ended[job.collector, "matched", ""] += 1

    @rule(limit=st.integers(1, 5), seconds=st.sampled_from([10.0, 40.0]))
    def lease(self, limit: int, seconds: float) -> None:
        leased = self.write(self.queue.lease(limit, seconds))
        if leased is None:
            return
        now = self.clock.now()
        for row in self.rows:
            if row.leased_until is not None and row.leased_until <= now:
                row.free("lease_void")
        due = [row for row in self.rows if self.is_due(row)]
        taken = [self.inputs[job.exchange_id, job.collector].rows[job.destination] for job in leased]
        assert all(self.is_due(row) for row in taken)
        assert [row.retry_at for row in taken] == sorted(row.retry_at for row in due)[: len(taken)]
        weight = sum(row.weight(limit) for row in taken)
        if len(taken) < min(len(due), limit):  # one more would have been too many
            assert taken
            others = [row for row in due if not any(row is each for each in taken)]
            assert weight + max(row.weight(limit) for row in others) > limit
        assert len(taken) <= 1 or weight <= limit
        for job, row in zip(leased, taken, strict=True):
            row.state, row.leased_until, row.job_id = "leased", now + seconds, job.id
        self.held.extend(leased)

    def is_due(self, row: Row) -> bool:
        return row.state == "queued" and row.retry_at <= self.clock.now()

    @rule(ends=st.lists(ENDS, min_size=1, max_size=4), delay=st.sampled_from([0.0, 15.0]), forgets=st.booleans())
    def settle(self, ends: list[str], delay: float, forgets: bool) -> None:
        retry_at = self.clock.now() + delay
        made: dict[str, End] = {
            "filtered": Filtered(), "delivered": Delivered(), "retry": Retry(retry_at, "timeout"),
            "rejected": Rejected("too_large"), "dropped": Dropped("unredactable"), "let_go": LetGo(),
        }  # fmt: skip
        settlements = [
            Settlement(job, Split() if job.destination == WORKFLOW and end in ("delivered", "let_go") else made[end])
            for job, end in zip(self.held, ends, strict=False)
        ]
        if self.write(self._settle(settlements)) is None:
            return
        self.apply(settlements)
        if forgets:  # else the same jobs are settled once more, which must change nothing
            del self.held[: len(settlements)]

    async def _settle(self, settlements: list[Settlement]) -> bool:
        await self.queue.settle(settlements)
        if not settlements:
            await self.queue.retry_dead(Wanted(ids=[]))  # a write all the same, which pays what is owed
        return True

    def apply(self, settlements: list[Settlement]) -> None:
        standing = []
        for each in settlements:
            row = self.row_of(each.job)
            if row is not None and (row.job_id, row.leased_until) == (each.job.id, each.job.leased_until):
                row.leased_until = None
                standing.append((each, row))
        for each, _ in standing:
            if isinstance(each.end, Filtered | Dropped):
                self.end(key_of(each.job), type(each.end).__name__.lower(), each.end.reason)
        for each, row in standing:
            if key_of(each.job) in self.inputs:
                self.go_on(self.inputs[key_of(each.job)], row, each.end)
        for key in {key_of(each.job) for each, _ in standing} & self.inputs.keys():
            verdict, reason = self.inputs[key].standing
            if verdict not in ("pending", "dead"):
                self.end(key, verdict, reason)

    def row_of(self, job: Job) -> Row | None:
        found = self.inputs.get(key_of(job))
        return None if found is None else found.rows.get(job.destination)

    def go_on(self, job: Input, row: Row, end: End) -> None:
        row.voids = 0
        if isinstance(end, Split):
            job.rows = {name: Row(self.clock.now()) for name in job.destinations}
            return
        names = {Retry: "queued", Rejected: "dead", Delivered: "delivered", LetGo: "dropped"}
        row.state, row.reason, row.retry_at = names[type(end)], end.reason, getattr(end, "retry_at", 0.0)

    def end(self, key: Key, verdict: str, reason: str) -> None:
        if key in self.inputs:
            self.ended[self.inputs.pop(key).collector, verdict, reason] += 1

    @rule(collector=COLLECTORS)
    def drop_pending(self, collector: str) -> None:
        if self.write(self.queue.drop_pending(collector)) is not None:
            for key in [key for key, each in self.inputs.items() if each.collector == collector]:
                self.end(key, "dropped", "collector_deleted")

    @rule()
    def retry_dead(self) -> None:
        if self.write(self.queue.retry_dead()) is not None:
            for row in self.rows:
                if row.state == "dead":
                    row.state, row.reason, row.retry_at, row.voids = "queued", "", self.clock.now(), 0

    @rule()
    def discard_dead(self) -> None:
        if self.write(self.queue.discard_dead()) is not None:
            for key in [key for key, each in self.inputs.items() if each.standing[0] == "dead"]:
                self.end(key, "dropped", "discarded")

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
            for row in self.rows:
                if row.state == "leased":
                    row.free()

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
        for each in self.inputs.values():
            verdict, reason = each.standing
            expected[verdict][reason] += 1
        assert {verdict: Counter(counts) for verdict, counts in ledger.reasons.items()} == expected
        assert ledger.total.delivered == sum(n for (_, verdict, _), n in self.ended.items() if verdict == "delivered")

    @invariant()
    def each_destination_stands_as_in_the_model(self) -> None:
        listed = self.run(self.queue.list_jobs())
        rows = {(job.exchange_id, job.collector): {d.destination: d.state for d in job.destinations} for job in listed}
        assert rows == {key: {n: r.state for n, r in each.rows.items()} for key, each in self.inputs.items()}

    @invariant()
    def next_due_is_the_earliest(self) -> None:
        alive = [row for row in self.rows if row.is_pending]
        times = [row.retry_at if row.leased_until is None else row.leased_until for row in alive]
        assert self.run(self.queue.next_due()) == min(times, default=None)


def key_of(job: Job) -> Key:
    return job.exchange_id, job.collector


QueueMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, suppress_health_check=list(HealthCheck)
)
TestQueueMachine = QueueMachine.TestCase
