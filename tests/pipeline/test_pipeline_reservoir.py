"""A reservoir on a real queue: n of a window whatever the order of inputs, writes and kills, and every one counted."""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clock import FakeClock
from support.dispatch_room import Room, nothing_pending, open_room
from support.operators import said
from support.policies import collector, node, plan
from support.remembering import Node

from sidecar.collector import Workflow
from sidecar.events import Events
from sidecar.kit.ids import fraction
from sidecar.memory import Change
from sidecar.pipeline.held import withdraw_displaced
from sidecar.queue.jobs import JobQueue
from sidecar.queue.ledger import read_ledger
from sidecar.queue.values import NewJob, Retry, Settlement
from sidecar.store.database import Database, sqlite_url
from sidecar.workflow.operators.reservoir import GRACE_SECONDS
from sidecar.workflow.run import Item, Kept, run_without_models

T = TypeVar("T")
START = 1_700_000_040.0
"""A minute's start."""
MINUTE = 60.0


def draw(number: int) -> float:
    return fraction(exchange_id(number), 0, "c", "n")


def exchange_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Record:
    """What one batch of inputs will write."""

    def __init__(self) -> None:
        self.kept: list[NewJob] = []
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.changes: list[Change] = []
        self.numbers: list[int] = []


class Writer:
    """A reservoir of the collector `c` and the queue that its jobs wait in."""

    def __init__(self, queue: JobQueue, n: int) -> None:
        self.queue = queue
        self.node = Node("reservoir", {"n": n, "window": "minute"})
        self.records = (Record(), Record())

    def take(self, number: int, at: float, record: Record) -> bool:
        item = Item(exchange_id(number), 0, "c", said("?"), said("!"), at)
        record.numbers.append(number)
        is_kept = isinstance(run_without_models(self.node.graph, item, "$output"), Kept)
        if is_kept:
            record.kept.append(NewJob(item.exchange_id.hex(), 0, "c", "", "m", "", b"{}"))
        else:
            record.counts["c", "filtered", "pre_queue"] += 1
        record.changes += item.changes
        return is_kept

    async def write(self, record: Record) -> list[int]:
        """Gives the inputs that are now written."""
        withdraw_displaced(record.kept, record.counts, record.changes)
        assert await self.queue.record(record.kept, record.counts, record.changes)
        numbers = record.numbers
        record.__init__()  # type: ignore[misc]
        return numbers

    async def live_again(self) -> None:
        for record in self.records:
            record.__init__()  # type: ignore[misc]
        self.node.memories.load(await self.queue.remembered(["c"]))

    async def waiting(self) -> set[int]:
        return {int(job.exchange_id, 16) for job in await self.queue.list_jobs(limit=1000)}


