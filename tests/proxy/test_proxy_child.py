"""A process as a child: whatever it does, and if the system will not start it, the relay tries again and can stop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.events import Events
from sidecar.kit import logs
from sidecar.proxy.child import ChildProcess, Told

HEARS = """
import os, signal, sys, time
def drain(*_):
    os.write(1, b"stopping\\n")
    time.sleep({seconds})
    sys.exit()
signal.signal(signal.SIGTERM, {handler})
os.write(1, b"ready x\\n")
while True: signal.pause()
"""

DRAINS_ONCE = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"ready asked again\\n"))
signal.signal(signal.SIGINT, lambda *_: (os.write(1, b"ready asked\\n"), signal.setitimer(signal.ITIMER_REAL, 0.5)))
os.write(1, b"ready x\\n")
while True: signal.pause()
"""


@dataclass
class Child:
    """A child with what it said, what was logged of it, and how often one was gone."""

    process: ChildProcess
    said: asyncio.Queue[str]
    gone: asyncio.Queue[None]
    log: io.StringIO = field(default_factory=io.StringIO)

    async def is_ready(self) -> str:
        return await asyncio.wait_for(self.said.get(), 5)


@contextlib.asynccontextmanager
async def child(*command: str) -> AsyncIterator[Child]:
    said: asyncio.Queue[str] = asyncio.Queue()
    gone: asyncio.Queue[None] = asyncio.Queue()
    log = io.StringIO()
    events = Events(logs.configure("debug", log))
    told = Told(events.engine_started, events.engine_died, events.engine_not_started)
    process = ChildProcess(command, {}, (), told, said.put_nowait, lambda: gone.put_nowait(None))
    running = asyncio.create_task(process.run())
    try:
        yield Child(process, said, gone, log)
    finally:
        await asyncio.wait_for(process.stop(5), 10)
        await asyncio.wait_for(running, 5)
        assert process.pid == 0


async def test_a_system_that_starts_no_child_is_asked_again(tmp_path: Path) -> None:
    program = tmp_path / "engine"
    async with child(str(program)) as it:
        await asyncio.sleep(0)
        program.write_text("#!/bin/sh\necho ready now\nread line\n")
        program.chmod(0o700)
        assert await it.is_ready() == "now"
        assert "engine could not be started" in it.log.getvalue()


async def test_a_long_line_is_no_fault() -> None:
    code = "import sys; print('x' * 300_000); print('ready after it', flush=True); sys.stdin.read()"
    async with child(sys.executable, "-c", code) as it:
        assert await it.is_ready() == "after it"
        assert it.process.pid
        assert "engine died" not in it.log.getvalue()


async def test_a_child_that_dies_is_started_again() -> None:
    async with child("/bin/sh", "-c", "echo ready now; exit 3") as it:
        for _ in range(2):
            await it.is_ready()
            await asyncio.wait_for(it.gone.get(), 5)
        assert '"exit_code": 3' in it.log.getvalue()


async def test_a_child_that_hears_that_it_is_to_stop_has_all_its_grace() -> None:
    async with child(sys.executable, "-c", HEARS.format(handler="drain", seconds=2)) as it:
        await it.is_ready()
        assert await asyncio.wait_for(it.process.stop(60, 1.5), 10)


async def test_a_child_that_does_not_hear_is_not_waited_for() -> None:
    async with child(sys.executable, "-c", HEARS.format(handler="signal.SIG_IGN", seconds=0)) as it:
        await it.is_ready()
        assert not await asyncio.wait_for(it.process.stop(60, 0.05), 10)
        assert it.process.pid == 0


async def test_a_child_that_hears_and_does_not_end_is_killed_after_its_grace() -> None:
    async with child(sys.executable, "-c", HEARS.format(handler="drain", seconds=600)) as it:
        await it.is_ready()
        assert not await asyncio.wait_for(it.process.stop(0.5), 10)
        assert it.process.pid == 0


async def test_a_child_that_was_asked_to_stop_is_not_asked_again() -> None:
    """To a relay the second signal means now."""
    async with child(sys.executable, "-c", DRAINS_ONCE) as it:
        await it.is_ready()
        it.process.ask_to_stop(signal.SIGINT)
        assert await asyncio.wait_for(it.process.stop(60), 10)
        assert await it.is_ready() == "asked"
        assert it.said.empty()
