"""A batch whose parts fail: each job is settled under a name, and a fault costs the job that brought it about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import orjson
import pytest
from support.clock import FakeClock
from support.dispatch_room import DISAGREE, RETRY_FOR_SECONDS, Room, job, nothing_pending, open_room
from support.policies import collector, plan

from sidecar.data import Concept, Data, Text
from sidecar.delivery.destination import Parcel
from sidecar.delivery.outcome import Delivered, Outcome, Retry
from sidecar.errors import ConfigurationError, TransientError
from sidecar.events import Events
from sidecar.pipeline.batch import LEASE_SECONDS, WORKFLOWS_AT_ONCE
from sidecar.queue.jobs import LEASE_BYTES, JobQueue
from sidecar.queue.leases import NONE, Passed
from sidecar.queue.tries import read
from sidecar.queue.values import Job, Settlement
from sidecar.store.database import Database
from sidecar.workflow.run import ModelRequest


@pytest.fixture
async def room(jobs: JobQueue, database: Database, clock: FakeClock, events: Events) -> AsyncIterator[Room]:
    async with open_room(jobs, database, clock, events) as room:
        yield room


async def test_a_job_that_comes_after_its_collector_was_deleted_is_dropped_under_that_name(room: Room) -> None:
    room.plan = plan([])
    await room.jobs.record([job(1)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.to_json()["reasons"]["dropped"] == {"collector_deleted": 1}


async def test_a_destination_that_raises_for_one_input_costs_that_input_alone(room: Room) -> None:
    def answer(parcel: Parcel) -> Outcome:
        if parcel.data.text == Text("input 2"):
            raise ZeroDivisionError
        return Delivered()

    room.place().answer = answer
    await room.jobs.record([job(number) for number in range(5)], {})
    ledger = await room.until(lambda ledger: ledger.total.delivered == 4 and not ledger.reasons["pending"].get(""))
    assert ledger.reasons["pending"] == {"unexpected_error": 1}


async def test_a_fault_before_the_work_begins_is_said_with_the_jobs(room: Room) -> None:
    room.destination_fault = ZeroDivisionError()
    await room.jobs.record([job(1)], {})
    await room.until(lambda ledger: "unexpected_error" in ledger.reasons["pending"])
    room.destination_fault = ConfigurationError("no such option")
    room.later(600)
    await room.until(lambda ledger: "policy_broken" in ledger.reasons["pending"])


async def test_an_input_that_cannot_be_read_back_is_a_dead_letter(room: Room) -> None:
    await room.jobs.record([job(1)._replace(input=b'{"text": 5}'), job(2)._replace(input=b"{"), job(3)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.reasons["dead"] == {"unreadable": 2}
    assert ledger.total.delivered == 1


async def test_a_settlement_that_the_database_refuses_is_tried_again_while_the_lease_stands(room: Room) -> None:
    settle, refusals = room.jobs.settle, [1, 1]

    async def refuse_twice(settlements: Sequence[Settlement]) -> None:
        if refusals:
            refusals.pop()
            raise TransientError("locked", 7.0)
        await settle(settlements)

    room.jobs.settle = refuse_twice  # type: ignore[method-assign]
    await room.jobs.record([job(1)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 1
    assert room.slept == [7.0, 7.0]
    assert len(room.place().batches) == 1


async def test_a_bug_in_leasing_does_not_end_deliveries(room: Room, events: Events) -> None:
    lease, bugs = room.jobs.lease, [1]

    async def stumble_once(
        limit: int, seconds: float, passed: Passed = NONE, max_bytes: int = LEASE_BYTES
    ) -> list[Job]:
        if bugs:
            raise ZeroDivisionError(bugs.pop())
        return await lease(limit, seconds, passed, max_bytes)

    room.jobs.lease = stumble_once  # type: ignore[method-assign]
    await room.jobs.record([job(1)], {})
    await room.until(lambda _ledger: events.counters.get("sidecar_task_failures_total", task="dispatch") == 1)
    room.later(0)
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 1


async def test_a_model_that_is_away_is_not_asked_for_every_job_of_a_batch(room: Room) -> None:
    room.plan = plan([collector(post_queue_workflow_id="disagree")], DISAGREE, models=["second"])

    def away(_request: ModelRequest) -> Data:
        raise TransientError("away")

    room.answer = away
    await room.jobs.record([job(number, output=Data(concepts=(Concept("0", 0.8),))) for number in range(100)], {})
    await room.until(lambda ledger: ledger.reasons["pending"] == {"model_unavailable": 100})
    assert len(room.asked) == WORKFLOWS_AT_ONCE


async def test_work_that_would_outlast_its_lease_is_given_back_and_what_is_done_is_kept(room: Room) -> None:
    room.plan = plan([collector(post_queue_workflow_id="disagree")], DISAGREE, models=["second"])

    def slow(_request: ModelRequest) -> Data:
        room.clock.advance(LEASE_SECONDS / 2 / WORKFLOWS_AT_ONCE + 1)
        return Data(concepts=(Concept("1", 0.9),))

    room.answer = slow
    await room.jobs.record([job(number, output=Data(concepts=(Concept("0", 0.8),))) for number in range(40)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 40
    assert len(room.asked) == 40


async def test_what_the_workflows_nodes_made_of_an_input_is_told_at_every_try(room: Room) -> None:
    room.plan = plan([collector(post_queue_workflow_id="disagree")], DISAGREE, models=["second"])
    room.place().answer = lambda _parcel: Retry("http_503", "away")
    await room.jobs.record([job(1, output=Data(concepts=(Concept("0", 0.8),)))], {})
    await room.until(lambda ledger: ledger.reasons["pending"] == {"http_503": 1})
    room.place().answer = lambda _parcel: Delivered()
    room.later(RETRY_FOR_SECONDS / 2)
    await room.until(nothing_pending)
    first, second = (parcel.way for (parcel,) in room.place().batches)
    assert first is not None
    assert second is not None
    nodes = orjson.loads(first.trace_wire)["nodes"]
    assert [(each["id"], each["kind"], each["verdict"]) for each in nodes] == [
        ("second", "second", "passed"), ("differ", "disagreement-filter", "passed"),
    ]  # fmt: skip
    assert (second.trace_wire, second.attempt, len(room.asked)) == (first.trace_wire, 2, 1)
    assert [(each.attempt, each.reason) for each in read(second.tries_wire).kept] == [(1, "http_503")]
