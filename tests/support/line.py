"""A line to a real server: it carries bytes both ways, and can be cut, muted, or left with nobody at its end."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

LEFT_SECONDS = 10.0


class Line:
    """Listens on 127.0.0.1, over TLS if it is given any; `port` stays the same as long as it is there."""

    def __init__(self, server_port: int, tls: ssl.SSLContext | None = None) -> None:
        self._server_port = server_port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Event()
        self._heard.set()
        self._cut_at = b""
        self.port = 0
        self.connections = 0
        """How many have been made."""
        self.said = bytearray()
        """By all clients."""
        self._more = asyncio.Event()

    async def open(self) -> None:
        """Take connections again."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def mute(self) -> None:
        """Say nothing more to the client until `unmute`; what it says still arrives."""
        self._heard.clear()

    def unmute(self) -> None:
        self._heard.set()

    def cut_at(self, needle: bytes) -> None:
        """Pass `needle` on and be gone for good, before its answer."""
        self._cut_at = needle

    def cut(self) -> None:
        """Drop all connections and take none, until `open`."""
        self._cut_at = b""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def left(self) -> None:
        """Wait until every client has hung up."""
        async with asyncio.timeout(LEFT_SECONDS):
            await asyncio.gather(*self._tasks)

    async def connected(self) -> None:
        """Wait until there has been a connection."""
        async with asyncio.timeout(LEFT_SECONDS):
            while not self.connections:
                self._more.clear()
                await self._more.wait()

    async def heard(self, count: int) -> None:
        """Wait until clients have said at least so many bytes."""
        async with asyncio.timeout(LEFT_SECONDS):
            while len(self.said) < count:
                self._more.clear()
                await self._more.wait()

    async def close(self) -> None:
        self.unmute()
        self.cut()
        await asyncio.gather(*self._tasks)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._more.set()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            self._tasks.discard(task)
            return
        writers = {writer, far_writer}
        self._writers |= writers
        try:
            await asyncio.gather(self._up(reader, far_writer), self._down(far_reader, writer))
        finally:
            self._writers -= writers
            for each in writers:
                each.transport.abort()
            self._tasks.discard(task)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                self.said += data
                self._more.set()
                writer.write(data)
                await writer.drain()
                if self._cut_at and self._cut_at in data:
                    self.mute()
                    writer.close()
                    await writer.wait_closed()
                    self.cut()
                    self.unmute()
        writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._heard.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def line_to(server_port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    line = Line(server_port, tls)
    await line.open()
    try:
        yield line
    finally:
        await line.close()
