"""The engine as a child: whatever it does, and if the system will not start it, the relay tries again and can stop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from sidecar.events import Events
from sidecar.kit import logs
from sidecar.proxy.child import EngineProcess


@contextlib.asynccontextmanager
async def engine(*command: str) -> AsyncIterator[tuple[EngineProcess, asyncio.Queue[str], io.StringIO]]:
    said: asyncio.Queue[str] = asyncio.Queue()
    log = io.StringIO()
    child = EngineProcess(command, {}, (), Events(logs.configure("debug", log)), said.put_nowait)
    running = asyncio.create_task(child.run())
    try:
        yield child, said, log
    finally:
        await asyncio.wait_for(child.stop(5), 10)
        await asyncio.wait_for(running, 5)
        assert child.pid == 0


async def test_a_system_that_starts_no_engine_is_asked_again(tmp_path: Path) -> None:
    program = tmp_path / "engine"
    async with engine(str(program)) as (_, said, log):
        await asyncio.sleep(0)
        program.write_text("#!/bin/sh\necho ready now\nread line\n")
        program.chmod(0o700)
        assert await asyncio.wait_for(said.get(), 5) == "now"
        assert "engine could not be started" in log.getvalue()


async def test_a_long_line_is_no_fault() -> None:
    code = "import sys; print('x' * 300_000); print('ready after it', flush=True); sys.stdin.read()"
    async with engine(sys.executable, "-c", code) as (child, said, log):
        assert await asyncio.wait_for(said.get(), 5) == "after it"
        assert child.pid
        assert "engine died" not in log.getvalue()


async def test_an_engine_that_dies_is_started_again() -> None:
    async with engine("/bin/sh", "-c", "echo ready now; exit 3") as (_, said, log):
        for _ in range(2):
            await asyncio.wait_for(said.get(), 5)
        assert '"exit_code": 3' in log.getvalue()
