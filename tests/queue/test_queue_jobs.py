"""The queue's calls, one by one, on a real SQLite file."""

from __future__ import annotations

from typing import Any

import pytest
from support.clock import FakeClock

from sidecar.errors import TransientError
from sidecar.events import Events
from sidecar.queue.jobs import JobQueue
from sidecar.queue.leases import Passed
from sidecar.queue.ledger import Sums, read_ledger
from sidecar.queue.states import State
from sidecar.queue.values import (
    Delivered,
    Dropped,
    End,
    Filtered,
    Job,
    Lane,
    NewJob,
    Rejected,
    Retry,
    Settlement,
    Wanted,
)
from sidecar.store.database import Database


def new_job(number: int, collector: str = "watch", **changes: Any) -> NewJob:
    job = NewJob(f"{number:032x}", 0, collector, "alice", "digits", "1", b'{"text":{"raw":"hi"}}', b"{}")
    return job._replace(**changes)


async def lease_one(queue: JobQueue) -> Job:
    (job,) = await queue.lease(1, 60)
    return job


async def settle_one(queue: JobQueue, end: End, result: bytes | None = None) -> Job:
    job = await lease_one(queue)
    await queue.settle([Settlement(job, end, result)])
    return job


async def test_what_is_recorded_is_leased_whole(queue: JobQueue, clock: FakeClock) -> None:
    new = new_job(1, details='{"rate":0.5}', input_index=3)
    await queue.record([new], {})
    job = await lease_one(queue)
    same = [name for name in NewJob._fields if name in Job._fields]
    assert [getattr(job, name) for name in same] == [getattr(new, name) for name in same]
    assert (job.destination, job.siblings) == ("app", 0)
    assert (job.attempts, job.reason, job.result, job.created_at) == (1, "", None, clock.now())
    assert await queue.lease(1, 60) == []


async def test_first_verdicts_are_matched_at_once(queue: JobQueue, database: Database, events: Events) -> None:
    counts = {("watch", "filtered", "pre_queue"): 7, ("other", "dropped", "no_output"): 2}
    await queue.record([new_job(1), new_job(2)], counts)
    ledger = await read_ledger(database)
    assert ledger.collectors == {
        "other": Sums(matched=2, dropped=2),
        "watch": Sums(matched=9, filtered=7, pending=2),
    }
    assert ledger.reasons == {"filtered": {"pre_queue": 7}, "dropped": {"no_output": 2}, "dead": {}, "pending": {"": 2}}
    assert events.counters.get(
        "sidecar_jobs_settled_total", collector="watch", verdict="filtered", reason="pre_queue"
    ) == 7  # fmt: skip


async def test_a_repeat_is_passed_over_and_not_counted(queue: JobQueue, database: Database) -> None:
    await queue.record([new_job(1), new_job(2)], {})
    await queue.record([new_job(2), new_job(3), new_job(3), new_job(2, "other")], {})
    ledger = await read_ledger(database)
    assert ledger.collectors == {"other": Sums(matched=1, pending=1), "watch": Sums(matched=3, pending=3)}


async def test_longest_due_first(queue: JobQueue, clock: FakeClock) -> None:
    await queue.record([new_job(1), new_job(2)], {})
    clock.advance(10)
    await queue.record([new_job(3)], {})
    first = await lease_one(queue)
    await queue.settle([Settlement(first, Retry(clock.now() + 5, "http_500"))])
    assert [int(job.exchange_id, 16) for job in await queue.lease(1, 60)] == [2]
    clock.advance(5)
    three, again = await queue.lease(9, 60)
    assert int(three.exchange_id, 16) == 3
    assert (again.id, again.attempts, again.reason) == (first.id, 2, "http_500")


async def test_a_lease_takes_no_more_bytes_than_asked(queue: JobQueue) -> None:
    sizes = (300, 50, 40, 30)
    jobs = [new_job(number, input=b"x" * size, output=None) for number, size in enumerate(sizes)]
    await queue.record(jobs, {})
    taken = [[len(job.input) for job in await queue.lease(9, 60, max_bytes=100)] for _ in range(4)]
    assert taken == [[300], [50, 40], [30], []]


