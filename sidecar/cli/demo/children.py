"""The demo's child processes: started, awaited until they say that they are ready, and stopped in order.

A child says so itself, in one line on stdout (`ready listen=127.0.0.1:41234 …`): nobody polls and no port is guessed.
Its stderr goes to a file, shown when something fails. Each child has a session of its own, so that Ctrl-C reaches
the demo alone and the order of the stop is the demo's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from sidecar.errors import SidecarError

READY_SECONDS = 30.0
STOP_SECONDS = 15.0
LOG_LINES = 20


class DemoError(SidecarError):
    """The demo cannot go on; the message is what a person is shown."""


def first_error(group: BaseExceptionGroup[DemoError]) -> DemoError:
    """The first of the errors that a group of tasks ended with."""
    first = group.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first


def read_ready(line: str) -> dict[str, str] | None:
    """The addresses in `ready name=address …`; None when the line is another."""
    first, *rest = line.split() or [""]
    return dict(part.split("=", 1) for part in rest if "=" in part) if first == "ready" else None


@contextlib.asynccontextmanager
async def child(
    name: str, module: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[dict[str, str]]:
    """Run `python -m module…` and give the addresses it announces; on the way out it is stopped and awaited.

    Raises DemoError with the end of its log when it ends, or says nothing, before it is ready.
    """
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *module,
            stdout=asyncio.subprocess.PIPE, stderr=file, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        yield await _ready(name, process, log)
    finally:
        await _stop(process)


async def _ready(name: str, process: asyncio.subprocess.Process, log: Path) -> dict[str, str]:
    try:
        async with asyncio.timeout(READY_SECONDS):
            addresses = await _read_until_ready(process)
    except TimeoutError:
        raise DemoError(f"{name} was not ready within {READY_SECONDS:g} s{end_of(log)}") from None
    if addresses is None:
        raise DemoError(f"{name} ended with exit code {await process.wait()} before it was ready{end_of(log)}")
    return addresses


async def _read_until_ready(process: asyncio.subprocess.Process) -> dict[str, str] | None:
    """The announced addresses; None when the child closed its stdout without."""
    if process.stdout is None:
        return None
    async for line in process.stdout:
        addresses = read_ready(line.decode(errors="replace"))
        if addresses is not None:
            return addresses
    return None


async def _stop(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, wait; SIGKILL to the whole session when it does not end in time."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


def end_of(log: Path) -> str:
    """The last lines of a child's log, to stand behind a message; blank when it logged nothing."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f", the end of {log.name}:", *lines]) if lines else ""
