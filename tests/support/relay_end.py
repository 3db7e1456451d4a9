"""A whole relay on real sockets: a model that does what a test says, the relay before it, an engine's end behind it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.events import Events
from sidecar.frame import Index
from sidecar.kit import logs
from sidecar.proxy.counts import Counts
from sidecar.proxy.engine_socket import engine_socket_path, listen_for_engine
from sidecar.proxy.link import Link
from sidecar.proxy.server import RelayServer
from sidecar.settings import Address, Settings
from support.engine_end import EngineEnd

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PREDICT = b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: model\r\n"


def predict(body: bytes = b'{"inputs":[]}', headers: bytes = b"") -> bytes:
    """A whole predict call."""
    return PREDICT + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def answer(body: bytes = b'{"outputs":[]}', status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    """A whole answer."""
    return b"HTTP/1.1 " + status + b"\r\n" + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Model:
    """A model server of raw bytes: `serve` has each connection; one that ends closes it."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def start(self, path: str = "", host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Address:
        if path:
            self._server = await asyncio.start_unix_server(self._accept, path)
            return Address(path=path)
        self._server = await asyncio.start_server(self._accept, host, 0, ssl=tls)
        return Address(host, self._server.sockets[0].getsockname()[1], is_tls=tls is not None)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def always(said: bytes) -> Serve:
    """Answers every request that has a Content-Length with `said`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await read_request(reader)
                writer.write(said)

    return serve


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.partition(b":")[2]))
    return head


@dataclass
class RelayEnd:
    """What a test holds in its hands."""

    server: RelayServer
    link: Link
    counts: Counts
    engine: EngineEnd
    log: io.StringIO
    model: Model

    async def connect(
        self, tls: ssl.SSLContext | None = None, *, limit: int = 1 << 16
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.server.address.path:
            return await asyncio.open_unix_connection(self.server.address.path, ssl=tls, limit=limit)
        address = self.server.address
        return await asyncio.open_connection(address.host, address.port, ssl=tls, limit=limit)

    async def talk(self, pieces: Sequence[bytes], *, then_fin: bool = True) -> bytes:
        """Send `pieces`, each by itself, and read until the other side ends."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        if then_fin:
            writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(-1), 10)
        finally:
            writer.close()

    def check_counts(self) -> None:
        """What must hold at every moment."""
        counts = self.counts
        assert counts.seen == counts.unwanted + counts.taken + sum(counts.lost.values()) + counts.open
        assert min(counts.copying, counts.outstanding, counts.open) >= 0

    @property
    def held_bytes(self) -> int:
        return self.server._relay.capture.held_bytes


@contextlib.asynccontextmanager
async def relay_running(
    serve: Serve | None,
    *,
    index: Index | None = None,
    receipt: str = "taken",
    max_body: int = 1 << 20,
    relay_memory: int = 8 << 20,
    caller_header: str = "x-caller-id",
    engine_starts: bool = True,
    drain_delay: float = 0.0,
    grace: float = 5.0,
    uses_unix: bool = False,
    upstream: Address | None = None,
    model_host: str = "127.0.0.1",
    model_tls: ssl.SSLContext | None = None,
    **settings: Any,
) -> AsyncIterator[RelayEnd]:
    """`serve` None: nobody listens where the model should be. `uses_unix`: Unix sockets on both sides. `upstream`:
    a model server of the test's own, in place of `serve`. `settings` are further ones, or say otherwise."""
    folder = tempfile.TemporaryDirectory()
    data = Path(folder.name)
    log = io.StringIO()
    events = Events(logs.configure("debug", log))
    model = Model(serve or always(b""))
    served = await model.start(str(data / "model.sock") if uses_unix else "", model_host, model_tls)
    if serve is None:
        await model.stop()
    with folder:
        read = Settings(
            **{
                "upstream": upstream or served,
                "listen": Address(path=str(data / "in.sock")) if uses_unix else Address("127.0.0.1", 0),
                "max_body": max_body,
                "relay_memory": relay_memory,
                "caller_header": caller_header,
                "drain_delay": drain_delay,
                "grace": grace,
                **settings,
            }
        )
        listening = listen_for_engine(data)
        counts = Counts()
        engine = EngineEnd(listening, index=index, receipt=receipt)
        link = Link(engine_socket_path(data), counts, events)
        server = RelayServer(read, link, events, counts)
        if engine_starts:
            await engine.start()
        await link.start()
        await server.start()
        end = RelayEnd(server, link, counts, engine, log, model)
        try:
            yield end
        finally:
            await server.stop()
            await link.stop()
            await engine.stop()
            await model.stop()
            listening.close()
            end.check_counts()
            assert counts.copying == 0
            assert counts.connections_open == 0
            assert end.held_bytes == 0
