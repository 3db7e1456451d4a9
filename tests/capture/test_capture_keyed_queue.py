"""The queue's promises: bounded bytes, turns between keys, the largest key pays, nothing lost twice or in silence."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.capture.keyed_queue import KeyedQueue

LIMIT = 100


class QueueMachine(RuleBasedStateMachine):
    """The queue beside a naive one: a list of entries for each key."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.queue: KeyedQueue[int] = KeyedQueue(LIMIT)
        self.held: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.count = 0

    def bytes_of(self, key: str) -> int:
        return sum(size for _, size in self.held[key])

    @rule(key=st.sampled_from("abcd"), size=st.integers(1, 60) | st.integers(90, 130))
    def put(self, key: str, size: int) -> None:
        self.count += 1
        lost = self.queue.put(key, self.count, size)
        self.held[key].append((self.count, size))
        for item in lost:
            assert sum(map(self.bytes_of, self.held)) > LIMIT
            largest = max(map(self.bytes_of, self.held))
            (payer,) = [name for name, entries in self.held.items() if item in dict(entries)]
            assert self.bytes_of(payer) == largest
            assert self.held[payer].pop(-1 if payer == key else 0)[0] == item

    @rule(max_items=st.integers(1, 6))
    @precondition(lambda self: any(self.held.values()))
    def get(self, max_items: int) -> None:
        batch = self.loop.run_until_complete(self.queue.get_batch(max_items))
        assert len(batch) == min(max_items, sum(map(len, self.held.values())))
        turns: Counter[str] = Counter()
        waiting = {key: len(entries) for key, entries in self.held.items()}
        for item in batch:
            (key,) = [name for name, entries in self.held.items() if entries and entries[0][0] == item]
            self.held[key].pop(0)
            turns[key] += 1
        for key, had in waiting.items():
            assert turns[key] >= min(had, max(turns.values()) - 1)

    @invariant()
    def sums_hold(self) -> None:
        assert len(self.queue) == sum(map(len, self.held.values()))
        assert self.queue.size_bytes == sum(map(self.bytes_of, self.held)) <= LIMIT
        assert self.queue.keys == sum(1 for entries in self.held.values() if entries)

    def teardown(self) -> None:
        self.loop.close()


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40)


async def test_keys_take_turns() -> None:
    queue: KeyedQueue[str] = KeyedQueue(1000)
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        assert not queue.put(item[0], item, 1)
    assert await queue.get_batch(4) == ["a1", "b1", "c1", "a2"]
    queue.put("d", "d1", 1)
    assert await queue.get_batch(9) == ["c2", "a3", "d1"]


async def test_the_loud_key_pays_for_the_quiet_one() -> None:
    queue: KeyedQueue[str] = KeyedQueue(10)
    for index in range(10):
        queue.put("loud", f"l{index}", 1)
    assert list(queue.put("quiet", "q", 3)) == ["l0", "l1", "l2"]
    assert list(queue.put("loud", "l10", 1)) == ["l10"]
    assert list(queue.put("new", "huge", 11)) == ["huge"]
    assert queue.size_bytes == 10


async def test_waiting_ends_with_the_first_put_and_with_close() -> None:
    queue: KeyedQueue[str] = KeyedQueue(10)
    waiting = asyncio.create_task(queue.get_batch(5))
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.put("a", "one", 1)
    assert await waiting == ["one"]
    waiting = asyncio.create_task(queue.get_batch(5))
    await asyncio.sleep(0)
    queue.close()
    assert await waiting == []


async def test_a_closed_queue_gives_what_is_left_and_takes_nothing() -> None:
    queue: KeyedQueue[str] = KeyedQueue(10)
    queue.put("a", "one", 1)
    queue.close()
    assert list(queue.put("a", "two", 1)) == ["two"]
    assert await queue.get_batch(5) == ["one"]
    assert await queue.get_batch(5) == []


async def test_keys_that_drained_leave_nothing_behind() -> None:
    queue: KeyedQueue[int] = KeyedQueue(10_000)
    for index in range(5000):
        queue.put(f"caller {index}", index, 1)
        await queue.get_batch(1)
    assert queue.keys == 0
    assert len(queue._largest_first) <= 100


async def gathering(queue: KeyedQueue[int], enough: int) -> asyncio.Task[list[int]]:
    """A reader for whom entries gather, with one there already."""
    queue.put("a", 1, 1)
    task = asyncio.create_task(queue.get_batch(enough, gather_seconds=600))
    await asyncio.sleep(0)
    return task


async def test_entries_gather_until_there_are_enough() -> None:
    queue: KeyedQueue[int] = KeyedQueue(100)
    waiting = await gathering(queue, 3)
    queue.put("a", 2, 1)
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.put("b", 3, 1)
    assert sorted(await asyncio.wait_for(waiting, 10)) == [1, 2, 3]


async def test_nothing_gathers_in_a_queue_that_is_half_full_or_closed() -> None:
    queue: KeyedQueue[int] = KeyedQueue(100)
    waiting = await gathering(queue, 100)
    queue.put("a", 2, 60)
    assert await asyncio.wait_for(waiting, 10) == [1, 2]
    waiting = await gathering(queue, 100)
    queue.close()
    assert await asyncio.wait_for(waiting, 10) == [1]


async def test_what_gathers_is_given_when_its_time_is_over() -> None:
    queue: KeyedQueue[int] = KeyedQueue(100)
    queue.put("a", 1, 1)
    assert await asyncio.wait_for(queue.get_batch(5, gather_seconds=0.01), 10) == [1]
