"""A real NATS server of our own, with JetStream, on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

_SERVER = Path(sysconfig.get_path("scripts"), "nats-server")
_READY = b"Server is ready"
_STARTED_SECONDS = 20.0


class NatsServer:
    """One process; stopped and started again it has the same port and its streams."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self._folder = folder
        self._more = more
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.port = -1

    async def start(self) -> None:
        config = self._folder / "nats.conf"
        config.write_text(
            f'host: "127.0.0.1"\nport: {self.port}\njetstream {{ store_dir: "{self._folder / "js"}" }}\n{self._more}\n'
        )
        self._process = await asyncio.create_subprocess_exec(
            _SERVER, "-c", config, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        assert self._process.stderr is not None
        async with asyncio.timeout(_STARTED_SECONDS):
            await self._hear_until_ready(self._process.stderr)
        self._reading = asyncio.create_task(_drain(self._process.stderr))

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading
            self._reading = None

    async def _hear_until_ready(self, said: asyncio.StreamReader) -> None:
        heard = b""
        while line := await said.readline():
            heard += line
            if b"Listening for client connections on" in line:
                self.port = int(line.rsplit(b":", 1)[1])
            if _READY in line:
                return
        raise RuntimeError(heard.decode())


async def _drain(said: asyncio.StreamReader) -> None:
    while await said.read(1 << 16):
        pass


@contextlib.asynccontextmanager
async def nats_server(folder: Path, more: str = "") -> AsyncIterator[NatsServer]:
    """`more` is configuration in the server's own words."""
    server = NatsServer(folder, more)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
