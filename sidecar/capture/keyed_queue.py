"""The async queue between the link and matching, keyed by caller and model version.

Promises: never more than `limit_bytes` of entries; `put` never waits; keys are served in turn, so that one loud caller
does not delay the others; when full, the key that holds the most bytes pays; every entry that went in comes out once or
is counted as lost once; a key that drained leaves nothing behind. For one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import sys
from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class _Lane(Generic[T]):
    """One key's entries, oldest first."""

    __slots__ = ("entries", "size_bytes")

    def __init__(self) -> None:
        self.entries: deque[tuple[T, int]] = deque()
        self.size_bytes = 0


class KeyedQueue(Generic[T]):
    """Entries of type T under any hashable key."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lanes: OrderedDict[Hashable, _Lane[T]] = OrderedDict()
        self._largest_first: list[tuple[int, int, Hashable]] = []
        self._is_ranked = False
        self._puts = 0
        self._count = 0
        self._size_bytes = 0
        self._is_closed = False
        self._wanted = sys.maxsize
        self._is_enough = asyncio.Event()

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    @property
    def keys(self) -> int:
        """How many keys hold entries."""
        return len(self._lanes)

    def put(self, key: Hashable, item: T, size_bytes: int) -> Sequence[T]:
        """Add `item` and return the entries that were lost for it, itself included; a closed queue loses it.

        When full, the key that holds the most bytes loses its oldest entry; when that key is the newcomer's own, the
        newcomer is lost instead.
        """
        if self._is_closed:
            return (item,)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        lane.entries.append((item, size_bytes))
        lane.size_bytes += size_bytes
        self._size_bytes += size_bytes
        self._count += 1
        if self._is_ranked:
            self._rank(key, lane)
        if self._count >= self._wanted or self._size_bytes > self._limit_bytes // 2:
            self._is_enough.set()
        return self._shrink(key) if self._size_bytes > self._limit_bytes else ()

    async def get_batch(self, max_items: int, gather_seconds: float = 0.0) -> list[T]:
        """Up to `max_items` entries, one of each key in turn; waits for the first. Empty: closed and drained.

        Lets entries gather for `gather_seconds` more, unless there are `max_items` or the queue is half full or closed.
        """
        while not self._lanes:
            if self._is_closed:
                return []
            await self._wait_for(1)
        if gather_seconds and not self._is_closed:
            await self._gather(max_items, gather_seconds)
        batch: list[T] = []
        while self._lanes and len(batch) < max_items:
            if len(self._lanes) == 1:
                batch += self._take_alone(max_items - len(batch))
            else:
                batch.append(self._take_next())
        if self._is_ranked and self._size_bytes < self._limit_bytes // 2:
            self._is_ranked = False
            self._largest_first.clear()
        return batch

    async def _gather(self, enough: int, seconds: float) -> None:
        if self._count >= enough or self._size_bytes > self._limit_bytes // 2:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wait_for(enough)

    async def _wait_for(self, count: int) -> None:
        """Until there are so many entries, or the queue is half full or closed."""
        self._is_enough.clear()
        self._wanted = count
        try:
            await self._is_enough.wait()
        finally:
            self._wanted = sys.maxsize

    def _take_next(self) -> T:
        """The oldest entry of the key whose turn it is."""
        key, lane = next(iter(self._lanes.items()))
        item, size_bytes = lane.entries.popleft()
        self._resize(lane, -size_bytes, -1)
        if lane.entries:
            self._lanes.move_to_end(key)
        else:
            del self._lanes[key]
        return item

    def _take_alone(self, most: int) -> list[T]:
        """Up to `most` entries of the only key."""
        ((key, lane),) = self._lanes.items()
        if len(lane.entries) <= most:
            del self._lanes[key]
            taken, size_bytes = list(lane.entries), lane.size_bytes
        else:
            taken = [lane.entries.popleft() for _ in range(most)]
            size_bytes = sum(size for _, size in taken)
        self._resize(lane, -size_bytes, -len(taken))
        return [item for item, _ in taken]

    def close(self) -> None:
        """Take nothing more in; what is left can still be got."""
        self._is_closed = True
        self._is_enough.set()

    def _resize(self, lane: _Lane[T], size_bytes: int, count: int) -> None:
        lane.size_bytes += size_bytes
        self._size_bytes += size_bytes
        self._count += count

    def _shrink(self, newcomer: Hashable) -> list[T]:
        """Back to the limit at the cost of the largest keys; ends with the newcomer if its key is the largest."""
        lost: list[T] = []
        while self._size_bytes > self._limit_bytes:
            key = self._largest()
            lane = self._lanes[key]
            item, size_bytes = lane.entries.pop() if key == newcomer else lane.entries.popleft()
            self._resize(lane, -size_bytes, -1)
            if not lane.entries:
                del self._lanes[key]
            lost.append(item)
        return lost

    def _rank(self, key: Hashable, lane: _Lane[T]) -> None:
        """Note a key's growth. A shrunken key keeps its old, too high rank until `_largest` meets it."""
        self._puts += 1
        heapq.heappush(self._largest_first, (-lane.size_bytes, self._puts, key))
        if len(self._largest_first) > 2 * len(self._lanes) + 64:
            self._rank_all()

    def _rank_all(self) -> None:
        self._puts += len(self._lanes)  # a later rank never has an earlier one's number, so that keys are not compared
        self._largest_first = [(-lane.size_bytes, n, key) for n, (key, lane) in enumerate(self._lanes.items())]
        heapq.heapify(self._largest_first)

    def _largest(self) -> Hashable:
        """The key that holds the most bytes; the queue must not be empty. Keys are ranked from when they are first
        compared until the queue is less than half full: while there is room, nobody asks."""
        if not self._is_ranked:
            self._is_ranked = True
            self._rank_all()
        while True:
            rank, order, key = self._largest_first[0]
            lane = self._lanes.get(key)
            if lane is None:
                heapq.heappop(self._largest_first)
            elif lane.size_bytes == -rank:
                return key
            else:
                heapq.heapreplace(self._largest_first, (-lane.size_bytes, order, key))
