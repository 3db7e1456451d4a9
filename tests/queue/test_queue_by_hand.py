"""Which jobs are shown, tried again or given up: by collector, destination, state, reason and time."""

from __future__ import annotations

import pytest
from support.clock import FakeClock

from sidecar.queue.jobs import JobQueue
from sidecar.queue.ledger import Sums, read_ledger
from sidecar.queue.states import Event, State
from sidecar.queue.values import Delivered, End, NewJob, Rejected, Retry, Settlement, Wanted
from sidecar.store.database import Database

LATER = 1e12
JOBS: dict[int, tuple[str, dict[str, End]]] = {
    1: ("watch", {"first": Rejected("refused")}),
    2: ("watch", {"first": Rejected("too_large"), "second": Delivered()}),
    3: ("watch", {"first": Rejected("refused"), "second": Retry(LATER, "timeout")}),
    4: ("other", {"first": Rejected("too_large"), "second": Rejected("refused")}),
    5: ("other", {"first": Retry(LATER, "timeout")}),
}
"""The collector of each, made 10 s apart in this order, and how it stands with each destination."""


@pytest.fixture
async def began(queue: JobQueue, clock: FakeClock) -> float:
    """When the first of them was made."""
    began = clock.now()
    for number, (collector, ends) in JOBS.items():
        new = NewJob(f"{number:032x}", 0, collector, "alice", "digits", "", b"{}", destinations=tuple(ends))
        await queue.record([new], {})
        leased = await queue.lease(9, 5)
        await queue.settle([Settlement(job, ends[job.destination]) for job in leased])
        clock.advance(10)
    return began


async def listed(queue: JobQueue, wanted: Wanted) -> list[int]:
    return [int(job.exchange_id, 16) for job in await queue.list_jobs(wanted)]


@pytest.mark.parametrize(
    ("wanted", "shown", "retried", "discarded"),
    [
        (Wanted(), [5, 4, 3, 2, 1], 4, 3),
        (Wanted(collector="watch"), [3, 2, 1], 3, 2),
        (Wanted(destination="second"), [4, 3, 2], 1, 1),
        (Wanted(reason="refused"), [4, 3, 1], 3, 2),
        (Wanted(reason="timeout"), [5, 3], 0, 0),
        (Wanted(states=[State.DEAD]), [4, 3, 2, 1], 4, 3),
        (Wanted(states=[State.QUEUED]), [5, 3], 0, 0),
        (Wanted(destination="second", reason="too_large"), [], 0, 0),
        (Wanted(collector="other", destination="first", reason="too_large"), [4], 1, 1),
        (Wanted(collector="nobody"), [], 0, 0),
        (Wanted(ids=[]), [], 0, 0),
    ],
)
async def test_what_is_wanted_is_shown_counted_and_touched(
    queue: JobQueue, database: Database, began: float, wanted: Wanted, shown: list[int], retried: int, discarded: int
) -> None:
    assert await listed(queue, wanted) == shown
    assert await queue.count_jobs(Event.RETRIED_BY_HAND, wanted) == retried
    assert await queue.count_jobs(Event.DISCARDED, wanted) == discarded
    assert await queue.discard_dead(wanted) == discarded
    assert await queue.retry_dead(wanted) == retried - discarded
    ledger = await read_ledger(database)
    assert ledger.holds
    assert ledger.total.dropped == discarded


async def test_time_is_of_the_making_from_since_and_before_until(queue: JobQueue, began: float) -> None:
    assert await listed(queue, Wanted(since=began + 10)) == [5, 4, 3, 2]
    assert await listed(queue, Wanted(until=began + 10)) == [1]
    middle = Wanted(since=began + 10, until=began + 30)
    assert await listed(queue, middle) == [3, 2]
    assert await queue.retry_dead(middle) == 2
    assert await listed(queue, Wanted(states=[State.DEAD])) == [4, 1]


async def test_a_job_is_tried_again_only_where_it_meets_the_filter(
    queue: JobQueue, database: Database, began: float
) -> None:
    assert await queue.retry_dead(Wanted(collector="other", reason="refused")) == 1
    (job,) = await queue.list_jobs(Wanted(collector="other", reason="too_large"))
    assert [(each.destination, each.state) for each in job.destinations] == [("first", "dead"), ("second", "queued")]
    assert (await read_ledger(database)).total == Sums(5, dead=2, pending=3)