@pytest.mark.parametrize(
    ("end", "sums", "reasons"),
    [
        (Filtered(), Sums(1, filtered=1), {"filtered": {"post_queue": 1}}),
        (Delivered(), Sums(1, delivered=1), {}),
        (Dropped("unredactable", "why"), Sums(1, dropped=1), {"dropped": {"unredactable": 1}}),
        (Rejected("too_large", "why"), Sums(1, dead=1), {"dead": {"too_large": 1}}),
        (Retry(2e9, "timeout", "why"), Sums(1, pending=1), {"pending": {"timeout": 1}}),
    ],
)
async def test_each_end_has_its_place_in_the_ledger(
    queue: JobQueue, database: Database, end: End, sums: Sums, reasons: dict[str, dict[str, int]]
) -> None:
    await queue.record([new_job(1)], {})
    await settle_one(queue, end)
    ledger = await read_ledger(database)
    assert ledger.total == sums
    assert {verdict: counts for verdict, counts in ledger.reasons.items() if counts} == reasons


async def test_a_result_is_kept_over_retries(queue: JobQueue) -> None:
    await queue.record([new_job(1)], {})
    await settle_one(queue, Retry(0.0, "timeout"), b'{"concepts":[]}')
    assert (await settle_one(queue, Retry(0.0, "timeout"))).result == b'{"concepts":[]}'
    assert (await settle_one(queue, Rejected("too_large"))).result == b'{"concepts":[]}'
    assert await queue.retry_dead() == 1
    assert (await lease_one(queue)).result == b'{"concepts":[]}'


async def test_a_lease_that_ran_out_comes_back_and_its_holder_decides_nothing(
    queue: JobQueue, database: Database, clock: FakeClock
) -> None:
    await queue.record([new_job(1)], {})
    late = await lease_one(queue)
    assert await queue.next_due() == late.leased_until == clock.now() + 60
    clock.advance(60)
    now = await lease_one(queue)
    assert (now.id, now.attempts, now.reason) == (late.id, 2, "lease_void")
    await queue.settle([Settlement(late, Delivered())])
    assert (await read_ledger(database)).total == Sums(matched=1, pending=1)
    await queue.settle([Settlement(now, Delivered()), Settlement(now, Delivered())])
    assert (await read_ledger(database)).total == Sums(matched=1, delivered=1)


async def test_a_lease_that_ran_out_but_was_not_taken_still_counts(
    queue: JobQueue, database: Database, clock: FakeClock
) -> None:
    await queue.record([new_job(1)], {})
    late = await lease_one(queue)
    clock.advance(61)
    await queue.settle([Settlement(late, Delivered())])
    assert (await read_ledger(database)).total == Sums(matched=1, delivered=1)


async def test_leases_of_an_earlier_start_are_void(
    queue: JobQueue, database: Database, clock: FakeClock, events: Events
) -> None:
    await queue.record([new_job(1), new_job(2)], {})
    theirs = await lease_one(queue)
    later = JobQueue(database, clock, events, "next-start")
    mine = await lease_one(later)
    assert await later.void_leases() == 1
    assert later.wake.is_set()
    assert (await lease_one(later)).id == theirs.id
    await queue.settle([Settlement(theirs, Delivered())])
    await later.settle([Settlement(mine, Delivered())])
    assert (await read_ledger(database)).total == Sums(matched=2, delivered=1, pending=1)


async def test_a_deleted_collectors_jobs_are_dropped_whatever_their_state(queue: JobQueue, database: Database) -> None:
    await queue.record([new_job(1), new_job(2), new_job(3), new_job(4, "other")], {})
    await settle_one(queue, Rejected("too_large"))
    leased = await lease_one(queue)
    assert await queue.drop_pending("watch") == 3
    await queue.settle([Settlement(leased, Delivered())])
    ledger = await read_ledger(database)
    assert ledger.collectors == {"other": Sums(matched=1, pending=1), "watch": Sums(matched=3, dropped=3)}
    assert ledger.reasons["dropped"] == {"collector_deleted": 3}


