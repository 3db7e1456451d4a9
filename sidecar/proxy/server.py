"""The relay's front door: its listener, its readiness, and how it stops.

aiohttp's low-level server carries the listener and is given our protocol in place of its own. Draining follows what a
load balancer does: it learns from readiness that this instance is going, while new connections are still served; then
idle connections are closed, open exchanges end within the grace, and what is left is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from functools import partial
from typing import Any, NoReturn

from aiohttp import web

from sidecar.errors import ConfigurationError, Problem
from sidecar.events import Events
from sidecar.kit.clock import Clock, SystemClock
from sidecar.proxy.admit import Admission
from sidecar.proxy.binding import Sockets
from sidecar.proxy.capture import Capture
from sidecar.proxy.certificates import listener_tls, upstream_tls
from sidecar.proxy.connecting import Connector
from sidecar.proxy.counts import Counts
from sidecar.proxy.doorway import Doorway
from sidecar.proxy.link import Link
from sidecar.proxy.listener import Listener, descriptor_limit, most_served
from sidecar.proxy.relay import Downstream, Relay, Upstream
from sidecar.proxy.timeouts import Timeouts
from sidecar.proxy.tls_upstream import TlsUpstream
from sidecar.settings import Settings

FLUSH_SECONDS = 5.0
DESCRIPTORS_OF_A_WORKER = 8
"""What the first relay holds for each other one: its sockets, pipes and counts."""


class _Server(web.Server):
    """aiohttp's server with our protocol: it is only ever asked for one a connection."""

    def __init__(self, doorway: Doorway) -> None:
        super().__init__(_no_handler)
        self._doorway = doorway

    def __call__(self) -> Any:  # noqa: ANN401 - aiohttp names its own protocol, the loop takes any
        return self._doorway.arrival()


async def _no_handler(request: web.BaseRequest) -> NoReturn:
    raise NotImplementedError("the relay reads no request")


class RelayServer:
    """One relay: `start`, then `drain` (or `stop`), each safe twice."""

    def __init__(
        self,
        settings: Settings,
        link: Link,
        events: Events,
        counts: Counts,
        clock: Clock | None = None,
        *,
        bound: Sockets = (),
    ) -> None:
        """`bound`: sockets that it listens at, where they are not bound by itself.

        Raises ConfigurationError with every fault of the certificates.
        """
        clock = clock or SystemClock()
        self._settings = settings
        self._bound = bound
        self._link = link
        self._events = events
        capture = Capture(
            Admission(settings.caller_header, link.passes),
            link,
            counts,
            clock,
            limit_bytes=settings.relay_memory // settings.workers,
            max_body_bytes=settings.max_body,
        )
        self._connector = Connector(settings, upstream_tls(settings, events, clock), events, clock)
        self._relay = Relay(self._connector, TlsUpstream if settings.upstream.is_tls else Upstream, capture, events)
        self._descriptors = descriptor_limit() - DESCRIPTORS_OF_A_WORKER * (settings.workers - 1)
        self._most = most_served(settings.max_connections, self._descriptors)
        serve = partial(Downstream, self._relay)
        self._doorway = Doorway(serve, listener_tls(settings, events, clock), counts, events, self._most)
        self._relay.occupied = self._doorway.served
        self._timeouts = Timeouts(
            self._relay.connections,
            events,
            clock,
            idle_seconds=settings.idle_timeout,
            head_seconds=settings.head_timeout,
        )
        self._runner: web.ServerRunner | None = None
        self._listener: Listener | None = None
        self._stopping = asyncio.Event()
        self.address = settings.listen
        """Where it listens; the port is the bound one once started."""
        self.is_ready = False

    async def start(self) -> None:
        """Listen. Raises ConfigurationError when the address cannot be had."""
        self._runner = web.ServerRunner(_Server(self._doorway))
        await self._runner.setup()
        self._listener = Listener(self._runner, self.address, self._events, self._descriptors, self._most)
        self._doorway.occupied = self._listener.occupied
        try:
            self.address = await self._listener.start(self._bound)
        except OSError as error:
            await self._close_listener()
            raise ConfigurationError(Problem(f"cannot listen at {self.address}: {error}", field="--listen")) from error
        self._relay.tasks.start(self._timeouts.run(), "timeouts")
        self.is_ready = True
        self._events.relay_listening(str(self.address), str(self._settings.upstream))

    def adopt(self, sockets: Sockets) -> None:
        """Accept at another relay's sockets too while that one is gone; nothing once this one accepts no more."""
        if self._listener is not None:
            self._listener.adopt(sockets)

    def let_go(self, sockets: Sockets) -> None:
        """That relay is back."""
        if self._listener is not None:
            self._listener.let_go(sockets)

    async def drain(self, delay_seconds: float | None = None) -> None:
        """The way down after SIGTERM; `stop` cuts it short. New connections are accepted for `delay_seconds` more, by
        default as long as the settings say."""
        self.is_ready = False
        delay = self._settings.drain_delay if delay_seconds is None else delay_seconds
        await _within(self._stopping.wait(), delay)
        await self._close_listener()
        self._relay.is_draining = True
        for connection in tuple(self._relay.connections):
            connection.close_if_idle()
        await _within(self._relay.all_closed(), self._settings.grace)
        await self._cut()
        if not self._stopping.is_set():
            await _within(self._link.flushed(), FLUSH_SECONDS)
        await self.stop()

    async def stop(self) -> None:
        """End at once: connections are reset."""
        self.is_ready = False
        self._stopping.set()
        await self._close_listener()
        await self._cut()
        await self._relay.tasks.stop()
        await self._connector.stop()

    async def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        runner, self._runner = self._runner, None
        if listener is not None:
            await listener.stop()
        if runner is not None:
            await runner.cleanup()
        self._doorway.close()

    async def _cut(self) -> None:
        for connection in tuple(self._relay.connections):
            connection.abort()
        await self._relay.all_closed()


async def _within(work: Awaitable[object], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # `wait_for` may take a cancellation for the end of the work
            await work
