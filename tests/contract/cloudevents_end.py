"""A real server that reads events with the CloudEvents SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

from support.event_sink import Reply, answering, event_sink

from contract.end import REFERENCE, End, Trouble
from sidecar.data import Data, Text


class BinaryEnd(End):
    kind = "cloudevents"
    mode: ClassVar[str] = "binary"
    events_of_one: ClassVar[int] = 1
    impatience: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 0.1}
    secret = "a-very-secret-token"

    async def start(self) -> None:
        self._running = AsyncExitStack()
        self._sink = await self._running.enter_async_context(event_sink())

    async def stop(self) -> None:
        await self._running.aclose()

    def options(self) -> Mapping[str, Any]:
        return {"url": self._sink.url, "mode": self.mode, "token": REFERENCE}

    async def stored(self) -> list[str]:
        """Those of which every event is there."""
        ids = [event.get_id() for event in self._sink.events()]
        return [each for each in dict.fromkeys(ids) if ids.count(each) == self.events_of_one]

    @asynccontextmanager
    async def refusing_one(self, input_id: str) -> AsyncIterator[None]:
        self._sink.refused.add(input_id)
        yield
        self._sink.refused.clear()

    def throttling(self) -> Trouble:
        return self._answering(answering(429, {"Retry-After": "7"}))

    def failing(self) -> Trouble:
        return self._answering(answering(502))

    def refusing(self) -> Trouble:
        return self._answering(answering(422))

    @asynccontextmanager
    async def locked_out(self) -> AsyncIterator[None]:
        self._sink.token = "another-token"
        yield
        self._sink.token = ""

    def hanging(self) -> Trouble:
        return self._answering(self._sink.hang)

    @asynccontextmanager
    async def too_small(self) -> AsyncIterator[Data]:
        self._sink.max_bytes = 50_000
        yield Data(text=Text("x" * 60_000))

    @asynccontextmanager
    async def going_away(self) -> AsyncIterator[None]:
        self._sink.script.append(self._sink.accept_and_leave)
        yield
        await self._sink.door.open()

    @asynccontextmanager
    async def _answering(self, reply: Reply) -> AsyncIterator[None]:
        self._sink.standing = reply
        yield
        self._sink.standing = None
        self._sink.released.set()


class StructuredEnd(BinaryEnd):
    mode = "structured"


class BatchedEnd(BinaryEnd):
    mode = "batched"


class KServeEnd(BinaryEnd):
    mode = "kserve"
    events_of_one = 2
