"""The promise: after `kill -9` and with a full disk nothing is unaccounted."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from support.clock import FakeClock

from sidecar.errors import TransientError
from sidecar.events import Events
from sidecar.queue.jobs import JobQueue
from sidecar.queue.ledger import Ledger, Sums, read_ledger
from sidecar.queue.values import Delivered, NewJob, Settlement, Wanted
from sidecar.store.database import Database, sqlite_url

CHILD = Path(__file__).with_name("queue_child.py")
LARGE = os.urandom(100_000)


def run_until_killed(folder: Path, rounds: int) -> int:
    """Start the child, kill it after `rounds` rounds; gives how many inputs it had said were matched."""
    with subprocess.Popen([sys.executable, str(CHILD), str(folder)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(rounds)]
        child.kill()
        said += child.stdout.readlines()
    whole = [line for line in said if line.endswith(b"\n")]
    return int(whole[-1])


async def test_kill_in_the_middle_loses_and_repeats_nothing(tmp_path: Path, clock: FakeClock, events: Events) -> None:
    said, before = 0, 0
    for rounds in (3, 17, 40):
        said = run_until_killed(tmp_path, rounds)
        async with Database(sqlite_url(tmp_path)) as database:
            ledger = await read_ledger(database)
            assert ledger.holds
            # What was said is on the disk; at most the round under way was not said yet.
            assert said <= ledger.total.matched - before <= said + 5
            before = ledger.total.matched
    async with Database(sqlite_url(tmp_path)) as database:
        await work_off(JobQueue(database, clock, events, "after"), clock)
        ledger = await read_ledger(database)
        assert ledger.holds
        assert (ledger.total.matched, ledger.total.pending) == (before, 0)
        assert await database.read(lambda c: c.execute(text("PRAGMA integrity_check")).scalar_one()) == "ok"


async def work_off(queue: JobQueue, clock: FakeClock) -> None:
    clock.advance(4e9 - clock.now())
    await queue.void_leases()
    seen: set[int] = set()
    while jobs := await queue.lease(500, 60):
        assert seen.isdisjoint(job.id for job in jobs)
        seen.update(job.id for job in jobs)
        await queue.settle([Settlement(job, Delivered()) for job in jobs])


@pytest.fixture
def fill(database: Database) -> Iterator[Callable[[bool], None]]:
    """Lets SQLite itself say that the disk is full: the file may not grow beyond what it has."""
    pages = [1_073_741_823]

    def limit(connection: sqlite3.Connection, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages[0]}")

    event.listen(database._engine, "checkout", limit)

    def set_full(is_full: bool) -> None:
        pages[0] = 1 if is_full else 1_073_741_823

    yield set_full
    event.remove(database._engine, "checkout", limit)


def large(number: int) -> NewJob:
    return NewJob(f"{number:032x}", 0, "watch", "", "m", "", LARGE)


async def sums(database: Database) -> Ledger:
    ledger = await read_ledger(database)
    assert ledger.holds
    return ledger


async def test_a_full_disk_shrinks_a_batch_to_its_counts(
    queue: JobQueue, database: Database, fill: Callable[[bool], None], events: Events
) -> None:
    await queue.record([large(1)], {})
    fill(True)
    for number in (2, 3):
        await queue.record([large(number), large(number + 10)], {("watch", "filtered", "pre_queue"): 1})
    assert queue.owes
    assert (await sums(database)).total == Sums(matched=1, pending=1)
    dropped = {"collector": "watch", "verdict": "dropped", "reason": "disk_full"}
    assert events.counters.get("sidecar_jobs_settled_total", **dropped) == 4

    fill(False)
    await queue.record([large(4)], {})
    assert not queue.owes
    ledger = await sums(database)
    assert ledger.total == Sums(matched=8, filtered=2, dropped=4, pending=2)
    assert ledger.reasons["dropped"] == {"disk_full": 4}


async def test_what_is_owed_is_written_by_any_write_and_wakes_who_would_write(
    queue: JobQueue, database: Database, fill: Callable[[bool], None]
) -> None:
    fill(True)
    await queue.record([large(1)], {})
    fill(False)
    assert queue.wake.is_set()
    for _ in range(2):
        await queue.retry_dead(Wanted(ids=[]))
    assert (await sums(database)).total == Sums(matched=1, dropped=1)


async def test_other_faults_are_counted_as_store_failed(queue: JobQueue, database: Database, events: Events) -> None:
    await database.write(lambda connection: connection.exec_driver_sql("ALTER TABLE job RENAME TO gone"))
    await queue.record([large(1)], {})
    await database.write(lambda connection: connection.exec_driver_sql("ALTER TABLE gone RENAME TO job"))
    await queue.record([large(2)._replace(caller="\ud800")], {})
    await queue.record([large(3)], {})
    ledger = await sums(database)
    assert ledger.total == Sums(matched=3, dropped=2, pending=1)
    assert ledger.reasons["dropped"] == {"store_failed": 2}
    assert events.counters.get("sidecar_store_failures_total", doing="record") == 2


async def test_a_settlement_that_could_not_be_written_changes_nothing(
    queue: JobQueue, database: Database, clock: FakeClock
) -> None:
    await queue.record([large(1)], {})
    (job,) = await queue.lease(1, 60)
    await database.write(lambda connection: connection.exec_driver_sql("ALTER TABLE tally RENAME TO gone"))
    with pytest.raises(TransientError, match="settle"):
        await queue.settle([Settlement(job, Delivered())])
    await database.write(lambda connection: connection.exec_driver_sql("ALTER TABLE gone RENAME TO tally"))
    assert (await sums(database)).total == Sums(matched=1, pending=1)
    clock.advance(60)
    (again,) = await queue.lease(1, 60)
    await queue.settle([Settlement(again, Delivered())])
    assert (await sums(database)).total == Sums(matched=1, delivered=1)
