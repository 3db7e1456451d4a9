"""The relay: forwards, copies what is wanted, and keeps an engine running beside it.

Promises that it listens before any engine is ready, that no fault of the engine stops it, and that SIGTERM takes the
steps of the design in order: not ready, accept a while longer, let open exchanges end, flush, let the engine drain.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from sidecar.app.loop import run_loop, spare_the_collector
from sidecar.errors import ConfigurationError, Problem
from sidecar.events import Events
from sidecar.kit import logs
from sidecar.kit.files import holder_of, locked
from sidecar.kit.streams import unblocked_streams
from sidecar.kit.tasks import Tasks
from sidecar.proxy.child import EngineProcess
from sidecar.proxy.counts import Counts
from sidecar.proxy.engine_socket import engine_socket_path, forget_engine_socket, listen_for_engine
from sidecar.proxy.link import Link
from sidecar.proxy.probes import Probes
from sidecar.proxy.server import RelayServer
from sidecar.settings import PREFIX, Settings, load, to_environment

ENGINE_GRACE_SECONDS = 15.0
LOCK = "relay.lock"


def run_relay(options: Mapping[str, str], environment: Mapping[str, str]) -> int:
    """Run until SIGTERM or Ctrl-C; gives the exit code. Raises ConfigurationError before anything is started."""
    settings = load(options, environment)
    _raise_descriptor_limit()
    _open_closed_descriptors()
    with _alone_on(settings.data), _listening_for_engine(settings.data) as listening, unblocked_streams():
        events = Events(logs.configure(settings.log_level, process="relay"))
        return run_loop(_serve(settings, to_environment(options, environment), events, listening))


@contextlib.contextmanager
def _alone_on(data: Path) -> Iterator[None]:
    """Be the only sidecar on this data folder: a second one would take the first one's engine away."""
    lock = data / LOCK
    with contextlib.ExitStack() as held:
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.enter_context(locked(lock, waits=False))
        except BlockingIOError:
            message = f"{data} is in use by process {holder_of(lock)}: stop that one or name another folder"
            raise ConfigurationError(Problem(message, field="--data")) from None
        except OSError as error:
            raise ConfigurationError(Problem(f"{data} cannot be used: {error.strerror}", field="--data")) from error
        yield


@contextlib.contextmanager
def _listening_for_engine(data: Path) -> Iterator[socket.socket]:
    with contextlib.closing(listen_for_engine(data)) as listening:
        try:
            yield listening
        finally:
            forget_engine_socket(data)


def _open_closed_descriptors() -> None:
    """Standard streams that our parent closed lead nowhere, instead of to the first socket that takes their number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
            os.set_inheritable(descriptor, True)


def _raise_descriptor_limit() -> None:
    """Each client takes two descriptors; systems start processes with far fewer than they allow."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(settings: Settings, environment: Mapping[str, str], events: Events, listening: socket.socket) -> int:
    async with _Process(settings, environment, events, listening).running() as process:
        await process.stopped()
    return 0


class _Process:
    """All parts of the relay's process, joined."""

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], events: Events, listening: socket.socket
    ) -> None:
        self._settings = settings
        self._events = events
        self._tasks = Tasks(events.task_failed)
        self._stopping = asyncio.Event()
        self._is_hurried = False
        self._is_announced = False
        self._counts = Counts()
        self._link = Link(engine_socket_path(settings.data), self._counts, events)
        self._server = RelayServer(settings, self._link, events, self._counts)
        self._probes = Probes(lambda: self._server.is_ready, self._link.metrics, self._counts.as_dict)
        self._environment = dict(environment)
        command = (sys.executable, "-m", "sidecar", "engine", "--link-fd", str(listening.fileno()))
        self._engine = EngineProcess(command, self._environment, (listening.fileno(),), events, self._engine_is_ready)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[_Process]:
        """Start everything, bottom-up; what was started is stopped top-down, also when a later part fails."""
        async with contextlib.AsyncExitStack() as parts:
            parts.push_async_callback(self._tasks.stop)
            await self._link.start()
            parts.push_async_callback(self._link.stop)
            await self._server.start()
            parts.push_async_callback(self._server.stop)
            if self._settings.probes is not None:
                await self._probes.start(self._settings.probes)
                parts.push_async_callback(self._probes.stop)
            self._tasks.start(self._engine.run(), "engine")
            self._listen_to_signals()
            spare_the_collector()
            yield self

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            self._engine.kill()
            os._exit(128 + number)  # the second one means now
        self._events.stopping(number.name)
        self._is_hurried = number == signal.SIGINT  # a person at a terminal: no load balancer has to learn of it
        self._stopping.set()

    def _engine_is_ready(self, said: str) -> None:
        """Tell whoever started us where everything is, once; a later engine serves where the first one did."""
        if not self._is_announced:
            self._is_announced = True
            self._environment[f"{PREFIX}ADMIN"] = said.removeprefix("admin=")
            sys.stdout.write(f"ready listen={self._server.address} {said}\n")
            sys.stdout.flush()

    async def stopped(self) -> None:
        """Wait for a signal, then drain: traffic first, then what the engine still has."""
        await self._stopping.wait()
        await self._server.drain(0.0 if self._is_hurried else None)
        await self._link.stop()
        await self._engine.stop(ENGINE_GRACE_SECONDS)
        self._events.stopped()
