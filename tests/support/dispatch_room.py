"""Dispatch on a real queue, with the plan, the models and the destinations in the test's hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import orjson

from sidecar.collector import Destination, Workflow
from sidecar.data import Concept, Data, Text, to_wire
from sidecar.delivery.destination import Parcel
from sidecar.delivery.outcome import Delivered, Outcome
from sidecar.events import Events
from sidecar.kit.tasks import Tasks
from sidecar.pipeline.batch import Batch
from sidecar.pipeline.dispatch import Dispatch
from sidecar.pipeline.plan import Plan, Policy
from sidecar.queue.jobs import JobQueue
from sidecar.queue.ledger import Ledger, read_ledger
from sidecar.queue.values import NewJob
from sidecar.store.database import Database
from sidecar.workflow.run import ModelRequest
from support.clock import FakeClock
from support.policies import collector, node, plan

RETRY_FOR_SECONDS = 3600.0
DISAGREE = Workflow("disagree", (node("second"), node("differ", "$output", "second", type_id="disagreement-filter")))


class Place:
    """A destination whose answers a test decides; remembers every parcel."""

    max_batch = 2

    def __init__(self) -> None:
        self.answer: Callable[[Parcel], Outcome] = lambda _parcel: Delivered()
        self.batches: list[list[Parcel]] = []
        self.closed = 0
        self.is_reached = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        self.is_reached.set()
        await self.may_answer.wait()
        self.batches.append(list(parcels))
        return [self.answer(parcel) for parcel in parcels]

    async def close(self) -> None:
        self.closed += 1


def job(number: int, collector_key: str = "kept", output: Data | None = None) -> NewJob:
    given = orjson.dumps(to_wire(Data(text=Text(f"input {number}"))))
    answer = None if output is None else orjson.dumps(to_wire(output))
    return NewJob(f"{number:032x}", 0, collector_key, "alice", "digits", "", given, answer)


class Room:
    def __init__(self, jobs: JobQueue, database: Database, clock: FakeClock, events: Events) -> None:
        self.jobs = jobs
        self.database = database
        self.clock = clock
        self.plan = plan([collector()])
        self.places: dict[str, Place] = {}
        self.asked: list[ModelRequest] = []
        self.answer: Callable[[ModelRequest], Data] = lambda _request: Data(concepts=(Concept("1", 0.9),))
        self.slept: list[float] = []
        self.destination_fault: Exception | None = None
        batch = Batch(
            jobs, self._plan, self._using, self._ask, RETRY_FOR_SECONDS, clock, events, self._sleep
        )  # fmt: skip
        self.dispatch = Dispatch(jobs, batch, clock, events)

    @contextlib.contextmanager
    def _using(self, policy: Policy, destination: Destination) -> Iterator[Place]:
        if self.destination_fault is not None:
            raise self.destination_fault
        key = policy.collector.key
        yield self.place(key if destination == Destination() else f"{key}/{destination.name}")

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def _plan(self) -> Plan:
        return self.plan

    def place(self, key: str = "kept") -> Place:
        return self.places.setdefault(key, Place())

    async def _ask(self, request: ModelRequest) -> Data:
        self.asked.append(request)
        return self.answer(request)

    async def until(self, is_so: Callable[[Ledger], bool]) -> Ledger:
        """The ledger once `is_so`; each look goes through the database's own thread, so others run meanwhile."""
        async with asyncio.timeout(10):
            while True:
                ledger = await read_ledger(self.database)
                assert ledger.holds
                if is_so(ledger):
                    return ledger

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.jobs.wake.set()


@contextlib.asynccontextmanager
async def open_room(jobs: JobQueue, database: Database, clock: FakeClock, events: Events) -> AsyncIterator[Room]:
    """A room whose dispatch runs."""
    room = Room(jobs, database, clock, events)
    tasks = Tasks(events.task_failed)
    running = tasks.start(room.dispatch.run(), "dispatch")
    yield room
    running.cancel()
    await room.dispatch.stop(5)
    await tasks.stop()


def nothing_pending(ledger: Ledger) -> bool:
    return ledger.total.matched > 0 and ledger.total.pending == 0
