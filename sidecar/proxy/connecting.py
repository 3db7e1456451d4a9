"""How a connection to the model is opened: its address, the name behind it, TLS.

A name is resolved once for many connections, as asking for each would cost a thread and a round trip, and nobody waits
for an answer while an older one is usable. Of several addresses the one that was reached last is tried first, and the
others soon after (happy eyeballs). Over TLS the model is offered only what the client speaks, so that both connections
carry the same protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType

from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.kit.tasks import Tasks
from sidecar.proxy.certificates import RenewedContext
from sidecar.proxy.tls import TlsConnection, told
from sidecar.settings import Settings

CONNECT_SECONDS = 10.0
"""For all of it: the name, the connection, the handshake."""
FRESH_SECONDS = 5.0
"""How long the addresses of a name are taken for true."""
USABLE_SECONDS = 60.0
"""How long they serve while newer ones are asked for."""
NEXT_ADDRESS_SECONDS = 0.25
SAID_AGAIN_SECONDS = 60.0
_SPOKEN_WITHOUT_ALPN = (None, "http/1.1")

Make = Callable[[], asyncio.Protocol]


class Resolved:
    """The addresses of one host, asked for again after a while."""

    def __init__(self, host: str, port: int, tasks: Tasks, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._tasks = tasks
        self._clock = clock
        self._found: Sequence[AddrInfoType] = _literal(host, port)
        self._is_literal = bool(self._found)
        self._error: OSError | ValueError = OSError("not asked yet")
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = clock.monotonic() - USABLE_SECONDS

    async def addresses(self) -> Sequence[AddrInfoType]:
        """At least one. Raises OSError, or ValueError for a name that no resolver would take."""
        age = self._clock.monotonic() - self._asked_at
        if not self._is_literal and (age >= FRESH_SECONDS or not self._found):
            asking = self._asking or self._ask()
            if age >= USABLE_SECONDS or not self._found:
                await asyncio.shield(asking)
            if not self._found:
                raise self._error
        return self._found

    def _ask(self) -> asyncio.Task[None]:
        """One question for all who wait, which outlives the one who asked first."""
        self._asking = self._tasks.start(self._resolve(), "address of the model")
        return self._asking

    async def _resolve(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            self._error = error  # what was found before still serves
        finally:
            self._asked_at = self._clock.monotonic()
            self._asking = None

    def prefer(self, reached: object) -> None:
        """Try this address first."""
        self._found = sorted(self._found, key=lambda info: info[4] != reached)

    def doubt(self) -> None:
        """None could be reached: ask before the next try."""
        self._asked_at = self._clock.monotonic() - USABLE_SECONDS


def _literal(host: str, port: int) -> Sequence[AddrInfoType]:
    """The address that `host` is; none when it is a name."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return []


class _Handshake:
    """Follows one connection's: `done` ends with it. What breaks later is told to `broke`."""

    def __init__(self, offered: str | None, broke: Callable[[OSError], None]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._offered = offered
        self._broke = broke

    def greeted(self, connection: TlsConnection) -> None:
        if self._offered not in _SPOKEN_WITHOUT_ALPN and connection.agreed != self._offered:
            raise ConnectionRefusedError(f"the model server does not speak {self._offered} over TLS")
        if not self.done.done():
            self.done.set_result(None)

    def failed(self, connection: TlsConnection, error: OSError) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(told(error)))
        else:
            self._broke(error)


class Connector:
    """Opens connections to one model server."""

    def __init__(self, settings: Settings, tls: RenewedContext | None, events: Events, clock: Clock) -> None:
        self.upstream = settings.upstream
        self._server_name = settings.upstream_server_name or settings.upstream.host
        self._alpn = settings.alpn
        self._tls = tls
        self._events = events
        self._clock = clock
        self._tasks = Tasks(events.task_failed)
        self._resolved = Resolved(self.upstream.host, self.upstream.port, self._tasks, clock)
        self._said_at = -SAID_AGAIN_SECONDS

    async def stop(self) -> None:
        """Safe twice."""
        await self._tasks.stop()

    async def connect(self, make: Make, client: asyncio.BaseTransport) -> None:
        """Connect a protocol of `make` for this client. Raises OSError, TimeoutError or ValueError."""
        async with asyncio.timeout(CONNECT_SECONDS):
            if self._tls is None:
                await self._open(make)
            else:
                await self._open_tls(make, self._tls.current(), self._offer_for(client))

    def _offer_for(self, client: asyncio.BaseTransport) -> str | None:
        """What the client speaks; a client without TLS speaks the one protocol that the settings name."""
        return client.agreed if isinstance(client, TlsConnection) else self._alpn[0]

    async def _open_tls(self, make: Make, context: ssl.SSLContext, offered: str | None) -> None:
        handshake = _Handshake(offered, self._broke)
        context.set_alpn_protocols([offered] if offered else [])
        connection = TlsConnection(make(), context, handshake, server_name=self._server_name)
        await self._open(lambda: connection)
        try:
            await handshake.done
        except BaseException:
            connection.abort()
            raise

    def _broke(self, error: OSError) -> None:
        """As when the model server refuses our certificate, which it says only after the handshake."""
        now = self._clock.monotonic()
        if now - self._said_at > SAID_AGAIN_SECONDS:
            self._said_at = now
            with contextlib.suppress(Exception):  # a log that cannot be written must not hurt anybody
                self._events.upstream_tls_broke(str(self.upstream), told(error))

    async def _open(self, make: Make) -> None:
        loop = asyncio.get_running_loop()
        if self.upstream.path:
            await loop.create_unix_connection(make, self.upstream.path)
            return
        addresses = await self._resolved.addresses()
        try:
            if len(addresses) == 1:
                family, _, _, _, address = addresses[0]
                await loop.create_connection(make, str(address[0]), address[1], family=family)
            else:
                await self._open_one_of(addresses, make)
        except OSError:
            self._resolved.doubt()
            raise

    async def _open_one_of(self, addresses: Sequence[AddrInfoType], make: Make) -> None:
        connected = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1
        )
        try:
            self._resolved.prefer(connected.getpeername())
            await asyncio.get_running_loop().create_connection(make, sock=connected)
        except BaseException:
            connected.close()
            raise
