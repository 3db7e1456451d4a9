"""What nodes remember, in the pipeline: written with the verdict it led to, given back where none counts."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from support.clock import FakeClock
from support.dispatch_room import Room as Dispatching
from support.dispatch_room import job, nothing_pending, open_room
from support.exchanges import payload_of
from support.faults import rename
from support.policies import below, collector, node, plan
from support.remembering import with_memories

from sidecar.capture.arrival import ArrivalReader, decode_arrival
from sidecar.capture.caller import Callers
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import Captured
from sidecar.collector import RedactRule, Workflow
from sidecar.data import Concept, Data
from sidecar.errors import TransientError
from sidecar.events import Events
from sidecar.exchange import Exchange, Message
from sidecar.kit.ids import OrderedIds, fraction
from sidecar.memory import Memories
from sidecar.pipeline.intake import Intake
from sidecar.pipeline.plan import Plan
from sidecar.queue.jobs import JobQueue
from sidecar.queue.ledger import Ledger, read_ledger
from sidecar.store.database import Database
from sidecar.workflow.run import ModelRequest

READER = ArrivalReader(Callers("x-caller-id", {}), ())
IDS = OrderedIds()
FIRST = node("first", type_id="first-n", params={"n": 1})
FIRST_ONLY = Workflow("first-only", (FIRST,))
THEN_ASKS = Workflow("then-asks", (FIRST, node("judge", "first")))
JUDGED = Data(concepts=(Concept("0", 0.2),))


class Receipts:
    def acknowledge(self, what: str, count: int = 1) -> None: ...


def exchange(body: bytes, exchange_id: bytes, caller: str) -> Exchange:
    head = f"POST /v1/models/digits:predict HTTP/1.1\r\nX-Caller-Id: {caller}\r\n\r\n"
    request = Message(head.encode(), body)
    return Exchange(
        exchange_id or IDS(),
        1_700_000_000.0,
        0.01,
        request,
        Message(b"HTTP/1.1 200 OK\r\n\r\n", b'{"predictions": [[1]]}'),
    )


class Room:
    """An intake whose collector's nodes remember."""

    def __init__(
        self, jobs: JobQueue, database: Database, events: Events, workflow: Workflow, given: Plan | None = None
    ) -> None:
        self.jobs, self.database = jobs, database
        self.memories = Memories()
        self.answer: Callable[[], Awaitable[Data]] = self.judged
        self.queue: KeyedQueue[Captured] = KeyedQueue(10**9)
        now = given or plan(
            [collector(pre_queue_workflow_id=workflow.id)],
            workflow,
            models=["judge"],
            operators=with_memories(self.memories),
        )
        self.intake = Intake(
            self.queue, lambda: now, lambda each: decode_arrival(each.arrival), jobs.record, jobs.paid, self.ask, events
        )  # fmt: skip

    async def judged(self) -> Data:
        return JUDGED

    async def ask(self, _request: ModelRequest) -> Data:
        return await self.answer()

    def put(self, number: int) -> None:
        self.put_call(b'{"instances": [[%d]]}' % number)

    def put_call(self, body: bytes, exchange_id: bytes = b"", caller: str = "alice") -> None:
        arrival = READER.read(payload_of(exchange(body, exchange_id, caller)))
        if arrival is None:
            raise ValueError("not a predict call")
        self.queue.put(arrival.asked.key, Captured(arrival, Receipts()), 1)

    async def until(self, is_so: Callable[[Ledger], bool]) -> Ledger:
        async with asyncio.timeout(10):
            while not is_so(ledger := await read_ledger(self.database)):
                pass
        assert ledger.holds
        return ledger

    async def live_again(self) -> None:
        """As after a kill: memory is what is on disk."""
        self.memories.load(await self.jobs.remembered(["kept"]))


async def opened(room: Room) -> AsyncIterator[Room]:
    running = asyncio.create_task(room.intake.run())
    yield room
    room.queue.close()
    await running
    await room.intake.stop()


@pytest.fixture
async def room(jobs: JobQueue, database: Database, events: Events) -> AsyncIterator[Room]:
    async for each in opened(Room(jobs, database, events, FIRST_ONLY)):
        yield each


@pytest.fixture
async def asking(jobs: JobQueue, database: Database, events: Events) -> AsyncIterator[Room]:
    async for each in opened(Room(jobs, database, events, THEN_ASKS)):
        yield each


async def test_what_the_storage_refused_has_spent_nothing(room: Room, jobs: JobQueue) -> None:
    await rename(room.database, "job", "gone")
    room.put(1)
    async with asyncio.timeout(10):
        await jobs.wake.wait()
    await rename(room.database, "gone", "job")
    room.put(2)
    room.put(3)
    ledger = await room.until(lambda ledger: ledger.total.matched == 3)
    assert ledger.reasons["dropped"] == {"store_failed": 1}
    assert (ledger.total.pending, ledger.total.filtered) == (1, 1)


async def test_an_input_that_is_dropped_has_spent_nothing(asking: Room) -> None:
    async def away() -> Data:
        raise TransientError("away")

    asking.answer = away
    asking.put(1)
    await asking.until(lambda ledger: ledger.total.dropped == 1)
    asking.answer = asking.judged
    asking.put(2)
    await asking.until(lambda ledger: ledger.total.pending == 1)
    asking.put(3)
    await asking.until(lambda ledger: ledger.total.filtered == 1)


