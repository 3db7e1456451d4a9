"""A way through to a real server that can be closed, cut and blocked: the server's own outages, without stopping it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Passage:
    """Leads to 127.0.0.1:`server_port`; `port` is where it begins. Bytes pass both ways as they come."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._clear = asyncio.Event()
        self._clear.set()
        self._word = b""
        self._closes_on_answer = False
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listen no more, and cut what passes."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()

    def block(self) -> None:
        """Take everything, and pass nothing on."""
        self._clear.clear()

    def unblock(self) -> None:
        self._clear.set()

    def close_after(self, word: bytes) -> None:
        """Pass on what a client says up to `word`, and close when the server answers that: it has done what it was
        told, and the client does not know."""
        self._word = word

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._open |= {writer, back}
        ways = {asyncio.ensure_future(self._ask(reader, back)), asyncio.ensure_future(self._answer(there, writer))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in (writer, back):
                end.transport.abort()
            self._open -= {writer, back}
            self._clear.set()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _ask(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while said := await client.read(65536):
            await self._clear.wait()
            if self._word and self._word in said:
                self._word, self._closes_on_answer = b"", True
            server.write(said)
            await server.drain()

    async def _answer(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while said := await server.read(65536):
            await self._clear.wait()
            if self._closes_on_answer:
                self._closes_on_answer = False
                self.close()
                return
            client.write(said)
            await client.drain()


@asynccontextmanager
async def passage(server_port: int) -> AsyncIterator[Passage]:
    """An open one."""
    made = Passage(server_port)
    await made.open()
    try:
        yield made
    finally:
        made.unblock()
        made.close()
