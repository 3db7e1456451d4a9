"""A blind byte relay: what comes in on one side is written to the other, and nothing else. A contestant.

The least that a proxy on this loop can do: no back-pressure, no reader, no copy, no count.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One of the two connections of a pair."""

    def __init__(self, other: Side | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Client(Side):
    """The client's side: what comes before the model's side is there waits for it."""

    def __init__(self, host: str, port: int, running: set[asyncio.Task[None]]) -> None:
        super().__init__()
        self._at = (host, port)
        self._running = running
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        task = asyncio.get_running_loop().create_task(self._connect())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
        else:
            super().data_received(data)

    async def _connect(self) -> None:
        _, self.other = await asyncio.get_running_loop().create_connection(lambda: Side(self), *self._at)
        super().data_received(bytes(self._early))


async def serve(upstream: str) -> None:
    name, _, number = upstream.rpartition(":")
    running: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(name, int(number), running), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"ready listen={host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
