"""The relay: one client connection paired with one connection to the model, bytes both ways as they come.

Promises that no byte is added, dropped or changed, that each read is written to the other side before anything looks at
it, that a slow side slows the other one down instead of filling memory, that FIN is passed as FIN and a reset as a
reset. Only when the model cannot be reached does the relay speak for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import cast

from sidecar.events import Events
from sidecar.kit.tasks import Tasks
from sidecar.proxy.refusal import Refusal
from sidecar.proxy.sockets import pass_fin, pause, reset, resume
from sidecar.proxy.tap import Capture
from sidecar.proxy.watch import Watch
from sidecar.settings import Address

CONNECT_SECONDS = 10.0


class Relay:
    """What all connections share: where the model is, and who is connected."""

    def __init__(self, upstream: Address, capture: Capture, events: Events) -> None:
        self.upstream = upstream
        self.capture = capture
        self.counts = capture.counts
        self.events = events
        self.tasks = Tasks(events.task_failed)
        self.connections: set[Downstream] = set()
        self.occupied: Callable[[int], None] = lambda _: None
        """Told how many clients are connected, after every change."""
        self.is_draining = False
        self._is_upstream_refusing = False
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    async def connect(self, make: Callable[[], Upstream]) -> None:
        """Open a connection to the model. Raises OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            if self.upstream.path:
                await loop.create_unix_connection(make, self.upstream.path)
            else:
                await loop.create_connection(make, self.upstream.host, self.upstream.port)
        self._is_upstream_refusing = False

    def refused(self, error: Exception) -> None:
        """Count it every time, and say it when it begins."""
        self.counts.upstream_refused += 1
        if not self._is_upstream_refusing:
            self._is_upstream_refusing = True
            with contextlib.suppress(Exception):  # a log that cannot be written must not cut the answer
                self.events.upstream_refused(str(self.upstream), error)

    def opened(self, connection: Downstream) -> None:
        self.counts.connections_total += 1
        self.counts.connections_open += 1
        self.connections.add(connection)
        self.occupied(len(self.connections))
        self._all_closed.clear()

    def closed(self, connection: Downstream) -> None:
        self.counts.connections_open -= 1
        self.connections.discard(connection)
        self.occupied(len(self.connections))
        if not self.connections:
            self._all_closed.set()

    async def all_closed(self) -> None:
        """Wait until no client is connected."""
        await self._all_closed.wait()


class Downstream(asyncio.Protocol):
    """A client's connection, and the owner of the pair."""

    __slots__ = ("_connecting", "_early", "_is_refused", "_relay", "has_fin", "transport", "upstream", "watch")

    transport: asyncio.Transport

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._early = b""
        self._is_refused = False
        self._connecting: asyncio.Task[None] | None = None
        self.upstream: Upstream | None = None
        self.has_fin = False
        self.watch = Watch(relay.capture, relay.events)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._relay.opened(self)
        self._connecting = self._relay.tasks.start(self._connect(), "connection to the model")

    async def _connect(self) -> None:
        try:
            await self._relay.connect(lambda: Upstream(self._relay, self))
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: a name that no resolver would take
            self._refuse(error)
        finally:
            if self.upstream is None and not self._is_refused:
                reset(self.transport)  # whatever went wrong: a client is answered or cut, never left to wait

    def _refuse(self, error: Exception) -> None:
        self._is_refused = True
        refusal = Refusal(self.transport, str(self._relay.upstream), error, self.connection_lost)
        self.transport.set_protocol(refusal)
        self._relay.refused(error)
        if self._early:
            resume(self.transport, has_fin=self.has_fin)
            refusal.data_received(self._early)
        elif self.has_fin:
            reset(self.transport)

    def paired(self, upstream: Upstream) -> None:
        """The model is connected: what came early goes first."""
        if self.transport.is_closing():
            upstream.transport.abort()
            return
        self.upstream = upstream
        early, self._early = self._early, b""
        if early:
            resume(self.transport, has_fin=self.has_fin)
            self.data_received(early)
        if self.has_fin:
            self._fin(upstream)

    def data_received(self, data: bytes) -> None:
        upstream = self.upstream
        if upstream is None:
            self._early += data
            pause(self.transport)
            return
        upstream.transport.write(data)
        self._relay.counts.bytes_in += len(data)
        self.watch.request_bytes(data)

    def eof_received(self) -> bool:
        if not self.has_fin:
            self.has_fin = True
            if self.upstream is not None:
                self._fin(self.upstream)
        return True

    def _fin(self, upstream: Upstream) -> None:
        pass_fin(upstream.transport)
        self.watch.request_fin()
        self.close_if_ended()

    def pause_writing(self) -> None:
        if self.upstream is not None:
            pause(self.upstream.transport)

    def resume_writing(self) -> None:
        if self.upstream is not None:
            resume(self.upstream.transport, has_fin=self.upstream.has_fin)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.closed(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self.upstream is not None:
            self.upstream.client_lost(exc)
        self.watch.close("client_left")

    def upstream_lost(self, exc: Exception | None) -> None:
        """The model's connection is gone, by a reset when `exc` says so."""
        if exc is not None:
            reset(self.transport)
        else:
            self.transport.close()
        self.watch.close("upstream_left")

    def close_if_ended(self) -> None:
        """Both sides have sent FIN: nothing more can come."""
        if self.has_fin and self.upstream is not None and self.upstream.has_fin:
            self._close()

    def close_if_idle(self) -> None:
        """Close unless an exchange is open, or may be."""
        if not self._is_refused and not self._early and self.watch.is_idle:
            self._close()

    def _close(self) -> None:
        self.transport.close()
        if self.upstream is not None:
            self.upstream.transport.close()

    def abort(self) -> None:
        """Reset both sides at once."""
        reset(self.transport)
        if self.upstream is not None:
            reset(self.upstream.transport)


class Upstream(asyncio.Protocol):
    """A client's own connection to the model."""

    __slots__ = ("_downstream", "_relay", "has_fin", "transport")

    transport: asyncio.Transport

    def __init__(self, relay: Relay, downstream: Downstream) -> None:
        self._relay = relay
        self._downstream = downstream
        self.has_fin = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._downstream.paired(self)

    def data_received(self, data: bytes) -> None:
        downstream = self._downstream
        downstream.transport.write(data)
        self._relay.counts.bytes_out += len(data)
        downstream.watch.response_bytes(data)
        if self._relay.is_draining:
            downstream.close_if_idle()

    def eof_received(self) -> bool:
        if not self.has_fin:
            self.has_fin = True
            pass_fin(self._downstream.transport)
            self._downstream.watch.response_fin()
            self._downstream.close_if_ended()
        return True

    def pause_writing(self) -> None:
        pause(self._downstream.transport)

    def resume_writing(self) -> None:
        resume(self._downstream.transport, has_fin=self._downstream.has_fin)

    def connection_lost(self, exc: Exception | None) -> None:
        self._downstream.upstream_lost(exc)

    def client_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            reset(self.transport)
        else:
            self.transport.close()
