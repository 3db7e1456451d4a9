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
from sidecar.proxy.capture import Capture
from sidecar.proxy.connecting import Connector
from sidecar.proxy.quick import QuickWatch
from sidecar.proxy.refusal import Refusal
from sidecar.proxy.sockets import last_words, pass_fin, pause, reset, reset_after_writing, resume


class Relay:
    """What all connections share: where the model is, and who is connected.

    How a connection to the model is opened is its connector's: address, name, TLS, time.
    """

    def __init__(self, connector: Connector, make_upstream: MakeUpstream, capture: Capture, events: Events) -> None:
        self._connector = connector
        self._make_upstream = make_upstream
        self.upstream = connector.upstream
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

    async def connect(self, downstream: Downstream) -> None:
        """Open a client's connection to the model. Raises OSError, TimeoutError or ValueError."""
        await self._connector.connect(lambda: self._make_upstream(self, downstream), downstream.transport)
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

    __slots__ = (
        "_connecting",
        "_early",
        "_is_refused",
        "_relay",
        "has_fin",
        "transport",
        "upstream",
        "was_heard",
        "watch",
    )

    transport: asyncio.Transport

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._early = b""
        self._is_refused = False
        self._connecting: asyncio.Task[None] | None = None
        self.upstream: Upstream | None = None
        self.has_fin = False
        self.was_heard = True
        """A byte has passed, either way, since whoever set this False looked last."""
        self.watch = QuickWatch(relay.capture, relay.events)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._relay.opened(self)
        self._connecting = self._relay.tasks.start(self._connect(), "connection to the model")

    async def _connect(self) -> None:
        try:
            await self._relay.connect(self)
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: a name that no resolver would take
            self._refuse(error)
        finally:
            self._connecting = None
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
        self.was_heard = True
        self._relay.counts.bytes_in += len(data)
        self.watch.request_bytes(data)

    def eof_received(self) -> bool:
        if not self.has_fin:
            self.has_fin = True
            if self.upstream is not None:
                self._fin(self.upstream)
        return True

    def _fin(self, upstream: Upstream) -> None:
        upstream.client_ended()
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
            if exc is not None and (said := last_words(self.transport, self.upstream.transport)):
                self.data_received(said)
            self.upstream.client_lost(exc)
        self.watch.close("client_left")

    def upstream_lost(self, exc: Exception | None) -> None:
        """The model's connection is gone, by a reset when `exc` says so."""
        if exc is not None:
            reset_after_writing(self.transport)
        else:
            self.transport.close()
        self.watch.close("upstream_left")

    def close_if_ended(self) -> None:
        """Both sides have sent FIN: nothing more can come."""
        if self.has_fin and self.upstream is not None and self.upstream.has_fin:
            self.close()

    def close_if_idle(self) -> None:
        """Close unless an exchange is open, or may be."""
        if not self._is_refused and not self._early and self.watch.is_idle:
            self.close()

    def close(self) -> None:
        """Close both sides, once what is still to be written has been."""
        self.transport.close()
        if self.upstream is not None:
            self.upstream.transport.close()

    @property
    def waiting_bytes(self) -> int:
        """What has been handed to the loop and not yet been taken by the system, both sides together."""
        upstream_bytes = 0 if self.upstream is None else self.upstream.transport.get_write_buffer_size()
        return upstream_bytes + self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Reset both sides at once."""
        reset(self.transport)
        if self.upstream is not None:
            reset(self.upstream.transport)


class Upstream(asyncio.Protocol):
    """A client's own connection to the model."""

    __slots__ = ("_relay", "downstream", "has_fin", "transport")

    transport: asyncio.Transport

    def __init__(self, relay: Relay, downstream: Downstream) -> None:
        self._relay = relay
        self.downstream = downstream
        self.has_fin = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.downstream.paired(self)

    def data_received(self, data: bytes) -> None:
        downstream = self.downstream
        downstream.transport.write(data)
        downstream.was_heard = True
        self._relay.counts.bytes_out += len(data)
        downstream.watch.response_bytes(data)
        if self._relay.is_draining:
            downstream.close_if_idle()

    def eof_received(self) -> bool:
        if not self.has_fin:
            self.has_fin = True
            pass_fin(self.downstream.transport)
            self.downstream.watch.response_fin()
            self.downstream.close_if_ended()
        return True

    def pause_writing(self) -> None:
        pause(self.downstream.transport)

    def resume_writing(self) -> None:
        resume(self.downstream.transport, has_fin=self.downstream.has_fin)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and (said := last_words(self.transport, self.downstream.transport)):
            self.data_received(said)
        self.downstream.upstream_lost(exc)

    def client_ended(self) -> None:
        """The client has sent FIN."""
        pass_fin(self.transport)

    def client_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            reset_after_writing(self.transport)
        else:
            self.transport.close()


MakeUpstream = Callable[[Relay, Downstream], Upstream]
