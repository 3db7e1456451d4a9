"""What a model's answer, or none, does to the job that waits for it: on a real queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.clock import FakeClock
from support.dispatch_room import DISAGREE, Room, job, nothing_pending, open_room
from support.policies import collector, plan

from sidecar.data import Concept, Data
from sidecar.events import Events
from sidecar.pipeline import batch
from sidecar.protocol.asked import AwayError, RefusedError
from sidecar.queue.jobs import JobQueue
from sidecar.store.database import Database
from sidecar.workflow.run import ModelRequest

OUTPUT = Data(concepts=(Concept("0", 0.8),))


@pytest.fixture
async def room(jobs: JobQueue, database: Database, clock: FakeClock, events: Events) -> AsyncIterator[Room]:
    async with open_room(jobs, database, clock, events) as opened:
        opened.plan = plan([collector(post_queue_workflow_id="disagree")], DISAGREE, models=["second"])
        yield opened


async def test_a_workflow_whose_models_take_too_long_makes_its_job_wait(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_request: ModelRequest) -> Data:
        await asyncio.Event().wait()
        return Data()

    monkeypatch.setattr(batch, "WORKFLOW_SECONDS", 0.01)
    monkeypatch.setattr(room.dispatch._batch, "_ask", hang)
    await room.jobs.record([job(1, output=OUTPUT)], {})
    await room.until(lambda ledger: ledger.reasons["pending"] == {"model_unavailable": 1})
    (waiting,) = await room.jobs.list_jobs()
    assert waiting.detail == "no verdict within 0.01 s: its models are slow"


@pytest.mark.parametrize("reason", ["refused", "unreadable", "unsendable"])
async def test_a_job_that_its_model_will_never_answer_for_is_dead_under_that_name(room: Room, reason: str) -> None:
    def refuse(_request: ModelRequest) -> Data:
        raise RefusedError(reason, "model 'second': why")

    room.answer = refuse
    await room.jobs.record([job(1, output=OUTPUT)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.reasons["dead"] == {f"model_{reason}": 1}


async def test_a_job_waits_for_as_long_as_the_server_asks(room: Room) -> None:
    answer = room.answer

    def throttle(_request: ModelRequest) -> Data:
        raise AwayError("throttled", "slow down", 1000.0)

    room.answer = throttle
    await room.jobs.record([job(1, output=OUTPUT)], {})
    await room.until(lambda ledger: ledger.reasons["pending"] == {"model_unavailable": 1})
    (waiting,) = await room.jobs.list_jobs()
    assert 1000.0 <= waiting.retry_at - room.clock.now() <= 1250.0
    room.answer = answer
    room.later(1250)
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 1
