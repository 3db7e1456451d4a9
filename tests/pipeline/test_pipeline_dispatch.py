"""Dispatch on a real queue: every job ends as its workflow and its destination say, and none is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from support.clock import FakeClock
from support.dispatch_room import DISAGREE, RETRY_FOR_SECONDS, Room, job, nothing_pending, open_room
from support.faults import rename
from support.policies import collector, plan

from sidecar.data import Concept, Data, Text, to_wire
from sidecar.delivery.outcome import Delivered, Rejected, Retry
from sidecar.errors import PermanentError, TransientError
from sidecar.events import Events
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.dispatch import BUSY_GATHER_SECONDS, BUSY_JOBS, GATHER_SECONDS, LEASE_LIMIT, gather_seconds
from sidecar.queue.jobs import JobQueue
from sidecar.store.database import Database
from sidecar.workflow.run import ModelRequest


@pytest.fixture
async def room(jobs: JobQueue, database: Database, clock: FakeClock, events: Events) -> AsyncIterator[Room]:
    async with open_room(jobs, database, clock, events) as room:
        yield room


async def test_jobs_are_posted_in_batches_under_ids_that_never_change(room: Room) -> None:
    await room.jobs.record([job(number) for number in range(5)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 5
    assert sorted(len(batch) for batch in room.place().batches) == [1, 2, 2]
    parcels = [parcel for batch in room.place().batches for parcel in batch]
    assert len({parcel.input_id for parcel in parcels}) == 5
    assert {parcel.data.text for parcel in parcels} == {Text(f"input {number}") for number in range(5)}


async def test_json_that_is_posted_as_it_was_stored_comes_along(room: Room) -> None:
    room.plan = plan([collector(), collector("both", collect_outputs=True)])
    output = Data(concepts=(Concept("1", 0.9),))
    await room.jobs.record([job(1), job(2, "both", output), job(3, "both")], {})
    await room.until(nothing_pending)
    for key, expected in (("kept", {1: True}), ("both", {2: False, 3: True})):
        parcels = [parcel for batch in room.place(key).batches for parcel in batch]
        assert {int(parcel.data.text.raw[-1]): bool(parcel.wire) for parcel in parcels if parcel.data.text} == expected
        for parcel in parcels:
            assert parcel.wire in (b"", orjson.dumps(to_wire(parcel.data)))


@pytest.mark.parametrize(
    ("leased", "seconds"),
    [(0, GATHER_SECONDS), (BUSY_JOBS, GATHER_SECONDS), (BUSY_JOBS + 1, BUSY_GATHER_SECONDS), (LEASE_LIMIT, 0.0)],
)
def test_jobs_gather_longer_where_there_are_many_and_not_at_all_in_a_backlog(leased: int, seconds: float) -> None:
    assert gather_seconds(leased) == seconds


async def test_a_retry_keeps_the_id_and_waits_for_its_time(room: Room) -> None:
    room.place().answer = lambda _parcel: Retry("unavailable", "503", 60.0)
    await room.jobs.record([job(1)], {})
    ledger = await room.until(lambda ledger: "unavailable" in ledger.to_json()["reasons"]["pending"])
    room.place().answer = lambda _parcel: Delivered()
    room.later(59)
    assert len(room.place().batches) == 1
    room.later(60)
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 1
    first, second = room.place().batches
    assert first[0].input_id == second[0].input_id


async def test_a_rejected_input_is_a_dead_letter_and_its_neighbour_is_delivered(room: Room) -> None:
    room.place().answer = lambda p: Rejected("refused", "bad") if p.data.text == Text("input 1") else Delivered()
    await room.jobs.record([job(1), job(2)], {})
    ledger = await room.until(nothing_pending)
    assert (ledger.total.dead, ledger.total.delivered) == (1, 1)
    assert ledger.to_json()["reasons"]["dead"] == {"refused": 1}


async def test_trying_ends_after_the_time_that_settings_give(room: Room) -> None:
    room.place().answer = lambda _parcel: Retry("unavailable", "503", RETRY_FOR_SECONDS + 1)
    await room.jobs.record([job(1)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.to_json()["reasons"]["dead"] == {"unavailable": 1}
    (dead,) = await room.jobs.list_jobs()
    assert dead.detail == "gave up after 1 tries: 503"


async def test_the_post_queue_workflow_filters_and_its_result_outlives_a_retry(room: Room) -> None:
    room.plan = plan([collector(post_queue_workflow_id="disagree")], DISAGREE, models=["second"])
    room.place().answer = lambda _parcel: Retry("unavailable", "503")
    agreeing, differing = Data(concepts=(Concept("1", 0.8),)), Data(concepts=(Concept("0", 0.8),))
    await room.jobs.record([job(1, output=agreeing), job(2, output=differing)], {})
    await room.until(lambda ledger: "unavailable" in ledger.to_json()["reasons"]["pending"])
    room.place().answer = lambda _parcel: Delivered()
    room.later(3600)
    ledger = await room.until(nothing_pending)
    assert ledger.to_json()["reasons"]["filtered"] == {"post_queue": 1}
    assert len(room.asked) == 2
    first, second = (to_wire(batch[0].data) for batch in room.place().batches)
    assert first == second


async def test_a_model_that_is_away_makes_the_job_wait_and_one_that_refuses_ends_it(room: Room) -> None:
    room.plan = plan([collector(post_queue_workflow_id="disagree")], DISAGREE, models=["second"])

    def answer(request: ModelRequest) -> Data:
        raise TransientError("away") if request.data.text == Text("input 1") else PermanentError("no")

    room.answer = answer
    output = Data(concepts=(Concept("0", 0.8),))
    await room.jobs.record([job(1, output=output), job(2, output=output)], {})
    ledger = await room.until(lambda ledger: ledger.total.dead == 1)
    assert ledger.to_json()["reasons"]["dead"] == {"model_refused": 1}
    assert ledger.to_json()["reasons"]["pending"] == {"model_unavailable": 1}


async def test_one_collectors_slow_destination_holds_up_no_other(room: Room) -> None:
    room.plan = plan([collector("slow"), collector("quick")])
    room.place("slow").may_answer.clear()
    await room.jobs.record([job(1, "slow")], {})
    await room.jobs.record([job(2, "quick"), job(3, "slow")], {})
    ledger = await room.until(lambda ledger: ledger.collectors["quick"].delivered == 1)
    assert ledger.collectors["slow"].pending == 2
    room.place("slow").may_answer.set()
    await room.until(nothing_pending)


async def test_a_policy_that_cannot_run_keeps_its_jobs_waiting_under_that_name(room: Room) -> None:
    room.plan = plan([collector(post_queue_workflow_id="disagree")], DISAGREE, models=[])
    await room.jobs.record([job(1)], {})
    await room.until(lambda ledger: "policy_broken" in ledger.to_json()["reasons"]["pending"])
    room.plan = plan([collector()])
    room.later(3600)
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 1


async def test_what_is_cut_at_the_stop_is_there_at_the_next_start(
    jobs: JobQueue, database: Database, clock: FakeClock, events: Events
) -> None:
    room = Room(jobs, database, clock, events)
    room.place().may_answer.clear()
    tasks = Tasks(events.task_failed)
    tasks.start(room.dispatch.run(), "dispatch")
    await jobs.record([job(1)], {})
    await asyncio.wait_for(room.place().is_reached.wait(), 10)
    await tasks.stop()
    await room.dispatch.stop(0.01)
    successor = JobQueue(database, clock, events, owner="next")
    assert await successor.void_leases() == 1
    assert [each.exchange_id for each in await successor.lease(10, 60)] == [f"{1:032x}"]


async def test_counts_that_the_storage_refused_are_written_though_nothing_more_is_recorded(room: Room) -> None:
    await asyncio.sleep(0)  # dispatch begins to look for jobs; each thread of the database serves it before us
    await room.database.write(lambda _connection: None)
    await room.database.read(lambda _connection: None)
    await rename(room.database, "job", "gone")
    assert not await room.jobs.record([job(1)], {})
    await rename(room.database, "gone", "job")
    await asyncio.wait_for(room.jobs.paid(), 20)
    ledger = await room.until(lambda ledger: ledger.total.dropped == 1)
    assert ledger.to_json()["reasons"]["dropped"] == {"store_failed": 1}
