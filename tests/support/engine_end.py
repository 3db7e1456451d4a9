"""The engine's end of the link, as a small real server: keeps what arrives, says an index, gives receipts when told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from sidecar import frame
from sidecar.exchange import Exchange
from sidecar.frame import Index, Kind
from sidecar.passing import ModelName, decode_models


class EngineEnd:
    """Accepts on `listening`, which stays open when this engine stops: as with a real one."""

    def __init__(self, listening: socket.socket, *, index: Index | None = None, receipt: str = "taken") -> None:
        self._listening = listening
        self._index = index
        self._receipt = receipt
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self.writers: set[asyncio.StreamWriter] = set()
        self.exchanges: list[Exchange] = []
        self.counts: list[dict[str, int]] = []
        self.passing: list[ModelName] = []
        """As told: a name that is told twice stands here twice."""
        self.metrics_page: bytes | None = b"up 1\n"

    async def start(self) -> EngineEnd:
        self._server = await asyncio.start_unix_server(self._serve, sock=self._listening.dup())
        return self

    async def stop(self) -> None:
        """End as a killed engine does: the listening socket lives on."""
        self.cut()
        if self._server is not None:
            self._server.close()
        while self.writers:
            await self._next_change()

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    async def arrived(self, count: int) -> list[Exchange]:
        """The first `count` exchanges, when they are there."""
        while len(self.exchanges) < count:
            await self._next_change()
        return self.exchanges

    async def connected(self, count: int = 1) -> None:
        while len(self.writers) != count:
            await self._next_change()

    async def ask_counts(self, sequence: int = 1) -> dict[str, int]:
        already = len(self.counts)
        self.say(Kind.ASK_COUNTS, str(sequence))
        while len(self.counts) == already:
            await self._next_change()
        return self.counts[-1]

    def say(self, kind: Kind, text: str) -> None:
        for writer in self.writers:
            writer.write(frame.encode_text(kind, text))

    def acknowledge(self, receipts: Mapping[str, int]) -> None:
        self.say(Kind.ACK, frame.encode_counts(receipts))

    async def _next_change(self) -> None:
        self._changed.clear()
        async with asyncio.timeout(10):
            await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        self._changed.set()
        if self._index is not None:
            writer.write(frame.encode_text(Kind.INDEX, frame.encode_index(self._index)))
        frames = frame.FrameReader()
        try:
            while data := await reader.read(65536):
                for kind, payload in frames.feed(data):
                    self._received(kind, payload, writer)
                self._changed.set()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.writers.discard(writer)
            self._changed.set()

    def _received(self, kind: int, payload: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == Kind.EXCHANGE:
            self.exchanges.append(frame.decode_exchange(payload))
            if self._receipt:
                writer.write(frame.encode_text(Kind.ACK, f"{self._receipt} 1"))
        elif kind == Kind.COUNTS:
            self.counts.append(frame.decode_counts(payload.decode()))
        elif kind == Kind.PASSING:
            self.passing += decode_models(payload.decode())
        elif kind == Kind.ASK_METRICS and self.metrics_page is not None:
            writer.write(frame.encode_text(Kind.METRICS, payload.decode() + "\n" + self.metrics_page.decode()))
