"""One collector, several destinations: none holds up another, and a workflow runs once for all of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.clock import FakeClock
from support.dispatch_room import DISAGREE, Place, Room, job, nothing_pending, open_room
from support.policies import collector, plan

from sidecar.collector import Destination, Workflow
from sidecar.data import Concept, Data, Text, to_wire
from sidecar.delivery.outcome import Delivered, Rejected, Retry
from sidecar.errors import TransientError
from sidecar.events import Events
from sidecar.pipeline import destinations
from sidecar.pipeline.plan import Plan
from sidecar.queue.jobs import JobQueue
from sidecar.queue.values import NewJob
from sidecar.store.database import Database
from sidecar.workflow.run import ModelRequest

BOTH = ("app", "second")
OUTPUT = Data(concepts=(Concept("0", 0.8),))


def posting_to(*names: str, workflow: Workflow | None = None) -> Plan:
    destinations = tuple(Destination("app", {}, name) for name in names)
    fields: dict[str, Any] = {} if workflow is None else {"post_queue_workflow_id": workflow.id}
    workflows = () if workflow is None else (workflow,)
    return plan([collector(destinations=destinations, **fields)], *workflows, models=["second"])


def new_job(number: int = 1, *, has_workflow: bool = False) -> NewJob:
    return job(number, output=OUTPUT)._replace(destinations=BOTH, has_workflow=has_workflow)


@pytest.fixture
async def room(jobs: JobQueue, database: Database, clock: FakeClock, events: Events) -> AsyncIterator[Room]:
    async with open_room(jobs, database, clock, events) as room:
        room.plan = posting_to(*BOTH)
        yield room


def posted(room: Room, *keys: str) -> list[list[str]]:
    """The texts that came to each place."""
    texts = [[each.data.text for batch in room.place(key).batches for each in batch] for key in keys]
    return [sorted(text.raw for text in of_place if text) for of_place in texts]


async def test_a_destination_that_hangs_holds_up_no_other_of_its_collector(room: Room) -> None:
    room.place("kept/second").may_answer.clear()
    await room.jobs.record([new_job(1)], {})
    await room.place("kept/second").is_reached.wait()
    await room.jobs.record([new_job(2)], {})
    await room.until(lambda _ledger: posted(room, "kept") == [["input 1", "input 2"]])
    room.place("kept/second").may_answer.set()
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 2
    assert posted(room, "kept/second") == [["input 1", "input 2"]]


async def test_each_destination_has_its_own_retries_and_its_own_dead_letter(room: Room) -> None:
    room.place("kept").answer = lambda _parcel: Rejected("refused", "no")
    room.place("kept/second").answer = lambda _parcel: Retry("unavailable", "503", 60.0)
    await room.jobs.record([new_job()], {})
    ledger = await room.until(lambda ledger: "unavailable" in ledger.reasons["pending"])
    assert (ledger.total.pending, ledger.total.dead) == (1, 0)
    room.place("kept/second").answer = lambda _parcel: Delivered()
    room.later(120)
    ledger = await room.until(nothing_pending)
    assert ledger.reasons["dead"] == {"refused": 1}
    room.place("kept").answer = lambda _parcel: Delivered()
    await room.jobs.retry_dead()
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 1
    assert len(room.place("kept/second").batches) == 2
    assert len({batch[0].input_id for place in room.places.values() for batch in place.batches}) == 1


async def test_a_workflow_runs_once_and_both_get_what_it_gave(room: Room) -> None:
    room.plan = posting_to(*BOTH, workflow=DISAGREE)
    room.place("kept").answer = lambda _parcel: Retry("unavailable", "503", 60.0)
    await room.jobs.record([new_job(number, has_workflow=True) for number in range(3)], {})
    await room.until(lambda ledger: ledger.reasons["pending"] == {"unavailable": 3})
    room.place("kept").answer = lambda _parcel: Delivered()
    room.later(120)
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 3
    assert len(room.asked) == 3
    given = {str(to_wire(parcel.data)) for place in room.places.values() for batch in place.batches for parcel in batch}
    assert len(given) == 1
    assert "input" not in given.pop()


async def test_what_a_workflow_filters_goes_to_no_destination(room: Room) -> None:
    room.plan = posting_to(*BOTH, workflow=DISAGREE)
    room.answer = lambda _request: OUTPUT
    await room.jobs.record([new_job(has_workflow=True)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.reasons["filtered"] == {"post_queue": 1}
    assert room.places == {}


async def test_a_model_that_is_away_is_waited_for_once(room: Room) -> None:
    room.plan = posting_to(*BOTH, workflow=DISAGREE)

    def away(_request: ModelRequest) -> Data:
        raise TransientError("away")

    room.answer = away
    await room.jobs.record([new_job(has_workflow=True)], {})
    await room.until(lambda ledger: ledger.reasons["pending"] == {"model_unavailable": 1})
    assert len(room.asked) == 1


async def test_a_destination_that_is_taken_away_is_let_go_and_the_others_go_on(room: Room) -> None:
    for place in BOTH:
        room.place("kept" if place == "app" else f"kept/{place}").answer = lambda _parcel: Retry("unavailable", "", 60)
    await room.jobs.record([new_job()], {})
    await room.until(lambda ledger: ledger.reasons["pending"] == {"unavailable": 1})
    room.plan = posting_to("app", "third")
    room.place("kept").answer = lambda _parcel: Delivered()
    room.later(120)
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 1
    assert posted(room, "kept", "kept/second", "kept/third") == [["input 1"] * 2, ["input 1"], []]


async def test_a_job_all_of_whose_destinations_are_taken_away_is_dropped_under_that_name(room: Room) -> None:
    room.plan = posting_to("third")
    await room.jobs.record([new_job()], {})
    ledger = await room.until(nothing_pending)
    assert ledger.reasons["dropped"] == {"destination_removed": 1}
    assert room.places == {}


async def test_a_job_of_one_destination_follows_its_collector(room: Room) -> None:
    room.plan = posting_to("third", "fourth")
    await room.jobs.record([job(1)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 1
    assert posted(room, "kept/third", "kept/fourth") == [["input 1"], []]


async def test_a_workflow_that_came_or_went_while_jobs_waited_is_run_for_all_or_for_none(room: Room) -> None:
    await room.jobs.record([new_job(1, has_workflow=True)], {})
    ledger = await room.until(lambda ledger: ledger.total.delivered == 1)
    room.plan = posting_to(*BOTH, workflow=DISAGREE)
    await room.jobs.record([new_job(2), job(3, output=OUTPUT)], {})
    ledger = await room.until(lambda ledger: ledger.total.delivered == 3)
    assert ledger.holds
    assert [request.data.text for request in room.asked] == [Text("input 3")]
    assert posted(room, "kept/second") == [["input 1", "input 2"]]


class InUse:
    """Destinations under a plan that a test changes; nothing that is opened stands on anything."""

    def __init__(self, events: Events) -> None:
        parts: Any = None
        self.plan = posting_to(*BOTH)
        self.opened: list[Place] = []
        self.destinations = destinations.Destinations(parts, lambda: self.plan, events.task_failed)

    def open(self, *_: object) -> Place:
        self.opened.append(Place())
        return self.opened[-1]

    def using(self, name: str = "app", **options: str) -> contextlib.AbstractContextManager[Any]:
        """Use what the first plan calls by this name."""
        [policy] = posting_to(*BOTH).policies.values()
        return self.destinations.using(policy, Destination("app", options, name))

    async def closed(self, *, has_plan: Plan | None = None) -> list[int]:
        """How often each that was opened has been closed, once a new plan holds and all that is closing is closed."""
        if has_plan is not None:
            self.plan = has_plan
            self.destinations.close_gone()
        await self.destinations._closing.drained()
        return [each.closed for each in self.opened]


@pytest.fixture
async def in_use(monkeypatch: pytest.MonkeyPatch, events: Events) -> AsyncIterator[InUse]:
    in_use = InUse(events)
    monkeypatch.setattr(destinations, "open_destination", in_use.open)
    yield in_use
    await in_use.destinations.close()
    assert await in_use.closed() == [1] * len(in_use.opened)


async def test_one_whose_words_change_is_opened_anew_and_the_old_one_closed(in_use: InUse) -> None:
    with in_use.using() as first:
        pass
    with in_use.using() as again, in_use.using(app_id="other") as second:
        assert (again, in_use.opened) == (first, [first, second])
        assert await in_use.closed() == [0, 0]  # not under a batch
    assert await in_use.closed() == [1, 0]


@pytest.mark.parametrize(
    ("left", "are_closed"),
    [(posting_to("app"), [0, 1]), (plan([]), [1, 1]), (posting_to(*BOTH), [0, 0])],
    ids=["a destination is gone", "the collector is gone", "nothing is gone"],
)
async def test_what_the_plan_no_longer_has_is_closed_once_nothing_is_under_way_there(
    in_use: InUse, left: Plan, are_closed: list[int]
) -> None:
    with in_use.using("app"), in_use.using("second"):
        assert await in_use.closed(has_plan=left) == [0, 0]
    assert await in_use.closed() == are_closed
    assert await in_use.closed(has_plan=left) == are_closed


async def test_what_nothing_is_under_way_at_is_closed_with_the_new_plan(in_use: InUse) -> None:
    with in_use.using("app"), in_use.using("second"):
        pass
    assert await in_use.closed() == [0, 0]
    assert await in_use.closed(has_plan=posting_to("second")) == [1, 0]


async def test_a_batch_that_began_under_an_older_plan_leaves_nothing_open(in_use: InUse) -> None:
    await in_use.closed(has_plan=plan([]))
    with in_use.using("app"):
        assert await in_use.closed() == [0]
    assert await in_use.closed() == [1]


async def test_a_collector_that_stands_still_keeps_its_destinations(in_use: InUse) -> None:
    with in_use.using("app"):
        pass
    broken = dataclasses.replace(plan([]), known=frozenset(["kept"]))
    assert await in_use.closed(has_plan=broken) == [0]