async def test_what_waits_for_a_model_has_spent_in_memory_and_not_on_disk(asking: Room) -> None:
    may_answer, asked = asyncio.Event(), asyncio.Event()

    async def late() -> Data:
        asked.set()
        await may_answer.wait()
        return JUDGED

    asking.answer = late
    asking.put(1)
    await asked.wait()
    asking.put(2)
    await asking.until(lambda ledger: ledger.total.filtered == 1)
    assert await asking.jobs.remembered(["kept"]) == {}
    may_answer.set()
    await asking.until(lambda ledger: ledger.total.pending == 1)
    await asking.live_again()
    asking.put(3)
    await asking.until(lambda ledger: ledger.total.filtered == 2)


async def test_what_is_remembered_of_content_is_of_what_redaction_leaves(
    jobs: JobQueue, database: Database, events: Events
) -> None:
    similar = Workflow("similar", (node("once", type_id="deduplicate", params={"by": "text"}),))
    exact = Workflow("exact", (node("once", type_id="deduplicate"),))
    rules = (RedactRule(mask=r"\d+", to="N"),)
    now = plan(
        [collector(each.id, pre_queue_workflow_id=each.id, redact=rules) for each in (similar, exact)],
        similar,
        exact,
        operators=with_memories(Memories()),
    )
    room = Room(jobs, database, events, FIRST_ONLY, now)
    for text in (b"my number is 123456", b"my number is 98"):
        room.put_call(b'{"instances": ["%s"]}' % text)
    room.put_call(b"no JSON")
    room.queue.close()
    await room.intake.run()
    ledger = (await read_ledger(database)).to_json()
    assert ledger["collectors"]["similar"]["filtered"] == 1, "what differs is masked"
    assert ledger["collectors"]["exact"]["filtered"] == 0
    assert ledger["reasons"]["dropped"] == {"unredactable": 2}
    remembered = await jobs.remembered(["similar", "exact"])
    assert {place.collector: len(entries) for place, entries in remembered.items()} == {"similar": 1, "exact": 2}


FEW = node("few", type_id="reservoir", params={"n": 1, "window": "day"})
BODY = b'{"instances": [[1]]}'


def drawing_ids(count: int) -> list[bytes]:
    """Exchanges' ids, the one that draws best last."""
    return sorted((IDS() for _ in range(count)), key=lambda each: -fraction(each, 0, "kept", "few"))


async def test_what_a_later_node_filters_holds_no_place_in_a_reservoir(
    jobs: JobQueue, database: Database, events: Events
) -> None:
    of_alice = node("of-alice", "few", type_id="metadata-filter", params={"expression": "caller == 'alice'"})
    workflow = Workflow("w", (FEW, of_alice))
    async for room in opened(Room(jobs, database, events, workflow)):
        *worse, best = drawing_ids(8)
        room.put_call(BODY, best, "bob")
        for exchange_id in worse:
            room.put_call(BODY, exchange_id)
        ledger = await room.until(lambda ledger: ledger.total.matched == 8)
        assert (ledger.total.pending, ledger.total.filtered) == (1, 7)
        assert [job.exchange_id for job in await jobs.list_jobs()] == [worse[-1].hex()]


async def test_one_that_waits_for_a_model_is_displaced_before_it_is_written(
    jobs: JobQueue, database: Database, events: Events
) -> None:
    may_answer, asked = asyncio.Event(), asyncio.Event()

    async def late() -> Data:
        asked.set()
        await may_answer.wait()
        return JUDGED

    async for room in opened(Room(jobs, database, events, Workflow("w", (FEW, node("judge", "few"))))):
        worse, better = drawing_ids(2)
        room.answer = late
        room.put_call(BODY, worse)
        await asked.wait()
        room.answer = room.judged
        room.put_call(BODY, better)
        await room.until(lambda ledger: ledger.total.pending == 1)
        may_answer.set()
        ledger = await room.until(lambda ledger: ledger.total.matched == 2)
        assert (ledger.total.pending, ledger.total.filtered) == (1, 1)
        assert [job.exchange_id for job in await jobs.list_jobs()] == [better.hex()]


@pytest.fixture
async def dispatching(
    jobs: JobQueue, database: Database, clock: FakeClock, events: Events
) -> AsyncIterator[Dispatching]:
    async with open_room(jobs, database, clock, events) as room:
        yield room


async def test_after_the_queue_a_try_without_a_verdict_has_spent_nothing(dispatching: Dispatching) -> None:
    room = dispatching
    is_away = True

    def answer(_request: ModelRequest) -> Data:
        if is_away:
            raise TransientError("away")
        return JUDGED

    room.answer = answer
    memories = Memories()
    room.plan = plan(
        [collector(post_queue_workflow_id="then-asks")], THEN_ASKS, models=["judge"], operators=with_memories(memories)
    )
    await room.jobs.record([job(1)], {})
    await room.until(lambda ledger: "model_unavailable" in ledger.to_json()["reasons"]["pending"])
    assert await room.jobs.remembered(["kept"]) == {}
    is_away = False
    room.later(3600)
    ledger = await room.until(nothing_pending)
    assert ledger.total.delivered == 1
    memories.load(await room.jobs.remembered(["kept"]))
    await room.jobs.record([job(2)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.reasons["filtered"] == {"post_queue": 1}


async def test_what_is_filtered_after_the_queue_counts_where_it_passed(dispatching: Dispatching) -> None:
    room = dispatching
    workflow = Workflow("w", (FIRST, dataclasses.replace(below("never", 0.0), inputs=("first",))))
    room.plan = plan([collector(post_queue_workflow_id="w")], workflow, operators=with_memories(Memories()))
    await room.jobs.record([job(1)], {})
    ledger = await room.until(nothing_pending)
    assert ledger.reasons["filtered"] == {"post_queue": 1}
    ((_, entries),) = (await room.jobs.remembered(["kept"])).items()
    assert [entry.times for entry in entries] == [1]
