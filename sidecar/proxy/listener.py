"""Where clients come in: the listening sockets, served while a pair of descriptors is left for one more client.

Without a descriptor for its connection to the model a client could only be turned away. So at the limit the sites are
closed and their sockets kept: who comes then waits in the kernel's queue, and is served when somebody leaves.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from sidecar.events import Events
from sidecar.kit.tasks import Tasks
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


def descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


class _Site(web.BaseSite):
    """Serves a socket that its owner keeps."""

    __slots__ = ("_socket",)

    def __init__(self, runner: web.ServerRunner, listening: socket.socket, backlog: int) -> None:
        super().__init__(runner, backlog=backlog)
        self._socket = listening

    @property
    def name(self) -> str:
        return str(self._socket.getsockname())

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        factory: Any = self._runner.server
        own: Any = {"sock": self._socket.dup(), "backlog": self._backlog}
        if self._socket.family != socket.AF_UNIX:
            self._server = await loop.create_server(factory, **own)
            return
        if sys.version_info >= (3, 13):
            own["cleanup_socket"] = False  # the path is still listened at when this site is closed
        self._server = await loop.create_unix_server(factory, **own)


class Listener:
    """Listens at `address` for `runner`: `start`, then `stop`."""

    def __init__(self, runner: web.ServerRunner, address: Address, events: Events, descriptors: int) -> None:
        self._runner = runner
        self._address = address
        self._events = events
        self._tasks = Tasks(events.task_failed)
        self._backlog = backlog_for(descriptors)
        self._most_pairs = most_pairs_for(descriptors)
        self._sockets: list[socket.socket] = []
        self._has_room = True
        self._room_changed = asyncio.Event()
        self._said_at = -SAID_AGAIN_SECONDS

    async def start(self) -> Address:
        """Listen, and give the bound address. Raises OSError."""
        for listening in _bound(self._address):
            self._sockets.append(listening)
            listening.listen(self._backlog)
        await self._open()
        self._tasks.start(self._follow(), "listener")
        if self._address.path:
            return self._address
        return Address(self._address.host, self._sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Accept no more; who still waits to be accepted is reset. Safe twice."""
        await self._tasks.stop()
        await self._shut()
        while self._sockets:
            self._sockets.pop().close()

    def occupied(self, pairs: int) -> None:
        """Told after every change: how many clients are connected."""
        has_room = pairs < self._most_pairs
        if has_room is not self._has_room:
            self._has_room = has_room
            self._room_changed.set()

    async def _follow(self) -> None:
        while True:
            await self._room_changed.wait()
            self._room_changed.clear()
            if not self._has_room:
                self._say_full()
                await self._shut()
            elif not self._runner.sites:
                await self._open()

    def _say_full(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._said_at > SAID_AGAIN_SECONDS:
            self._said_at = now
            self._events.connections_full(self._most_pairs)

    async def _open(self) -> None:
        for listening in self._sockets:
            await _Site(self._runner, listening, self._backlog).start()

    async def _shut(self) -> None:
        for site in self._runner.sites:
            await site.stop()


def _bound(address: Address) -> Iterator[socket.socket]:
    if address.path:
        yield _bound_path(address.path)
        return
    port = address.port
    flags = socket.AI_PASSIVE
    for family, kind, protocol, _, place in dict.fromkeys(
        socket.getaddrinfo(address.host or None, port, type=socket.SOCK_STREAM, flags=flags)
    ):
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setblocking(False)
            bound.bind((place[0], port, *place[2:]))
        except OSError:
            bound.close()
            raise
        port = bound.getsockname()[1]  # any free one was asked for: the same for every address of the host
        yield bound


def _bound_path(path: str) -> socket.socket:
    if stat.S_ISSOCK(_mode(path)):
        Path(path).unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.bind(path)
    except OSError:
        bound.close()
        raise
    return bound


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 - `path` may be an abstract name, which is no path
    except (OSError, ValueError):
        return 0
