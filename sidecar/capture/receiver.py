"""The engine's end of the link: frames in, receipts out.

Owns the connections from the relays. Each exchange that arrives is either queued or its receipt is given at once;
whoever takes it from the queue gives the receipt when the exchange is accounted for. A receipt is an increment to the
relay's counts, so the relay knows at any moment what an engine that dies takes with it. Never parses a body.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, cast

from sidecar import frame
from sidecar.capture.announcement import Announcement
from sidecar.capture.arrival import Arrival
from sidecar.capture.keyed_queue import KeyedQueue
from sidecar.events import Events
from sidecar.frame import Index, Kind
from sidecar.kit.tasks import Tasks
from sidecar.passing import ModelName, PassingModels, decode_models

COUNTS_SECONDS = 5.0
"""How long a relay may take to say its counts before its last ones are shown: its answer stands behind the frames that
it has sent before."""


TAKEN = "taken"
"""The receipt of an exchange: every input that a collector matched is now in the ledger."""
UNWANTED = "unwanted"
"""No collector matched."""


class Receipts(Protocol):
    """Whoever waits for the receipts of exchanges: a relay, or what counts collected rows."""

    def acknowledge(self, what: str, count: int = 1) -> None: ...


class Captured(NamedTuple):
    """An exchange on its way through the engine, with the connection that waits for its receipt."""

    arrival: Arrival
    connection: Receipts

    def lost(self, reason: str) -> None:
        self.connection.acknowledge(f"lost.{reason}")


class Receiver:
    """Accepts relays on a listening socket it was given, and fills `queue`."""

    def __init__(
        self,
        queue: KeyedQueue[Captured],
        read: Callable[[bytes], Arrival | None],
        metrics: Callable[[], Awaitable[bytes]],
        events: Events,
    ) -> None:
        self._queue = queue
        self._read = read
        self._metrics = metrics
        self._events = events
        self._announcement = Announcement(self._tell_index)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._tasks = Tasks(events.task_failed)
        self._none_connected = asyncio.Event()
        self._none_connected.set()

    @property
    def relays(self) -> int:
        """How many relays are connected."""
        return len(self._connections)

    @property
    def passing(self) -> list[ModelName]:
        """The models whose calls pass the relays that are connected, in order; those whose calls are copied too."""
        return sorted({name for connection in self._connections for name in connection.passing})

    async def start(self, listening: socket.socket, index: Index) -> None:
        """Serve on `listening`; every relay is first told `index`, what any active collector could want."""
        self._announcement.change(index)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Connection(self), sock=listening)

    def publish(self, index: Index) -> None:
        """Tell every relay what is wanted from now on: at once, or with the changes that follow in quick succession."""
        self._announcement.change(index)

    def _tell_index(self, text: str) -> None:
        for connection in self._connections:
            connection.send_text(Kind.INDEX, text)

    async def counts(self) -> dict[str, int]:
        """The sum of what the relays have counted since their start, asked just now; `relays` is how many are in it.

        A relay that does not answer in time is in the sum with the counts it said last.
        """
        said = await asyncio.gather(*(connection.counts() for connection in tuple(self._connections)))
        total: dict[str, int] = {"relays": 0}
        for counts in said:
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
        return total

    async def drained(self) -> None:
        """Wait until every relay has closed its end: all that was sent has then been read."""
        await self._none_connected.wait()

    async def stop(self) -> None:
        """Safe twice."""
        if self._server is not None:
            self._server.close()
        self._announcement.stop()
        for connection in tuple(self._connections):
            connection.close()
        await self._tasks.stop()

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._none_connected.clear()
        connection.send_text(Kind.INDEX, self._announcement.text)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._none_connected.set()

    def received(self, connection: Connection, payload: bytes) -> None:
        try:
            arrival = self._read(payload)
        except frame.FrameError:
            raise
        except Exception as error:  # noqa: BLE001 - one exchange that trips a bug of ours must not stop those behind it
            self._events.capture_failed("arrival", error)
            connection.acknowledge("lost.capture_failed")
            return
        if arrival is None:
            connection.acknowledge(UNWANTED)
            return
        for lost in self._queue.put(arrival.asked.key, Captured(arrival, connection), arrival.size_bytes):
            lost.lost("queue_full")
            self._events.exchange_lost("queue_full")

    def asked_for_metrics(self, connection: Connection, sequence: str) -> None:
        self._tasks.start(self._send_metrics(connection, sequence), "metrics for a relay")

    async def _send_metrics(self, connection: Connection, sequence: str) -> None:
        page = await self._metrics()
        connection.send_text(Kind.METRICS, f"{sequence}\n{page.decode()}")

    def unreadable(self, error: Exception) -> None:
        self._events.capture_failed("receiver", error)


class Connection(asyncio.Protocol):
    """One relay."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._reader = frame.FrameReader()
        self._transport: asyncio.Transport | None = None
        self._receipts: dict[str, int] = {}
        self._asked: dict[str, asyncio.Future[dict[str, int]]] = {}
        self._sequence = 0
        self._last_counts: dict[str, int] = {}
        self.passing = PassingModels()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._receiver.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for future in self._asked.values():
            future.cancel()
        self._receiver.closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._reader.feed(data):
                self._received(kind, payload)
        except frame.FrameError as error:
            self._receiver.unreadable(error)
            self.close()

    def _received(self, kind: int, payload: bytes) -> None:
        if kind == Kind.EXCHANGE:
            self._receiver.received(self, payload)
        elif kind == Kind.COUNTS:
            counts = frame.decode_counts(payload.decode())
            waiting = self._asked.pop(str(counts.pop("sequence", 0)), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(counts)
        elif kind == Kind.ASK_METRICS:
            self._receiver.asked_for_metrics(self, payload.decode())
        elif kind == Kind.PASSING:
            for name in decode_models(payload.decode()):
                self.passing.add(name)

    def send_text(self, kind: Kind, text: str) -> None:
        if self._transport is not None:
            self._transport.write(frame.encode_text(kind, text))

    def acknowledge(self, what: str, count: int = 1) -> None:
        """Add to what is said to the relay at the end of this turn of the loop."""
        if not self._receipts:
            asyncio.get_running_loop().call_soon(self._send_receipts)
        self._receipts[what] = self._receipts.get(what, 0) + count

    def _send_receipts(self) -> None:
        receipts, self._receipts = self._receipts, {}
        self.send_text(Kind.ACK, frame.encode_counts(receipts))

    async def counts(self) -> dict[str, int]:
        """What this relay has counted, with `relays` 1 unless it says for how many it speaks (the first one does for
        all, another for none); what it said last, with `relays` 0, when it is late."""
        self._sequence += 1
        sequence = str(self._sequence)
        answer = self._asked[sequence] = asyncio.get_running_loop().create_future()
        self._send_receipts()
        self.send_text(Kind.ASK_COUNTS, sequence)
        done, _ = await asyncio.wait([answer], timeout=COUNTS_SECONDS)
        self._asked.pop(sequence, None)
        if not done or answer.cancelled():
            return {**self._last_counts, "relays": 0}
        self._last_counts = {"relays": 1, **answer.result()}
        return self._last_counts

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
