"""What nodes remember, on disk: in the transaction of what it led to, in any order, until its collector is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.faults import rename

from sidecar.memory import Change, Entry, Memories, Memory, Place
from sidecar.queue.jobs import JobQueue
from sidecar.queue.values import Filtered, NewJob, Settlement
from sidecar.store.database import Database

PLACE = Place("kept", "w", "n", "first-n")
JOB = NewJob("0" * 32, 0, "kept", "", "m", "", b"{}")


def counted(memory: Memory, times: int, at: float = 1.0) -> list[Change]:
    return [change for _ in range(times) for change in memory.put(Entry("x", at), 10)]


async def times_on_disk(queue: JobQueue) -> dict[str, int]:
    found = await queue.remembered(["kept"])
    return {entry.name: entry.times for entry in found.get(PLACE, ())}


async def test_changes_are_written_in_any_order_and_add_up(queue: JobQueue) -> None:
    memory = Memory(PLACE)
    first, second = counted(memory, 2, at=5.0), counted(memory, 3, at=9.0)
    await queue.record([], {}, second)
    await queue.record([], {}, first)
    assert await queue.remembered(["kept"]) == {PLACE: [Entry("x", 9.0, 5)]}
    assert memory.get("x") == Entry("x", 9.0, 5)


async def test_what_is_forgotten_and_put_again_in_one_batch_is_new(queue: JobQueue) -> None:
    memory = Memory(PLACE)
    await queue.record([], {}, counted(memory, 3))
    changes = [memory.forget("x"), *counted(memory, 1), memory.forget("x"), *counted(memory, 2)]
    await queue.record([], {}, changes)
    assert await times_on_disk(queue) == {"x": 2}
    await queue.record([], {}, [*counted(memory, 1), memory.forget("x")])
    assert await times_on_disk(queue) == {}


async def test_nothing_is_remembered_of_what_was_not_recorded(queue: JobQueue, database: Database) -> None:
    memory = Memory(PLACE)
    await rename(database, "job", "gone")
    assert not await queue.record([JOB], {}, counted(memory, 1))
    assert len(memory) == 0
    await rename(database, "gone", "job")
    assert await queue.record([JOB], {}, counted(memory, 1))
    assert await times_on_disk(queue) == {"x": 1}


async def test_a_settlement_whose_lease_passed_on_is_not_remembered(queue: JobQueue) -> None:
    memory = Memory(PLACE)
    await queue.record([JOB], {})
    (job,) = await queue.lease(1, 60)
    late = Settlement(job._replace(leased_until=1.0), Filtered(), changes=tuple(counted(memory, 1)))
    await queue.settle([late])
    assert len(memory) == 0
    assert await times_on_disk(queue) == {}
    await queue.settle([late._replace(job=job, changes=tuple(counted(memory, 1)))])
    assert await times_on_disk(queue) == {"x": 1}


@pytest.mark.parametrize("how", ["deleted", "not known at start"])
async def test_what_a_collectors_nodes_remember_goes_with_it(queue: JobQueue, how: str) -> None:
    other = PLACE._replace(collector="other")
    await queue.record([], {}, [*counted(Memory(PLACE), 1), *counted(Memory(other), 1)])
    if how == "deleted":
        await queue.drop_pending("kept")
    else:
        await queue.forget_others(["other", "a third"])
    assert await queue.remembered(["kept", "other"]) == {other: [Entry("x", 1.0)]}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.booleans()), max_size=30))
def test_what_is_given_back_leaves_no_trace(puts: list[tuple[str, int, bool]]) -> None:
    """As if only the others had been put: in a memory that forgets nothing for want of room."""
    memory, meant = Memory(PLACE), Memory(PLACE)
    for name, at, is_dropped in puts:
        changes = memory.put(Entry(name, at), 10)
        if is_dropped:
            for change in reversed(changes):
                change.give_back()
        else:
            meant.put(Entry(name, at), 10)
    assert {name: _times(memory, name) for name in "abc"} == {name: _times(meant, name) for name in "abc"}


def _times(memory: Memory, name: str) -> int:
    entry = memory.get(name)
    return entry.times if entry else 0


def test_a_memory_of_another_kind_is_not_mistaken() -> None:
    class Other(Memory):
        pass

    memories = Memories()
    memories.of(PLACE, Memory)
    with pytest.raises(TypeError, match="is a Memory, not a Other"):
        memories.of(PLACE, Other)


def test_only_known_collectors_are_remembered() -> None:
    memories = Memories()
    memories.load({PLACE: [Entry("x")], PLACE._replace(collector="other"): [Entry("x")]})
    memories.keep_only(["kept"])
    assert len(memories.of(PLACE, Memory)) == 1
    assert len(memories.of(PLACE._replace(collector="other"), Memory)) == 0
    memories.keep_only([])
    assert len(memories.of(PLACE, Memory)) == 0
