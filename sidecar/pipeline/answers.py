"""What models have answered, by what they were asked about which input: one input never asks the same model twice.

Two collectors' workflows share an answer, and so do a workflow before the queue and one after it, and a job's next
lease. Bounded in bytes, in memory alone: what is let go, or lost with the engine, is asked again. A refusal is an
answer too; that a model is away is not, but who asks meanwhile hears the same.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sidecar.data import Data
from sidecar.errors import SidecarError, TransientError
from sidecar.protocol.asked import RefusedError

MEMORY_BYTES = 16 * 2**20
ENTRY_BYTES = 1024
"""What an entry costs besides its content."""


class Learned(NamedTuple):
    """A model's answer, and about how many bytes of memory it takes."""

    answer: Data | RefusedError
    size_bytes: int


class _Flight:
    """A question that is being asked."""

    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.end: Learned | SidecarError | None = None
        """None when whoever asked was cut off: the next one asks."""


class Answers:
    """Remembers the newest ones that fit."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._size_bytes = 0
        self._known: OrderedDict[bytes, Learned] = OrderedDict()
        self._flying: dict[bytes, _Flight] = {}

    async def get(self, key: bytes, ask: Callable[[], Awaitable[Learned]]) -> Data:
        """The answer under `key`, asked for once at most. Raises what `ask` raises, or the RefusedError it learned."""
        while True:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return _answer(known)
            flight = self._flying.get(key)
            if flight is None:
                return _answer(await self._ask(key, ask))
            await flight.landed.wait()
            if flight.end is not None:
                return _answer(flight.end)

    async def _ask(self, key: bytes, ask: Callable[[], Awaitable[Learned]]) -> Learned:
        flight = self._flying[key] = _Flight()
        try:
            learned = await ask()
            flight.end = learned
        except TransientError as error:
            flight.end = error
            raise
        finally:
            del self._flying[key]
            flight.landed.set()
        self._keep(key, learned)
        return learned

    def _keep(self, key: bytes, learned: Learned) -> None:
        size = learned.size_bytes + ENTRY_BYTES
        if size > self._memory_bytes:
            return
        self._known[key] = learned
        self._size_bytes += size
        while self._size_bytes > self._memory_bytes:
            _, oldest = self._known.popitem(last=False)
            self._size_bytes -= oldest.size_bytes + ENTRY_BYTES


def _answer(end: Learned | SidecarError) -> Data:
    found = end.answer if isinstance(end, Learned) else end
    if isinstance(found, Data):
        return found
    raise found
