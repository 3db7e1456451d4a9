"""The further relays beside the first one: each a child process with its own listening sockets, link and counts.

Owns those processes, and for each what outlives it: the sockets, which the first relay accepts from while their own
relay is gone, and the counts, which are read from memory that both share. Promises that a relay that dies or hangs is
replaced, that nobody who waits to be accepted by it is turned away, and that nothing it had counted leaves the sums.
The clients that it served are cut off with it, which nothing can mend.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from sidecar.events import Events
from sidecar.kit.tasks import Tasks
from sidecar.proxy import shared_counts
from sidecar.proxy.binding import Places, Sockets
from sidecar.proxy.child import ChildProcess, Told
from sidecar.proxy.counts import Counts
from sidecar.proxy.server import RelayServer

LOOK_SECONDS = 10.0
"""How often the first relay looks whether the others go on: one that did nothing from one look to the next is hung."""


class Inheritance(NamedTuple):
    """What a further relay gets from the first one: its number, which is 2 for the first of them, and descriptors."""

    number: int
    listening: tuple[int, ...]
    counts: int
    engine: int
    """See `engine_socket.way_to_engine`."""


class Surroundings(NamedTuple):
    """What all further relays are started with."""

    command: Callable[[Inheritance], Sequence[str]]
    environment: Mapping[str, str]
    engine: int
    events: Events


class Worker:
    """One further relay, and those that replace it."""

    def __init__(
        self,
        number: int,
        sockets: Sockets,
        surroundings: Surroundings,
        stand_in: RelayServer | None,
        on_ready: Callable[[], None],
    ) -> None:
        """`stand_in` accepts at `sockets` while this relay is gone. Raises OSError when there are no descriptors."""
        self._number = number
        self._sockets = sockets
        self._events = surroundings.events
        self._stand_in = stand_in
        self._is_stood_in_for = False
        self._on_ready = on_ready
        self._held = contextlib.ExitStack()
        page = shared_counts.new_page()
        self._held.callback(os.close, page)
        self._cells = self._held.enter_context(shared_counts.opened(page))
        self._gone: dict[str, int] = {}
        self._lost = 0
        self._last_pulse = 0
        self._is_stopping = False
        self.deaths = 0
        self.has_listened = False
        inherited = Inheritance(number, tuple(each.fileno() for each in sockets), page, surroundings.engine)
        descriptors = [each for each in (*inherited.listening, page, inherited.engine) if each >= 0]
        self.process = ChildProcess(
            surroundings.command(inherited),
            surroundings.environment,
            descriptors,
            Told(self._started, self._died, self._not_started),
            self._is_ready,
            self._is_gone,
        )

    def counts(self) -> dict[str, int]:
        """What this relay and those before it in its place have counted."""
        total = dict(self._gone)
        shared_counts.add(total, shared_counts.read(self._cells))
        return total

    def ask_to_stop(self, number: signal.Signals) -> None:
        """Ask it to drain and end. From here on it alone has its sockets, so that clients are refused once it does."""
        self._is_stopping = True
        self.process.ask_to_stop(number)
        if not self._is_stood_in_for:
            for each in self._sockets:
                each.close()

    def look(self) -> None:
        """End a relay that has not gone on since the last look; one that stops, or has not yet begun, is left alone."""
        seen, self._last_pulse = self._last_pulse, shared_counts.pulse(self._cells)
        if seen and seen == self._last_pulse and not self._is_stopping:
            self._last_pulse = 0
            self._events.worker_hung(self._number)
            self.process.end()

    async def stop(self, seconds: float) -> None:
        """Wait for its end, and end it after `seconds`."""
        if not await self.process.stop(seconds):
            self._events.worker_killed(self._number)

    def close(self) -> None:
        self._held.close()

    def _started(self, pid: int) -> None:
        self._events.worker_started(self._number, pid)

    def _not_started(self, error: OSError, back_off_seconds: float) -> None:
        self._events.worker_not_started(self._number, error, back_off_seconds)

    def _is_ready(self, _: str) -> None:
        self.has_listened = True
        if self._stand_in is not None and self._is_stood_in_for:
            self._stand_in.let_go(self._sockets)
            self._is_stood_in_for = False
        self._on_ready()

    def _is_gone(self) -> None:
        counted = shared_counts.take(self._cells)
        self._lost = counted[shared_counts.RELAY_DIED]
        shared_counts.add(self._gone, counted)

    def _died(self, exit_code: int, back_off_seconds: float) -> None:
        self.deaths += 1
        if self._stand_in is not None and not self._is_stood_in_for:
            self._stand_in.adopt(self._sockets)
            self._is_stood_in_for = True
        self._events.worker_died(self._number, exit_code, back_off_seconds, self._lost)


class Workers:
    """All further relays; there may be none."""

    def __init__(
        self, places: Places, surroundings: Surroundings, first: RelayServer, on_ready: Callable[[], None]
    ) -> None:
        """Each of `places` but the first, which `first` has. `on_ready`: told each time when one listens."""
        stand_in = None if places.is_shared else first
        self._all = [
            Worker(number, sockets, surroundings, stand_in, on_ready)
            for number, sockets in enumerate(places.sockets[1:], start=2)
        ]

    @property
    def have_listened(self) -> bool:
        """True once every one has."""
        return all(worker.has_listened for worker in self._all)

    def start(self, tasks: Tasks) -> None:
        for worker in self._all:
            tasks.start(worker.process.run(), "relay worker")
        if self._all:
            tasks.start(self._keep_looking(), "look at the relay workers")

    async def _keep_looking(self) -> NoReturn:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """End every relay that has not gone on since the last look: it is replaced as one that died."""
        for worker in self._all:
            worker.look()

    def counts_with(self, own: Counts) -> dict[str, int]:
        """The sum of all relays since this process started, the first one's being `own`; `relays` is how many run."""
        total = own.as_dict()
        for worker in self._all:
            shared_counts.add(total, worker.counts())
        total["relays"] = 1 + sum(bool(worker.process.pid) for worker in self._all)
        total["worker_deaths_total"] = sum(worker.deaths for worker in self._all)
        return total

    def ask_to_stop(self, number: signal.Signals) -> None:
        """Ask all to drain, as this process is asked to; none is replaced from now on."""
        for worker in self._all:
            worker.ask_to_stop(number)

    async def stop(self, seconds: float) -> None:
        """Wait until all have ended; who has not after `seconds` is."""
        await asyncio.gather(*(worker.stop(seconds) for worker in self._all))

    def kill(self) -> None:
        for worker in self._all:
            worker.process.kill()

    def close(self) -> None:
        """Give back what was held for them; they have ended."""
        for worker in self._all:
            worker.close()
