"""Where collected rows come in, on a free address, with the queue behind it: the real site, without the rest."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sidecar.capture.arrival import decode_arrival
from sidecar.capture.ingest import Ingest
from sidecar.capture.ingest_site import IngestSite
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.capture.receiver import TAKEN, Captured
from sidecar.data import to_wire
from sidecar.events import Events
from sidecar.kit import logs
from sidecar.kit.addresses import Address
from sidecar.kit.clock import SystemClock
from sidecar.protocol.call import Call

ROOT = Path(__file__).parents[2]
RUN_SECONDS = 30


class RowsEnd:
    """An open site. `calls` gives what came, as the intake would read it, and gives each its receipt."""

    def __init__(self, join_seconds: float = 0.0, body_bytes: int = 2**20, all_bytes: int = 2**24) -> None:
        self.log = io.StringIO()
        self.events = Events(logs.configure("info", self.log))
        self.queue: KeyedQueue[Captured] = KeyedQueue(2**26)
        self.ingest = Ingest(self.queue, self.events, 2**24, join_seconds)
        self.site = IngestSite(self.ingest, self.events, SystemClock(), "default", body_bytes, all_bytes)

    @property
    def address(self) -> str:
        return self.site.address

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def calls(self, count: int) -> list[tuple[Captured, Call]]:
        """The next `count` exchanges."""
        found: list[tuple[Captured, Call]] = []
        async with asyncio.timeout(RUN_SECONDS):
            while len(found) < count:
                for captured in await self.queue.get_batch(count - len(found)):
                    found.append((captured, decode_arrival(captured.arrival)))
                    captured.connection.acknowledge(TAKEN)
        return found

    async def rows(self, count: int) -> list[list[dict[str, Any]]]:
        """The rows of the next `count` exchanges, as objects."""
        return [[row_of(to_wire(data)) for data in call.inputs] for _, call in await self.calls(count)]


def row_of(wire: dict[str, Any]) -> dict[str, Any]:
    return {tensor["name"]: tensor["value"] for tensor in wire["tensors"]}


@contextlib.asynccontextmanager
async def rows_end(address: Address | None = None, **options: Any) -> AsyncIterator[RowsEnd]:
    end = RowsEnd(**options)
    await end.site.open(address or Address("127.0.0.1", 0))
    try:
        yield end
    finally:
        await end.site.close()
        end.ingest.end()


async def run_scoring(
    script: str, *, folder: Path, interpreter: str = sys.executable, **environment: str
) -> tuple[int, str, str]:
    """Run `script` as scoring code in `folder`, with nothing else set; gives exit code, output and errors."""
    (folder / "score.py").write_text(script)
    return await run_command([interpreter, "-W", "error", "score.py"], folder=folder, **environment)


async def run_command(command: list[str], *, folder: Path, **environment: str) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    out, errors = await asyncio.wait_for(child.communicate(), RUN_SECONDS)
    return child.returncode or 0, out.decode(), errors.decode()
