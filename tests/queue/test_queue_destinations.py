"""A job of several destinations: a row for each, counted once, its bodies written once."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from support.clock import FakeClock

from sidecar.events import Events
from sidecar.queue.jobs import JobQueue
from sidecar.queue.leases import MOST_VOIDS, Passed
from sidecar.queue.ledger import Sums, read_ledger
from sidecar.queue.states import State
from sidecar.queue.values import (
    WORKFLOW,
    Delivered,
    Dropped,
    End,
    Filtered,
    Lane,
    LetGo,
    NewJob,
    Rejected,
    Retry,
    Settlement,
    Split,
    Wanted,
)
from sidecar.store.database import Database
from sidecar.store.tables import DELIVERY, JOB

BOTH = ("first", "second")


def new_job(number: int = 1, *, has_workflow: bool = False, destinations: tuple[str, ...] = BOTH) -> NewJob:
    return NewJob(
        f"{number:032x}", 0, "watch", "alice", "digits", "", b"{}", destinations=destinations, has_workflow=has_workflow
    )


async def settle(queue: JobQueue, **ends: End) -> None:
    """Lease all there is, and settle that for each named destination."""
    leased = await queue.lease(9, 60)
    await queue.settle([Settlement(job, ends[job.destination]) for job in leased if job.destination in ends])


async def sums(database: Database) -> Sums:
    ledger = await read_ledger(database)
    assert ledger.holds
    return ledger.total


async def test_each_destination_is_leased_by_itself_with_the_whole_input(queue: JobQueue) -> None:
    await queue.record([new_job()], {})
    first, second = await queue.lease(9, 60)
    assert {first.destination, second.destination} == set(BOTH)
    assert first._replace(destination=second.destination) == second
    assert (first.siblings, first.input) == (1, b"{}")


async def test_a_busy_lane_leaves_the_collectors_other_destination_to_be_leased(
    queue: JobQueue, clock: FakeClock
) -> None:
    await queue.record([new_job()], {})
    slow = Passed([Lane("watch", "first")])
    assert [job.destination for job in await queue.lease(9, 60, slow)] == ["second"]
    assert await queue.next_due(slow) == clock.now() + 60


@pytest.mark.parametrize(
    ("first", "second", "total", "reasons"),
    [
        (Delivered(), Delivered(), Sums(1, delivered=1), {}),
        (Delivered(), Retry(2e9, "timeout"), Sums(1, pending=1), {"pending": {"timeout": 1}}),
        (Delivered(), Rejected("too_large"), Sums(1, dead=1), {"dead": {"too_large": 1}}),
        (Rejected("too_large"), Retry(2e9, "timeout"), Sums(1, pending=1), {"pending": {"timeout": 1}}),
        (Rejected("too_large"), Rejected("refused"), Sums(1, dead=1), {"dead": {"too_large": 1}}),
        (Delivered(), LetGo(), Sums(1, delivered=1), {}),
        (Rejected("too_large"), LetGo(), Sums(1, dead=1), {"dead": {"too_large": 1}}),
        (LetGo(), LetGo(), Sums(1, dropped=1), {"dropped": {"destination_removed": 1}}),
        (Delivered(), Dropped("unredactable"), Sums(1, dropped=1), {"dropped": {"unredactable": 1}}),
        (Filtered(), Rejected("too_large"), Sums(1, filtered=1), {"filtered": {"post_queue": 1}}),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_job_counts_once_by_what_its_destinations_came_to(
    queue: JobQueue,
    database: Database,
    first: End,
    second: End,
    total: Sums,
    reasons: dict[str, dict[str, int]],
    at_once: bool,
) -> None:
    await queue.record([new_job()], {})
    if at_once:
        await settle(queue, first=first, second=second)
    else:
        await settle(queue, first=first)
        await queue.release()
        await settle(queue, second=second)
    assert await sums(database) == total
    ledger = await read_ledger(database)
    assert {verdict: counts for verdict, counts in ledger.reasons.items() if counts} == reasons


async def test_a_job_is_told_when_its_last_destination_is_settled(queue: JobQueue, events: Events) -> None:
    def told(verdict: str, reason: str = "") -> int:
        return events.counters.get("sidecar_jobs_settled_total", collector="watch", verdict=verdict, reason=reason)

    await queue.record([new_job(1), new_job(2)], {})
    await settle(queue, first=Delivered())
    assert told("delivered") == 0
    await queue.release()
    (one, two) = await queue.lease(9, 60)
    await queue.settle([Settlement(one, Delivered()), Settlement(two, Rejected("too_large"))])
    assert (told("delivered"), told("dead", "too_large")) == (1, 1)


async def test_a_workflow_has_a_row_of_its_own_and_the_destinations_follow_with_its_result(
    queue: JobQueue, database: Database
) -> None:
    await queue.record([new_job(has_workflow=True)], {})
    (job,) = await queue.lease(9, 60)
    assert (job.destination, job.siblings) == (WORKFLOW, 0)
    await queue.settle([Settlement(job, Split(), b'{"concepts":[]}')])
    assert await sums(database) == Sums(1, pending=1)
    leased = await queue.lease(9, 60)
    assert {each.destination: each.result for each in leased} == dict.fromkeys(BOTH, b'{"concepts":[]}')
    assert {each.attempts for each in leased} == {1}


async def test_one_destination_has_no_row_for_the_workflow(queue: JobQueue) -> None:
    await queue.record([new_job(has_workflow=True, destinations=("only",))], {})
    assert [job.destination for job in await queue.lease(9, 60)] == ["only"]


async def test_a_dead_letter_is_revived_where_it_is_dead(queue: JobQueue, database: Database, clock: FakeClock) -> None:
    await queue.record([new_job()], {})
    await settle(queue, first=Delivered(), second=Rejected("too_large"))
    clock.advance(1)
    assert await queue.retry_dead() == 1
    (view,) = await queue.list_jobs()
    assert {each.destination: each.state for each in view.destinations} == {"first": "delivered", "second": "queued"}
    assert (view.state, view.queued_at) == ("queued", clock.now())
    await settle(queue, second=Delivered())
    assert await sums(database) == Sums(1, delivered=1)


async def test_only_what_waits_for_nobody_is_given_up(queue: JobQueue, database: Database) -> None:
    await queue.record([new_job()], {})
    await settle(queue, first=Rejected("too_large"), second=Retry(2e9, "timeout"))
    (view,) = await queue.list_jobs(Wanted(states=[State.DEAD]))
    assert (view.state, view.reason) == ("queued", "timeout")
    assert await queue.discard_dead() == 0
    assert await queue.drop_pending("watch") == 1
    await queue.record([new_job(2)], {})
    await settle(queue, first=Rejected("too_large"), second=Delivered())
    assert await queue.discard_dead() == 1
    assert await sums(database) == Sums(2, dropped=2)


async def test_an_input_that_kills_engines_is_dead_for_all_it_was_leased_for(
    database: Database, clock: FakeClock, events: Events
) -> None:
    queue = JobQueue(database, clock, events, "start-0")
    await queue.record([new_job()], {})
    for start in range(2 * MOST_VOIDS):
        await queue.lease(9, 60)
        queue = JobQueue(database, clock, events, f"start-{start + 1}")
        await queue.void_leases()
    assert await sums(database) == Sums(1, dead=1)
    dead = {"collector": "watch", "verdict": "dead", "reason": "engine_died"}
    assert events.counters.get("sidecar_jobs_settled_total", **dead) == 1


@pytest.mark.parametrize("end", [Retry(0.0, "timeout"), Rejected("too_large"), Delivered()])
async def test_what_happens_to_a_row_does_not_touch_the_bodies(queue: JobQueue, database: Database, end: End) -> None:
    trigger = "CREATE TRIGGER bodies BEFORE UPDATE ON job BEGIN SELECT RAISE(ABORT, 'written again'); END"
    await database.write(lambda connection: connection.exec_driver_sql(trigger))
    await queue.record([new_job()], {})
    await settle(queue, first=end)
    await queue.release()
    await queue.retry_dead()
    (view,) = await queue.list_jobs()
    assert [each.attempts for each in view.destinations] == [0 if isinstance(end, Rejected) else 1, 1]


async def test_nothing_is_left_of_a_job_that_has_ended(queue: JobQueue, database: Database) -> None:
    await queue.record([new_job(1), new_job(2), new_job(3, has_workflow=True)], {})
    await settle(queue, first=Delivered(), second=Delivered(), **{WORKFLOW: Filtered()})
    left = await database.read(lambda c: [*c.execute(select(JOB.c.id)), *c.execute(select(DELIVERY.c.job_id))])
    assert left == []
