"""Where clients come in: the listening sockets, served while a pair of descriptors is left for one more client.

Without a descriptor for its connection to the model a client could only be turned away. So at the limit the sites are
closed and their sockets kept: who comes then waits in the kernel's queue, and is served when somebody leaves.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from sidecar.events import Events
from sidecar.kit.tasks import Tasks
from sidecar.proxy.binding import Sockets, bind
from sidecar.settings import Address

MOST_BACKLOG = 1024
RESERVED_DESCRIPTORS = 64
"""For what is not a client: the loop, the engine's pipes and sockets, the probes, the log."""
SAID_AGAIN_SECONDS = 60.0


def backlog_for(descriptors: int) -> int:
    """How many may wait to be accepted: all of them may be taken in one turn of the loop, before it can be told off."""
    return min(MOST_BACKLOG, max(1, descriptors // 16))


def most_pairs_for(descriptors: int) -> int:
    """How many clients `descriptors` are enough for, with room for a backlog that is taken at once."""
    return max(1, (descriptors - RESERVED_DESCRIPTORS) // 2 - backlog_for(descriptors))


def most_served(wanted: int | None, descriptors: int) -> int:
    """How many clients may be served at once: as many as are wanted, and never more than that."""
    most = most_pairs_for(descriptors)
    return most if wanted is None else min(wanted, most)


def descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


class _Site(web.BaseSite):
    """Serves a socket that its owner keeps."""

    __slots__ = ("socket",)

    def __init__(self, runner: web.ServerRunner, listening: socket.socket, backlog: int) -> None:
        super().__init__(runner, backlog=backlog)
        self.socket = listening

    @property
    def name(self) -> str:
        return str(self.socket.getsockname())

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        factory: Any = self._runner.server
        own: Any = {"sock": self.socket.dup(), "backlog": self._backlog}
        if self.socket.family != socket.AF_UNIX:
            self._server = await loop.create_server(factory, **own)
            return
        if sys.version_info >= (3, 13):
            own["cleanup_socket"] = False  # the path is still listened at when this site is closed
        self._server = await loop.create_unix_server(factory, **own)


class Listener:
    """Listens at `address` for `runner`: `start`, then `stop`."""

    def __init__(self, runner: web.ServerRunner, address: Address, events: Events, descriptors: int, most: int) -> None:
        """`most` clients are accepted, and as many more as one turn of the loop accepts."""
        self._runner = runner
        self._address = address
        self._events = events
        self._tasks = Tasks(events.task_failed)
        self._backlog = backlog_for(descriptors)
        self._most = most
        self._is_set = most < most_pairs_for(descriptors)
        self._sockets: list[socket.socket] = []
        self._sites: list[_Site] = []
        self._has_room = True
        self._changed = asyncio.Event()
        self._said_at = -SAID_AGAIN_SECONDS

    async def start(self, bound: Sockets = ()) -> Address:
        """Listen, at sockets that are bound already if there are any, and give the address. Raises OSError."""
        self._sockets += bound or bind(self._address)
        for listening in self._sockets:
            listening.listen(self._backlog)
        await self._serve(self._sockets)
        self._tasks.start(self._follow(), "listener")
        if self._address.path:
            return self._address
        return Address(self._address.host, self._sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Accept no more; who still waits to be accepted is reset. Safe twice."""
        await self._tasks.stop()
        await self._serve(())
        while self._sockets:
            self._sockets.pop().close()

    def adopt(self, sockets: Sockets) -> None:
        """Accept from these too: the relay that did is gone."""
        self._sockets += [each for each in sockets if each not in self._sockets]
        self._changed.set()

    def let_go(self, sockets: Sockets) -> None:
        """Leave them to their own relay again."""
        self._sockets = [each for each in self._sockets if each not in sockets]
        self._changed.set()

    def occupied(self, clients: int) -> None:
        """Told after every change: how many clients are connected."""
        has_room = clients < self._most
        if has_room is not self._has_room:
            self._has_room = has_room
            self._changed.set()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not self._has_room:
                self._say_full()
            await self._serve(self._sockets if self._has_room else ())

    def _say_full(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._said_at > SAID_AGAIN_SECONDS:
            self._said_at = now
            self._events.connections_full(self._most, "--max-connections" if self._is_set else "open files")

    async def _serve(self, sockets: Iterable[socket.socket]) -> None:
        """Accept from these and from no other."""
        wanted = tuple(sockets)
        for site in tuple(self._sites):
            if site.socket not in wanted:
                self._sites.remove(site)
                await site.stop()
        served = {site.socket for site in self._sites}
        for listening in wanted:
            if listening not in served:
                self._sites.append(site := _Site(self._runner, listening, self._backlog))
                await site.start()
