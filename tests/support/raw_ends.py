"""Both ends of one conversation as bare sockets, with a relay between them or without.

What holds without the relay must hold with it. It runs on the test's own loop: whatever a test does to the sockets
between two awaits, the relay sees at once, in the order in which it was done.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sidecar.settings import Address
from support.relay_end import RelayEnd, relay_running

HEARD_SECONDS = 10.0


class RawEnd:
    """One end. `send`, `end`, `close` and `reset` happen at once; `hears` waits."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection

    def send(self, data: bytes) -> None:
        """Hand it to the system; it must fit."""
        assert self._socket.send(data) == len(data)

    def end(self) -> None:
        """Send FIN, and still hear."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """As a process does that ends: a reset when something unread is there, else FIN."""
        self._socket.close()

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    async def hears(self, count: int) -> bytes:
        heard = b""
        async with asyncio.timeout(HEARD_SECONDS):
            while len(heard) < count:
                piece = await asyncio.get_running_loop().sock_recv(self._socket, count - len(heard))
                if not piece:
                    raise EOFError(f"only {heard!r}")
                heard += piece
        return heard

    async def hears_to_the_end(self) -> tuple[bytes, str]:
        """All that was said, and how it ended: `fin` or `reset`."""
        heard = b""
        async with asyncio.timeout(HEARD_SECONDS):
            try:
                while piece := await asyncio.get_running_loop().sock_recv(self._socket, 1 << 16):
                    heard += piece
            except ConnectionError:
                return heard, "reset"
        return heard, "fin"


@dataclass
class RawEnds:
    client: RawEnd
    model: RawEnd
    relay: RelayEnd | None
    """None: the two are connected to each other."""

    async def settled(self) -> RelayEnd | None:
        """The relay, if there is one, once it has taken leave of the client and has its receipts."""
        if self.relay is not None:
            await self.relay.server._relay.all_closed()
            await self.relay.link.flushed()
        return self.relay


@contextlib.asynccontextmanager
async def raw_ends(*, relayed: bool = True) -> AsyncIterator[RawEnds]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        port = listening.getsockname()[1]
        async with contextlib.AsyncExitStack() as parts:
            relay = None
            if relayed:
                relay = await parts.enter_async_context(relay_running(None, upstream=Address("127.0.0.1", port)))
                port = relay.server.address.port
            client = parts.enter_context(socket.create_connection(("127.0.0.1", port)))
            model, _ = await asyncio.get_running_loop().sock_accept(listening)
            parts.enter_context(model)
            yield RawEnds(RawEnd(client), RawEnd(model), relay)