def best(n: int, numbers: Iterable[int], times: dict[int, float]) -> set[int]:
    """What a reservoir keeps, as naively as it can be said."""
    windows: dict[float, list[int]] = {}
    for number in numbers:
        windows.setdefault(times[number] // MINUTE, []).append(number)
    return {number for each in windows.values() for number in sorted(each, key=draw)[:n]}


STEPS = st.lists(
    st.one_of(st.tuples(st.integers(0, 119), st.integers(0, 1)), st.sampled_from(["write 0", "write 1", "die"])),
    max_size=50,
)


@settings(max_examples=40)
@given(n=st.integers(1, 4), seed=st.integers(0, 1000), steps=STEPS, kills=st.booleans())
def test_what_waits_is_the_best_of_each_window(n: int, seed: int, steps: list[Any], kills: bool) -> None:
    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with Database(sqlite_url(Path(folder))) as database:
                events = Events(structlog.wrap_logger(structlog.testing.CapturingLogger()))
                writer = Writer(JobQueue(database, FakeClock(START), events, "this"), n)
                await follow(writer, database, n, seed, steps, kills)

    asyncio.run(check())


async def follow(writer: Writer, database: Database, n: int, seed: int, steps: list[Any], kills: bool) -> None:
    """With kills every input goes into one record: what another one decided for is then never lost alone."""
    times: dict[int, float] = {}
    written: list[int] = []
    numbers = itertools.count(seed * 1000)
    for step in [*steps, "write 0", "write 1"]:
        if step == "die":
            if kills:
                await writer.live_again()
        elif isinstance(step, str):
            written += await writer.write(writer.records[int(step[-1])])
        else:
            number = next(numbers)
            times[number] = START + step[0]
            writer.take(number, times[number], writer.records[0 if kills else step[1]])
        ledger = await read_ledger(database)
        assert ledger.holds
        assert (ledger.total.matched, ledger.total.pending) == (len(written), len(await writer.waiting()))
        if not any(each.numbers for each in writer.records):
            assert await writer.waiting() == best(n, written, times)
    assert await writer.waiting() == best(n, written, times)


def test_every_input_has_the_same_chance() -> None:
    drawn = random.Random(7)
    trials, inputs, n = 2000, 20, 5
    kept: Counter[int] = Counter()
    for _ in range(trials):
        node = Node("reservoir", {"n": n, "window": "hour"})
        ids = [drawn.randbytes(16) for _ in range(inputs)]
        for each in ids:
            run_without_models(node.graph, Item(each, 0, "c", said("?"), said("!"), START), "$output")
        (memory,) = node.memories.opened()
        kept.update(position for position, each in enumerate(ids) if memory.get(f"{each.hex()}:0"))
    expected, deviation = trials * n / inputs, (trials * n / inputs * (1 - n / inputs)) ** 0.5
    assert kept.total() == trials * n
    assert all(abs(kept[position] - expected) < 4.5 * deviation for position in range(inputs)), kept


@pytest.fixture
async def room(jobs: JobQueue, database: Database, clock: FakeClock, events: Events) -> AsyncIterator[Room]:
    async with open_room(jobs, database, clock, events) as room:
        yield room


async def test_jobs_are_delivered_after_the_windows_end_and_then_no_other_takes_their_place(room: Room) -> None:
    start = room.clock.now() // MINUTE * MINUTE
    room.plan = plan([collector("c")])
    writer = Writer(room.jobs, 2)
    for number in range(20):
        writer.take(number, start + number, writer.records[0])
    await writer.write(writer.records[0])
    room.clock.advance(start + MINUTE + GRACE_SECONDS - room.clock.now() - 0.001)
    assert await room.jobs.lease(10, 60) == []
    assert await room.jobs.next_due() == start + MINUTE + GRACE_SECONDS
    room.later(0.001)
    ledger = await room.until(nothing_pending)
    assert (ledger.total.delivered, ledger.total.filtered) == (2, 18)
    late = min(range(20, 10_000), key=draw)
    assert writer.take(late, start + 1, writer.records[0]), "for all that memory knows it is among the best"
    await writer.write(writer.records[0])
    ledger = await room.until(nothing_pending)
    assert (ledger.total.delivered, ledger.total.filtered, ledger.total.matched) == (2, 19, 21)


async def test_a_job_that_was_tried_keeps_its_place_while_it_waits_to_be_tried_again(
    jobs: JobQueue, clock: FakeClock
) -> None:
    better, worse = sorted(range(2), key=draw)
    writer = Writer(jobs, 1)
    start = clock.now() // MINUTE * MINUTE
    writer.take(worse, start, writer.records[0])
    await writer.write(writer.records[0])
    clock.advance(2 * MINUTE)
    (job,) = await jobs.lease(1, 60)
    await jobs.settle([Settlement(job, Retry(clock.now() + 60, "unavailable"))])
    assert writer.take(better, start, writer.records[0])
    await writer.write(writer.records[0])
    assert await writer.waiting() == {worse}


async def test_an_older_window_than_the_last_two_is_over(jobs: JobQueue) -> None:
    writer = Writer(jobs, 1)
    first = writer.records[0]
    assert writer.take(1, START, first)
    assert writer.take(2, START + MINUTE, first)
    assert writer.take(3, START + 2 * MINUTE, first)
    late = min(range(20, 10_000), key=draw)
    assert not writer.take(late, START, first)
    assert writer.take(late, START + MINUTE, first)
    await writer.write(first)
    assert await writer.waiting() == {1, 3, late}
    ((place, entries),) = (await jobs.remembered(["c"])).items()
    assert (place.operator, len(entries)) == ("reservoir", 2)


async def test_fewer_than_before_take_the_place_of_more(jobs: JobQueue) -> None:
    writer = Writer(jobs, 5)
    ranked = sorted(range(100), key=draw)
    for number in ranked[10:]:
        writer.take(number, START, writer.records[0])
    await writer.write(writer.records[0])
    fewer = Node("reservoir", {"n": 2, "window": "minute"}, memories=writer.node.memories)
    writer.node = fewer
    assert writer.take(ranked[0], START, writer.records[0])
    await writer.write(writer.records[0])
    assert await writer.waiting() == {ranked[0], ranked[10]}


async def test_one_that_is_being_written_is_displaced_in_the_queue(jobs: JobQueue, database: Database) -> None:
    worse, better = sorted(range(2), key=draw, reverse=True)
    writer = Writer(jobs, 1)
    first, second = writer.records
    assert writer.take(worse, START, first)
    async with asyncio.TaskGroup() as writing:
        writing.create_task(writer.write(first))
        await asyncio.sleep(0)  # it has begun
        assert writer.take(better, START, second)
        writing.create_task(writer.write(second))
    assert await writer.waiting() == {better}
    ledger = await read_ledger(database)
    assert (ledger.total.matched, ledger.total.filtered) == (2, 1)


def problems_of(pre_queue: str, post_queue: str, *nodes: Any) -> list[str]:
    found = plan([collector(pre_queue_workflow_id=pre_queue, post_queue_workflow_id=post_queue)], Workflow("w", nodes))
    return [str(problem) for problem in found.problems]


def test_a_reservoir_stands_before_the_queue_and_once() -> None:
    params = {"n": 1, "window": "day"}
    one, two = (node(name, type_id="reservoir", params=params) for name in ("one", "two"))
    assert problems_of("w", "", one) == []
    assert problems_of("", "w", one) == [
        "collector kept: stands still: w holds jobs back in the queue, so it must be the pre_queue_workflow_id"
    ]
    (problem, _) = problems_of("w", "", one, two)
    assert "nodes[1].model.model_type_id: holds jobs back, as 'one' does: one is enough" in problem
