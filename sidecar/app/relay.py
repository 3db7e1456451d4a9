"""The first relay: forwards, copies what is wanted, and keeps an engine and the further relays running beside it.

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
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

from sidecar.app.loop import give_memory_back_in_pieces, run_loop, spare_the_collector
from sidecar.app.signals import Stopping
from sidecar.errors import ConfigurationError, Problem
from sidecar.events import ENGINE_DEATHS, Events
from sidecar.kit import logs
from sidecar.kit.files import holder_of, locked
from sidecar.kit.streams import unblocked_streams
from sidecar.kit.tasks import Tasks
from sidecar.proxy.binding import Places, bind_places
from sidecar.proxy.child import ChildProcess, Told
from sidecar.proxy.counts import Counts
from sidecar.proxy.engine_socket import held_engine_socket, way_to_engine
from sidecar.proxy.link import CLOSE_SECONDS, Link
from sidecar.proxy.probes import Probes
from sidecar.proxy.server import FLUSH_SECONDS, RelayServer
from sidecar.proxy.workers import Inheritance, Surroundings, Workers
from sidecar.settings import PREFIX, Settings, load, to_environment

ENGINE_GRACE_SECONDS = 15.0
ENGINE_ANSWER_SECONDS = 5.0
"""How long an engine may take to say that it has heard SIGTERM. Its loop says so, while its disk may be as slow as it
likes: one whose loop stands still this long is hung, and would only be waited for."""
_SIDECAR = (sys.executable, "-m", "sidecar")
LOCK = "relay.lock"


def run_relay(options: Mapping[str, str], environment: Mapping[str, str]) -> int:
    """Run until SIGTERM or Ctrl-C; gives the exit code. Raises ConfigurationError before anything is started."""
    settings = load(options, environment)
    _raise_descriptor_limit()
    _open_closed_descriptors()
    give_memory_back_in_pieces()
    with (
        _alone_on(settings.data),
        held_engine_socket(settings.data) as engine,
        contextlib.closing(bind_places(settings.listen, settings.workers)) as places,
        unblocked_streams(),
    ):
        events = Events(logs.configure(settings.log_level, process="relay"))
        return run_loop(_serve(settings, to_environment(options, environment), events, places, engine))


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


def _relay_command(inherited: Inheritance) -> Sequence[str]:
    listening = ",".join(str(each) for each in inherited.listening)
    fds = ("--listen-fds", listening, "--counts-fd", str(inherited.counts), "--engine-fd", str(inherited.engine))
    return (*_SIDECAR, "relay", "--number", str(inherited.number), *fds)


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


async def _serve(
    settings: Settings,
    environment: Mapping[str, str],
    events: Events,
    places: Places,
    engine: tuple[socket.socket, int],
) -> int:
    async with _Process(settings, environment, events, places, engine).running() as process:
        await process.stopped()
    return 0


class _Process:
    """All parts of the first relay's process, joined."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        events: Events,
        places: Places,
        engine: tuple[socket.socket, int],
    ) -> None:
        self._settings = settings
        self._events = events
        self._tasks = Tasks(events.task_failed)
        self._stopping = Stopping(events, self._asked_to_stop, self._end_children)
        self._ends_at = 0.0
        self._announcement = ""
        self._is_announced = False
        self._counts = Counts()
        self._environment = dict(environment)
        listening, handle = engine
        self._link = Link(way_to_engine(settings.data, handle), self._counts, events, self._all_counts)
        self._server = RelayServer(settings, self._link, events, self._counts, bound=places.sockets[0])
        surroundings = Surroundings(_relay_command, self._environment, handle, events)
        self._workers = Workers(places, surroundings, self._server, self._announce)
        self._probes = Probes(lambda: self._server.is_ready, self._link.metrics, self._all_counts)
        command = (*_SIDECAR, "engine", "--link-fd", str(listening.fileno()))
        told = Told(events.engine_started, events.engine_died, events.engine_not_started)
        self._engine = ChildProcess(command, self._environment, (listening.fileno(),), told, self._engine_is_ready)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[_Process]:
        """Start everything, bottom-up; what was started is stopped top-down, also when a later part fails."""
        async with contextlib.AsyncExitStack() as parts:
            parts.callback(self._workers.close)
            parts.push_async_callback(self._tasks.stop)
            await self._link.start()
            parts.push_async_callback(self._link.stop)
            await self._server.start()
            parts.push_async_callback(self._server.stop)
            if self._settings.probes is not None:
                await self._probes.start(self._settings.probes)
                parts.push_async_callback(self._probes.stop)
            self._workers.start(self._tasks)
            self._tasks.start(self._engine.run(), "engine")
            self._stopping.listen()
            spare_the_collector()
            yield self

    def _all_counts(self) -> dict[str, int]:
        """Every relay's, and how often an engine has died, whether one lives or not."""
        died = self._events.counters.get(ENGINE_DEATHS)
        return {**self._workers.counts_with(self._counts), "engine_deaths_total": died}

    def _asked_to_stop(self, number: signal.Signals) -> None:
        longest = self._settings.drain_delay + self._settings.grace + FLUSH_SECONDS + CLOSE_SECONDS
        self._ends_at = asyncio.get_running_loop().time() + longest
        self._workers.ask_to_stop(number)

    def _end_children(self) -> None:
        self._workers.kill()
        self._engine.kill()

    def _engine_is_ready(self, said: str) -> None:
        """A later engine serves where the first one did."""
        if not self._announcement:
            self._environment[f"{PREFIX}ADMIN"] = said.removeprefix("admin=")
            self._announcement = f"ready listen={self._server.address} {said}\n"
            self._announce()

    def _announce(self) -> None:
        """Tell whoever started us where everything is, once, when all of it is there."""
        if self._announcement and self._workers.have_listened and not self._is_announced:
            self._is_announced = True
            sys.stdout.write(self._announcement)
            sys.stdout.flush()

    async def stopped(self) -> None:
        """Wait for a signal, then drain: traffic first, in all relays at once, then what the engine still has."""
        await self._stopping.wait()
        await self._server.drain(0.0 if self._stopping.is_hurried else None)
        await self._workers.stop(self._ends_at - asyncio.get_running_loop().time())
        await self._link.stop()
        if not await self._engine.stop(ENGINE_GRACE_SECONDS, ENGINE_ANSWER_SECONDS):
            self._events.engine_killed()
        self._events.stopped()
