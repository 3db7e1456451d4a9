"""A process of ours as the relay's child: started, started again with back-off when it dies, stopped.

Owns the child process and nothing of what it does. Promises that the relay never waits for it, that a dead child is
said and counted, and that a child whose parent is gone ends at once: its standard input is a pipe that only this
process holds open. The child says `ready …` on its standard output, and `stopping` when it has heard that it is to
stop; its log goes where ours goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from sidecar.events import CANNOT_START

FIRST_BACK_OFF_SECONDS = 0.1
FIRST_BACK_OFF_OF_A_FAULT_SECONDS = 5.0
"""After an end that only a person can mend."""
LONGEST_BACK_OFF_SECONDS = 30.0
STEADY_SECONDS = 60.0
READY = "ready "
STOPPING = "stopping"
_READ_BYTES = 4096


class Told(NamedTuple):
    """The events of one kind of child."""

    started: Callable[[int], None]
    """With its process id."""
    died: Callable[[int, float], None]
    """With its exit code, and in how many seconds it is started again."""
    not_started: Callable[[OSError, float], None]
    """The system would not; the same seconds."""


class ChildProcess:
    """Keeps one child running. `run` returns only after `stop` or `kill`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        pass_fds: Sequence[int],
        told: Told,
        on_ready: Callable[[str], None],
        on_gone: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_ready` hears what each child says with its `ready`; `on_gone` is called after each one's end."""
        self._command = command
        self._environment = environment
        self._pass_fds = pass_fds
        self._told = told
        self._on_ready = on_ready
        self._on_gone = on_gone
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._heard = asyncio.Event()
        self._gone = asyncio.Event()

    @property
    def pid(self) -> int:
        """The running child's process id; 0 when there is none."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else 0

    async def run(self) -> None:
        """Start the child, and again whenever it dies, until `stop`."""
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
                    self._told.died(exit_code, back_off)
                await _within(self._stopping.wait(), back_off)
                back_off = min(back_off * 2, LONGEST_BACK_OFF_SECONDS)
        finally:
            self._gone.set()
            self._heard.set()

    async def _start_and_wait(self, back_off: float) -> int | None:
        """The child's exit code; None when the system would not start it, as when memory or descriptors run out."""
        try:
            exit_code = await self._run_once()
        except OSError as error:
            self._told.not_started(error, back_off)
            return None
        self._on_gone()
        return exit_code

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(self._environment),
            pass_fds=tuple(self._pass_fds),
            start_new_session=True,  # a terminal's Ctrl-C is for the first relay, which stops its children in its turn
        )
        self._process = process
        self._told.started(process.pid)
        if self._stopping.is_set():  # while it was being started: nobody else will tell it
            self._signal(signal.SIGTERM)
        if process.stdout is not None:
            await self._listen_to(process.stdout)
        return await process.wait()

    async def _listen_to(self, said: asyncio.StreamReader) -> None:
        """Hear what it says, and read on until it ends: a full pipe would hold it, a long line is no fault."""
        rest = b""
        while data := await said.read(_READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-_READ_BYTES:]
            for line in lines:
                self._hear(line.decode(errors="replace").strip())

    def _hear(self, line: str) -> None:
        if line.startswith(READY):
            self._on_ready(line.removeprefix(READY))
        elif line == STOPPING:
            self._heard.set()

    def ask_to_stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask the child to end, and start no other."""
        self._stopping.set()
        self._signal(number)

    async def stop(self, grace_seconds: float, answer_seconds: float | None = None) -> bool:
        """Ask the child to drain and end; kill it after `grace_seconds`, or after `answer_seconds` without a word that
        it heard. True when it ended by itself. Safe twice."""
        if not self._stopping.is_set():
            self.ask_to_stop()
        ends_at = asyncio.get_running_loop().time() + grace_seconds
        hears = answer_seconds is None or await _within(self._heard.wait(), min(answer_seconds, grace_seconds))
        if hears and await _within(self._gone.wait(), ends_at - asyncio.get_running_loop().time()):
            return True
        self.kill()
        await self._gone.wait()
        return False

    def end(self) -> None:
        """SIGKILL the child that runs now; the next one is started as after any death."""
        self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """End the child at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


async def _within(work: Awaitable[object], seconds: float) -> bool:
    """Whether `work` ended in time."""
    try:
        async with asyncio.timeout(seconds):  # `wait_for` may take a cancellation for the end of the work
            await work
    except TimeoutError:
        return False
    return True
