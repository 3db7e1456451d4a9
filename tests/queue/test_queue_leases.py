"""An input that kills its engine is found and put aside; those beside it are not blamed, and nobody waits for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import event, text
from support.clock import FakeClock

from sidecar.errors import TransientError
from sidecar.events import Events
from sidecar.queue.jobs import JobQueue
from sidecar.queue.leases import MOST_VOIDS, SUSPECT_VOIDS, Passed
from sidecar.queue.ledger import read_ledger
from sidecar.queue.values import Delivered, Job, Lane, NewJob, Retry, Settlement
from sidecar.store.database import Database

LIMIT = 512


SLOW, AWAY = Lane("slow", "app"), Lane("away", "app")


def new_jobs(numbers: Sequence[int], collector: str = "watch") -> list[NewJob]:
    return [NewJob(f"{number:032x}", 0, collector, "", "m", "", b"{}") for number in numbers]


def number_of(job: Job) -> int:
    return int(job.exchange_id, 16)


class Engines:
    """One engine after the other on the same database."""

    def __init__(self, database: Database, clock: FakeClock, events: Events) -> None:
        self._parts = (database, clock, events)
        self.starts = 0

    async def start(self) -> JobQueue:
        self.starts += 1
        queue = JobQueue(*self._parts, owner=f"start-{self.starts}")
        await queue.void_leases()
        return queue


async def suspect(engines: Engines, collector: str = "watch", number: int = 1) -> JobQueue:
    """A queue whose one job was leased at as many deaths as make it a suspect."""
    queue = await engines.start()
    await queue.record(new_jobs([number], collector), {})
    for _ in range(SUSPECT_VOIDS):
        await queue.lease(LIMIT, 60)
        queue = await engines.start()
    return queue


async def test_the_culprit_alone_becomes_a_dead_letter(database: Database, clock: FakeClock, events: Events) -> None:
    engines = Engines(database, clock, events)
    queue = await engines.start()
    await queue.record(new_jobs(range(300)) + new_jobs(range(300, 600), "other"), {})
    sizes = []
    while jobs := await queue.lease(LIMIT, 60):
        if 200 in map(number_of, jobs):
            sizes.append(len(jobs))
            queue = await engines.start()
        else:
            await queue.settle([Settlement(job, Delivered()) for job in jobs])
    assert sizes == [512, 64, 8, 1, 1]
    ledger = await read_ledger(database)
    assert ledger.holds
    assert (ledger.total.dead, ledger.total.delivered) == (1, 599)
    assert ledger.reasons["dead"] == {"engine_died": 1}
    (dead,) = await queue.list_jobs()
    assert int(dead.exchange_id, 16) == 200
    assert str(MOST_VOIDS) in dead.detail
    said = {"collector": "watch", "verdict": "dead", "reason": "engine_died"}
    assert events.counters.get("sidecar_jobs_settled_total", **said) == 1


async def test_a_suspect_holds_up_nobody_but_other_suspects(
    database: Database, clock: FakeClock, events: Events
) -> None:
    engines = Engines(database, clock, events)
    queue = await suspect(engines)
    await queue.record(new_jobs([2], "other"), {})
    assert [number_of(job) for job in await queue.lease(LIMIT, 60, Passed(suspects=True))] == [2]
    assert await queue.next_due(Passed(suspects=True)) == clock.now() + 60
    assert [number_of(job) for job in await queue.lease(LIMIT, 60)] == [1]


async def test_a_job_that_was_settled_is_no_longer_suspected(
    database: Database, clock: FakeClock, events: Events
) -> None:
    queue = await suspect(Engines(database, clock, events))
    (job,) = await queue.lease(LIMIT, 60)
    assert job.voids == SUSPECT_VOIDS
    await queue.settle([Settlement(job, Retry(clock.now(), "timeout"))])
    (again,) = await queue.lease(LIMIT, 60)
    assert again.voids == 0


async def test_an_engine_that_stops_as_asked_blames_no_job(
    database: Database, clock: FakeClock, events: Events
) -> None:
    engines = Engines(database, clock, events)
    queue = await engines.start()
    await queue.record(new_jobs([1]), {})
    for _ in range(MOST_VOIDS + 1):
        (job,) = await queue.lease(LIMIT, 60)
        assert (job.voids, job.reason) == (0, "")
        assert await queue.release() == 1
        queue = await engines.start()


async def test_leases_that_a_failing_disk_kept_from_being_voided_come_back_with_the_next_lease(
    database: Database, clock: FakeClock, events: Events
) -> None:
    engines = Engines(database, clock, events)
    queue = await engines.start()
    await queue.record(new_jobs([1]), {})
    await queue.lease(LIMIT, 60)
    await database.write(lambda connection: connection.execute(text("ALTER TABLE delivery RENAME TO gone")))
    later = JobQueue(database, clock, events, owner="later")
    failed = False
    try:
        await later.void_leases()
    except TransientError:
        failed = True
    assert failed
    await database.write(lambda connection: connection.execute(text("ALTER TABLE gone RENAME TO delivery")))
    assert [number_of(job) for job in await later.lease(LIMIT, 60)] == [1]


async def test_what_it_costs_to_look_does_not_grow_with_the_backlog(queue: JobQueue, database: Database) -> None:
    steps = [0]

    def step() -> int:
        steps[0] += 1
        return 0

    def count(connection: sqlite3.Connection, *_: Any) -> None:
        connection.set_progress_handler(step, 100)

    event.listen(database._engine, "checkout", count)
    costs = []
    for numbers in (range(100), range(100, 4000)):
        await queue.record(new_jobs(numbers, "slow") + new_jobs(numbers, "away"), {})
        steps[0] = 0
        assert await queue.lease(LIMIT, 60, Passed([SLOW, AWAY])) == []
        await queue.next_due(Passed([SLOW, AWAY]))
        assert len(await queue.lease(1, 60, Passed([SLOW]))) == 1
        costs.append(steps[0])
    event.remove(database._engine, "checkout", count)
    few, many = costs
    assert many <= few + 20
