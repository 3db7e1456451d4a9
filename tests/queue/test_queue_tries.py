"""Failed tries: what is added is read again, bounded, in any number; in the queue they outlive leases and restarts."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from support.clock import FakeClock

from sidecar.events import Events
from sidecar.queue import ended
from sidecar.queue.jobs import JobQueue
from sidecar.queue.tries import DETAIL_CHARACTERS, FIRST, LAST, NONE, Try, add, read
from sidecar.queue.values import (
    Delivered,
    Dropped,
    End,
    LetGo,
    NewJob,
    Rejected,
    Retry,
    Settlement,
    Split,
)
from sidecar.store.database import Database
from sidecar.store.tables import ENDED_JOB

TRIES = st.lists(
    st.builds(
        Try,
        attempt=st.integers(1, 99),
        at=st.integers(0, 2**33).map(float),
        reason=st.sampled_from(["http_503", "timeout", ""]),
        detail=st.sampled_from(["away", "slow", "", "x" * 500]),
    ),
    max_size=40,
)


@given(TRIES)
def test_the_first_and_the_last_are_kept_and_the_others_counted(tries: list[Try]) -> None:
    text = ""
    for each in tries:
        text = add(text, each)
    cut = [each._replace(detail=each.detail[:DETAIL_CHARACTERS]) for each in tries]
    wanted = cut if len(cut) <= FIRST + LAST else [*cut[:FIRST], *cut[-LAST:]]
    assert read(text) == (tuple(wanted), len(cut) - len(wanted))


def test_a_hundred_like_tries_take_little_room() -> None:
    text = ""
    for attempt in range(1, 101):
        text = add(text, Try(attempt, 1_700_000_000.123 + attempt, "http_503", "x" * 500))
    assert len(text) < 800
    assert read("") == NONE


def new_job(*destinations: str, has_workflow: bool = False) -> NewJob:
    return NewJob("1" * 32, 0, "watch", "alice", "digits", "", b"{}", None, "{}", destinations, has_workflow)


async def settle(queue: JobQueue, **ends: End) -> None:
    leased = await queue.lease(9, 60)
    await queue.settle([Settlement(job, ends[job.destination]) for job in leased if job.destination in ends])


def told(text: str) -> list[tuple[int, float, str]]:
    return [(each.attempt, each.at, each.reason) for each in read(text).kept]


async def test_tries_outlive_an_engine_that_is_killed_and_being_put_back_by_hand(
    queue: JobQueue, database: Database, clock: FakeClock, events: Events
) -> None:
    await queue.record([new_job("app")], {})
    start = clock.now()
    await settle(queue, app=Retry(start + 1, "http_503", "away"))
    clock.advance(1)
    await queue.lease(9, 60)
    queue = JobQueue(database, clock, events, "next-start")
    await queue.void_leases()
    await settle(queue, app=Rejected("refused", "no"))
    story = await queue.find_job(1)
    assert story is not None
    (only,) = story.destinations
    assert told(only.tries) == [(1, start, "http_503"), (3, start + 1, "refused")]
    assert (only.state, only.attempts, only.settled_at) == ("dead", 3, start + 1)
    await queue.retry_dead()
    (job,) = await queue.lease(1, 60)
    assert job.attempts == 1
    await queue.settle([Settlement(job, Retry(start + 9, "timeout"))])
    story = await queue.find_job(1)
    assert story is not None
    assert [each[0] for each in told(story.destinations[0].tries)] == [1, 3, 1]


async def test_what_a_job_of_several_destinations_came_to_is_kept_when_it_ends(
    queue: JobQueue, clock: FakeClock
) -> None:
    await queue.record([new_job("app", "other")], {})
    start = clock.now()
    name = ("1" * 32, 0, "watch")
    await settle(queue, app=Delivered(), other=Retry(start + 5, "http_503", "away"))
    living = await queue.find_destinations(*name)
    assert [(each.destination, each.state) for each in living] == [("app", "delivered"), ("other", "queued")]
    clock.advance(5)
    await settle(queue, other=Delivered())
    assert await queue.find_job(1) is None
    app, other = await queue.find_destinations(*name)
    assert (app.state, app.settled_at, app.tries) == ("delivered", start, "")
    assert (other.state, other.attempts, other.settled_at) == ("delivered", 2, start + 5)
    assert told(other.tries) == [(1, start, "http_503")]


async def test_a_job_of_one_destination_leaves_nothing(queue: JobQueue, database: Database) -> None:
    await queue.record([new_job("app")], {})
    await settle(queue, app=Delivered())
    assert await database.read(lambda c: c.execute(select(ENDED_JOB)).all()) == []
    assert await queue.find_destinations("1" * 32, 0, "watch") == ()


async def test_a_job_that_is_given_up_says_so_of_what_had_not_ended(queue: JobQueue) -> None:
    for number, end in ((1, "discard"), (2, "delete"), (3, "drop"), (4, "let_go")):
        await queue.record([new_job("app", "other")._replace(exchange_id=str(number) * 32)], {})
        if end == "drop":
            leased = {job.destination: job for job in await queue.lease(9, 60)}
            await queue.settle([Settlement(leased["app"], Delivered())])
            await queue.settle([Settlement(leased["other"], Dropped("gone"))])
        else:
            await settle(queue, app=Delivered(), other=LetGo() if end == "let_go" else Rejected("refused", "no"))
        await (queue.discard_dead() if end == "discard" else queue.drop_pending("watch"))
        app, other = await queue.find_destinations(str(number) * 32, 0, "watch")
        assert (app.state, app.reason) == ("delivered", "")
        reasons = {
            "discard": "discarded",
            "delete": "collector_deleted",
            "drop": "gone",
            "let_go": "destination_removed",
        }
        assert (other.state, other.reason) == ("dropped", reasons[end])


async def test_what_ended_longest_ago_is_forgotten(
    queue: JobQueue, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "MOST", 2)
    for number in range(3):
        await queue.record([new_job("app", "other")._replace(exchange_id=f"{number:032x}")], {})
    await settle(queue, app=Delivered(), other=Delivered())
    found = await database.read(lambda c: c.execute(select(ENDED_JOB.c.exchange_id)).scalars().all())
    assert sorted(found) == [f"{number:032x}" for number in (1, 2)]


async def test_the_trace_of_the_workflow_that_all_wait_for_is_kept_with_its_result(queue: JobQueue) -> None:
    await queue.record([new_job("app", "other", has_workflow=True)], {})
    (waiting,) = await queue.lease(9, 60)
    trace = orjson.dumps({"workflow": "w", "nodes": []}).decode()
    await queue.settle([Settlement(waiting, Split(), b"{}", trace=trace)])
    assert [job.trace for job in await queue.lease(9, 60)] == [trace, trace]
