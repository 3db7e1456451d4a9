"""The engine's process as its relay sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from sidecar.proxy.child import READY, STOPPING
from sidecar.proxy.engine_socket import held_engine_socket

SETTINGS = {"SIDECAR_ADMIN": "127.0.0.1:0", "SIDECAR_POLICIES": "."}


async def test_it_says_that_it_hears_that_it_is_to_stop(tmp_path: Path) -> None:
    """One that does not is taken for hung, and killed before its time."""
    with held_engine_socket(tmp_path) as (listening, _):
        link = listening.fileno()
        engine = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", "engine", "--link-fd", str(link), cwd=tmp_path, pass_fds=[link],
            env=os.environ | SETTINGS | {"SIDECAR_DATA": str(tmp_path)}, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert engine.stdout is not None
        async with asyncio.timeout(60):
            assert (await engine.stdout.readline()).startswith(READY.encode())
            engine.send_signal(signal.SIGTERM)
            assert await engine.stdout.read() == f"{STOPPING}\n".encode()
            assert await engine.wait() == 0
