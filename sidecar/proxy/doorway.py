"""Between being accepted and being served: a client waits here for room, and shakes hands where TLS is on.

Promises that never more clients are served than there is room for, those in a handshake counted: a burst that was
accepted in one turn of the loop waits, unread and without a connection to the model, and is served in its order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import cast

from sidecar.events import Events
from sidecar.proxy.certificates import RenewedContext
from sidecar.proxy.counts import Counts
from sidecar.proxy.sockets import pause, resume
from sidecar.proxy.tls import TlsConnection, told


class Arrival(asyncio.Protocol):
    """A client that was accepted and is not served yet. What it said is kept for whoever serves it."""

    __slots__ = ("_doorway", "_has_fin", "_said", "transport")

    transport: asyncio.Transport

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self._said = b""
        self._has_fin = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._doorway.arrived(self)

    def data_received(self, data: bytes) -> None:
        self._said += data
        pause(self.transport)

    def eof_received(self) -> bool:
        self._has_fin = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._doorway.left(self)

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """From here on it is `protocol`'s, which hears everything from the beginning."""
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if self._said:
            resume(self.transport, has_fin=self._has_fin)
            protocol.data_received(self._said)
        if self._has_fin:
            protocol.eof_received()


class Doorway:
    """One relay's. `most` is how many may be served at once; `serve` makes the protocol of one who is."""

    def __init__(
        self,
        serve: Callable[[], asyncio.Protocol],
        tls: RenewedContext | None,
        counts: Counts,
        events: Events,
        most: int,
    ) -> None:
        self._serve = serve
        self._tls = tls
        self._counts = counts
        self._events = events
        self._most = most
        self._served = 0
        self._waiting: dict[Arrival, None] = {}
        self._greeting: set[TlsConnection] = set()
        self._is_closed = False
        self.occupied: Callable[[int], None] = lambda _: None
        """Told how many are in here and inside, after every change."""

    def arrival(self) -> Arrival:
        """The protocol of a client that is about to be accepted."""
        return Arrival(self)

    def served(self, count: int) -> None:
        """Told after every change: how many are inside."""
        self._served = count
        while self._waiting and self._has_room and not self._is_closed:
            arrival = next(iter(self._waiting))
            del self._waiting[arrival]
            self._let_in(arrival)
        self._tell()

    def arrived(self, arrival: Arrival) -> None:
        if self._is_closed:
            arrival.transport.abort()
        elif self._has_room:
            self._let_in(arrival)
        else:
            self._waiting[arrival] = None
            self._tell()

    def left(self, arrival: Arrival) -> None:
        """One who waited is gone."""
        self._waiting.pop(arrival, None)
        self._tell()

    def close(self) -> None:
        """Let nobody in any more, and cut who is not inside yet. Safe twice."""
        self._is_closed = True
        for arrival in tuple(self._waiting):
            arrival.transport.abort()
        for connection in tuple(self._greeting):
            connection.abort()

    @property
    def _has_room(self) -> bool:
        return self._served + len(self._greeting) < self._most

    def _tell(self) -> None:
        self.occupied(self._served + len(self._greeting) + len(self._waiting))

    def _let_in(self, arrival: Arrival) -> None:
        if self._tls is None:
            arrival.hand_over(self._serve())
            return
        connection = TlsConnection(self._serve(), self._tls.current(), self)
        self._greeting.add(connection)
        arrival.hand_over(connection)
        self._tell()

    # the greeter of its TLS connections

    def greeted(self, connection: TlsConnection) -> None:
        self._greeting.discard(connection)  # whoever serves it tells that it is inside

    def failed(self, connection: TlsConnection, error: OSError) -> None:
        was_greeting = connection in self._greeting
        self._greeting.discard(connection)
        if was_greeting:
            self._counts.tls_refused += 1
            self.served(self._served)
            with contextlib.suppress(Exception):  # a log that cannot be written must not hurt anybody
                self._events.tls_refused(told(error))
