"""The engine as the relay's child: started, started again with back-off when it dies, stopped last.

Owns the child process and nothing of what it does. Promises that the relay never waits for it, that a dead engine is
said and counted, and that a child whose parent is gone ends at once: its standard input is a pipe that only this
process holds open. The child says `ready …` on its standard output; its log goes where ours goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence

from sidecar.events import CANNOT_START, Events

FIRST_BACK_OFF_SECONDS = 0.1
FIRST_BACK_OFF_OF_A_FAULT_SECONDS = 5.0
"""After an end that only a person can mend."""
LONGEST_BACK_OFF_SECONDS = 30.0
STEADY_SECONDS = 60.0
READY = "ready "
_READ_BYTES = 4096


class EngineProcess:
    """Keeps one engine running. `run` returns only after `stop`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        pass_fds: Sequence[int],
        events: Events,
        on_ready: Callable[[str], None],
    ) -> None:
        self._command = command
        self._environment = environment
        self._pass_fds = pass_fds
        self._events = events
        self._on_ready = on_ready
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._gone = asyncio.Event()

    @property
    def pid(self) -> int:
        """The running engine's process id; 0 when there is none."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else 0

    async def run(self) -> None:
        """Start the engine, and again whenever it dies, until `stop`."""
        back_off = FIRST_BACK_OFF_SECONDS
        loop = asyncio.get_running_loop()
        try:
            while not self._stopping.is_set():
                started = loop.time()
                exit_code = await self._start_and_wait(back_off)
                if self._stopping.is_set():
                    break
                if loop.time() - started > STEADY_SECONDS:
                    back_off = FIRST_BACK_OFF_SECONDS
                if exit_code == CANNOT_START:
                    back_off = max(back_off, FIRST_BACK_OFF_OF_A_FAULT_SECONDS)
                if exit_code is not None:
                    self._events.engine_died(exit_code, back_off)
                await self._wait_for_stop(back_off)
                back_off = min(back_off * 2, LONGEST_BACK_OFF_SECONDS)
        finally:
            self._gone.set()

    async def _start_and_wait(self, back_off: float) -> int | None:
        """The engine's exit code; None when the system would not start it, as when memory or descriptors run out."""
        try:
            return await self._run_once()
        except OSError as error:
            self._events.engine_not_started(error, back_off)
            return None

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(self._environment),
            pass_fds=tuple(self._pass_fds),
            start_new_session=True,  # a terminal's Ctrl-C is for the relay, which stops the engine in its turn
        )
        self._process = process
        self._events.engine_started(process.pid)
        if process.stdout is not None:
            await self._listen_to(process.stdout)
        return await process.wait()

    async def _listen_to(self, said: asyncio.StreamReader) -> None:
        """Hear `ready …`, and read on until the engine ends: a full pipe would hold it, a long line is no fault."""
        rest = b""
        while data := await said.read(_READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-_READ_BYTES:]
            for line in lines:
                text = line.decode(errors="replace").strip()
                if text.startswith(READY):
                    self._on_ready(text.removeprefix(READY))

    async def _wait_for_stop(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def stop(self, grace_seconds: float) -> None:
        """Ask the engine to drain and end; kill it after `grace_seconds`. Safe twice."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._gone.wait(), grace_seconds)
        except TimeoutError:
            self.kill()
            await self._gone.wait()

    def kill(self) -> None:
        """End the engine at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