async def test_dead_letters_by_hand(queue: JobQueue, database: Database, clock: FakeClock) -> None:
    await queue.record([new_job(1), new_job(2), new_job(3)], {})
    dead = [await settle_one(queue, Rejected("too_large", "20 MB")) for _ in range(3)]
    queue.wake.clear()
    clock.advance(100)
    assert await queue.retry_dead(Wanted(ids=[dead[0].id, 999])) == 1
    assert queue.wake.is_set()
    assert await queue.discard_dead(Wanted(ids=[dead[0].id, dead[1].id])) == 1
    ledger = await read_ledger(database)
    assert ledger.total == Sums(matched=3, dead=1, dropped=1, pending=1)
    assert ledger.reasons["dropped"] == {"discarded": 1}
    again = await lease_one(queue)
    assert (again.id, again.attempts, again.reason, again.queued_at) == (dead[0].id, 1, "", clock.now())
    assert again.created_at == clock.now() - 100


async def test_next_due_and_wake(queue: JobQueue, clock: FakeClock) -> None:
    assert await queue.next_due() is None
    await queue.record([], {("watch", "filtered", "pre_queue"): 1})
    assert not queue.wake.is_set()
    await queue.record([new_job(1)], {})
    assert queue.wake.is_set()
    assert await queue.next_due() == clock.now()
    queue.wake.clear()
    await settle_one(queue, Retry(clock.now() + 5, "timeout"))
    assert queue.wake.is_set()
    assert await queue.next_due() == clock.now() + 5


async def test_retries_are_said(queue: JobQueue, events: Events, clock: FakeClock) -> None:
    await queue.record([new_job(1), new_job(2)], {})
    jobs = await queue.lease(2, 60)
    await queue.settle([Settlement(job, Retry(clock.now() + 5, "timeout")) for job in jobs])
    assert events.counters.get("sidecar_jobs_retried_total", collector="watch", reason="timeout") == 2


async def test_pages_of_jobs(queue: JobQueue) -> None:
    await queue.record([new_job(number) for number in range(5)] + [new_job(9, "other")], {})
    await settle_one(queue, Rejected("too_large", "x" * 1000))
    page = await queue.list_jobs(limit=4)
    rest = await queue.list_jobs(before=page[-1].id, limit=4)
    assert [int(job.exchange_id, 16) for job in page + rest] == [9, 4, 3, 2, 1, 0]
    (dead,) = await queue.list_jobs(Wanted(states=[State.DEAD]))
    assert (dead.reason, dead.detail, dead.state) == ("too_large", "x" * 500, "dead")
    assert len(await queue.list_jobs(Wanted(states=[State.QUEUED, State.LEASED], collector="watch"))) == 4


async def test_a_fault_of_the_storage_is_transient_and_said(
    queue: JobQueue, database: Database, events: Events
) -> None:
    await database.write(lambda connection: connection.exec_driver_sql("ALTER TABLE delivery RENAME TO gone"))
    for doing, call in (
        ("lease", queue.lease(1, 60)),
        ("next_due", queue.next_due()),
        ("retry_dead", queue.retry_dead()),
    ):
        with pytest.raises(TransientError, match=doing) as caught:
            await call
        assert caught.value.retry_after_seconds == 5.0
        assert events.counters.get("sidecar_store_failures_total", doing=doing) == 1


async def test_a_busy_collectors_jobs_are_left_for_later(queue: JobQueue, clock: FakeClock) -> None:
    await queue.record([new_job(1, "slow"), new_job(2, "other")], {})
    assert [job.collector for job in await queue.lease(9, 60, Passed([Lane("slow", "app")]))] == ["other"]
    assert await queue.next_due() == clock.now()
    assert await queue.next_due(Passed([Lane("slow", "app")])) == clock.now() + 60
    assert [job.collector for job in await queue.lease(9, 60)] == ["slow"]


async def test_a_settlement_of_an_older_lease_takes_nothing_from_the_one_that_stands(
    queue: JobQueue, database: Database, clock: FakeClock
) -> None:
    await queue.record([new_job(1)], {})
    older = await lease_one(queue)
    clock.advance(61)
    standing = await lease_one(queue)
    await queue.settle([Settlement(older, Rejected("late")), Settlement(standing, Filtered())])
    assert (await read_ledger(database)).total == Sums(matched=1, filtered=1)
