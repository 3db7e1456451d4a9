"""The link to the engine: frames out over a Unix socket, the index and receipts back.

Promises never to wait and never to raise into the relay, nor to hold it up: what is large is handed to the transport in
slices, and let go of in slices. What is sent while no engine listens waits in the kernel and here, and the taps count
it against their budget. An exchange is *outstanding* until its
receipt; when the connection is lost, the outstanding ones are lost with it. The last index is kept, so that what nobody
wants is still not copied while an engine starts again; so are the names of the models that pass, which each engine is
told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

from sidecar import frame
from sidecar.events import Events
from sidecar.frame import FrameError, Index, Kind, Record
from sidecar.kit.clock import Clock, SystemClock
from sidecar.kit.tasks import Tasks
from sidecar.proxy.counts import Counts
from sidecar.proxy.index_reading import IndexReading
from sidecar.proxy.telling import Telling

FIRST_BACK_OFF_SECONDS = 0.05
LONGEST_BACK_OFF_SECONDS = 5.0
METRICS_SECONDS = 2.0
GATHER_SECONDS = 0.02
"""How long exchanges are gathered before they are framed and written together. Each write wakes the engine, whose
receipt wakes the relay; and framing many in a row costs far less than each between two reads of traffic."""
GATHER_BYTES = 128 * 1024
"""With so many they are written earlier: no longer than that may traffic wait for it."""
SLICE_BYTES = 1024 * 1024
"""What the transport has at one time. It lets go at once of all that it was given: of 100 MB, in the pieces in which
they were read, that takes 10 ms, in which no traffic moves."""
CLOSE_SECONDS = 1.0

T = TypeVar("T")


class Link(asyncio.Protocol):
    """One relay's connection to the engine at `path`, opened again whenever it is lost."""

    def __init__(
        self,
        path: Path,
        counts: Counts,
        events: Events,
        say: Callable[[], Mapping[str, int]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`say`: what the engine is told when it asks for counts, by default `counts`. `clock`: the one that the
        exchanges' times were read from."""
        self._path = path
        self._counts = counts
        self._say = say or counts.as_dict
        self._events = events
        self._tasks = Tasks(events.task_failed)
        self._transport: asyncio.Transport | None = None
        self._reader = frame.FrameReader()
        self._lost = asyncio.Event()
        self._engine_has_spoken = False
        self._sequence = 0
        self._asked: dict[bytes, asyncio.Future[bytes | None]] = {}
        self._flushing: list[asyncio.Future[None]] = []
        self._clock = clock or SystemClock()
        self._gathered: list[Record] = []
        self._gathered_bytes = 0
        self._gathering: asyncio.TimerHandle | None = None
        self._framed: deque[bytes] = deque()
        """What waits for the transport to take it, in order."""
        self._framed_bytes = 0
        self._is_paused = False
        self._telling = Telling(self._tell_passing)
        self.passes = self._telling.passes
        """Told of each model whose calls pass."""
        self._index_reading = IndexReading(self._tasks, self._index_read, self._unreadable)
        self.index: Index | None = None
        """What any active collector could want, as last said; None until an engine has said so."""
        self.waiting_at_most_bytes = 0
        """`waiting_bytes` as they were after the last write, and what has been gathered since."""

    # what the taps use

    @property
    def waiting_bytes(self) -> int:
        """Bytes sent and not yet taken by the kernel."""
        if self._transport is None:
            return 0
        return self._gathered_bytes + self._framed_bytes + self._transport.get_write_buffer_size()

    @property
    def overflow_reason(self) -> str:
        """Why the budget is full: an engine that lives is slow, one that has not spoken is away."""
        return "queue_full" if self._engine_has_spoken else "engine_away"

    def send(self, record: Record, size_bytes: int) -> str | None:
        """Send one exchange, `size_bytes` when framed. Returns None, or why it is lost."""
        if self._transport is None:
            return "engine_away"
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._end_gathering)
        self._gathered.append(record)
        self._counts.outstanding += 1
        self._gathered_bytes += size_bytes
        self.waiting_at_most_bytes += size_bytes
        if self._gathered_bytes > GATHER_BYTES:
            self._write_gathered()
        return None

    def _tell_passing(self, text: str) -> None:
        self._write_text(Kind.PASSING, text)

    def _end_gathering(self) -> None:
        self._gathering = None
        self._write_gathered()

    def _write_gathered(self) -> None:
        """Never raises: what cannot be written costs the connection, and what is outstanding is lost with it."""
        gathered, size_bytes = self._gathered, self._gathered_bytes
        self._gathered, self._gathered_bytes = [], 0
        if gathered and self._transport is not None:
            try:
                epoch = self._clock.now() - self._clock.monotonic()
                self._write(frame.exchange_frames(gathered, epoch), size_bytes)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not reach traffic
                self._unreadable(error)
        self.waiting_at_most_bytes = self.waiting_bytes

    def _write_text(self, kind: Kind, text: str) -> None:
        content = frame.encode_text(kind, text)
        self._write([content], len(content))

    def _write(self, buffers: list[bytes], size_bytes: int) -> None:
        """Whole frames, `size_bytes` together, after all that was written before."""
        if self._transport is None:
            return
        if size_bytes <= SLICE_BYTES and not self._framed and not self._is_paused:  # nearly always
            self._transport.writelines(buffers)
            return
        self._framed += buffers
        self._framed_bytes += size_bytes
        self._write_framed()

    def _write_framed(self) -> None:
        """As much as the transport will have now."""
        while self._framed and not self._is_paused and self._transport is not None:
            buffers = _take_slice(self._framed)
            self._framed_bytes -= sum(map(len, buffers))
            self._transport.writelines(buffers)

    def _let_go_of_framed(self) -> None:
        """Nobody will read it."""
        framed, self._framed, self._framed_bytes = self._framed, deque(), 0
        _let_go_in_slices(framed)

    # its life

    async def start(self) -> None:
        """Open the connection, and keep it open until `stop`. Returns when it is open or was refused once."""
        opened = await self._open()
        self._tasks.start(self._keep_open(opened), "link to the engine")

    async def stop(self) -> None:
        """Close the connection; what was sent still goes out, if the engine reads it soon. Safe twice."""
        await self._tasks.stop()
        if self._transport is None:
            return
        self._write_gathered()
        self._transport.writelines(self._framed)
        self._let_go_of_framed()
        self._transport.close()
        # bounded: a connection that was cut off while it opened is closed already, and never says so
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._lost.wait()
        self._drop()

    async def flushed(self) -> None:
        """Wait until every exchange sent has its receipt, or is lost. As long as that takes: the caller bounds it."""
        self._write_gathered()
        if self._counts.outstanding:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._flushing.append(waiting)
            await waiting

    async def metrics(self) -> bytes | None:
        """The engine's metrics page; None when it is away or does not answer in time."""
        if self._transport is None:
            return None
        self._sequence += 1
        sequence = b"%d" % self._sequence
        answer = self._asked[sequence] = asyncio.get_running_loop().create_future()
        self._write_text(Kind.ASK_METRICS, sequence.decode())
        done, _ = await asyncio.wait([answer], timeout=METRICS_SECONDS)
        self._asked.pop(sequence, None)
        return answer.result() if done else None

    async def _keep_open(self, is_open: bool) -> None:
        """A new connection is opened at once where the engine had spoken on the last one, else after a back-off."""
        back_off = FIRST_BACK_OFF_SECONDS
        while True:
            if is_open:
                await self._lost.wait()
            if self._engine_has_spoken:
                back_off = FIRST_BACK_OFF_SECONDS
            else:
                await asyncio.sleep(back_off)
                back_off = min(back_off * 2, LONGEST_BACK_OFF_SECONDS)
            self._engine_has_spoken = False
            is_open = await self._open()

    async def _open(self) -> bool:
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: self, str(self._path))
        except OSError:
            return False
        except asyncio.CancelledError:
            self._transport = None  # half made: the loop closes it, and uvloop says no more of it
            raise
        return True

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._reader = frame.FrameReader()
        self._is_paused = False
        self._lost.clear()
        self._telling.tell_all()
        self._events.link_opened()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._write_gathered()
        self._let_go_of_framed()
        lost, self._counts.outstanding = self._counts.outstanding, 0
        self._counts.lose("engine_away", lost)
        self._answer_flushing()
        for answer in self._asked.values():
            _resolve(answer, None)
        self._lost.set()
        self._events.link_closed(lost)

    def eof_received(self) -> None:
        self._drop()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._write_framed()
        self.waiting_at_most_bytes = self.waiting_bytes

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._reader.feed(data):
                self._received(kind, payload)
        except (FrameError, ValueError) as error:
            self._unreadable(error)

    def _unreadable(self, error: Exception) -> None:
        """The engine speaks nonsense, or we would: hang up."""
        self._drop()
        with contextlib.suppress(Exception):  # a log that cannot be written must not reach traffic
            self._events.capture_failed("link", error)

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _received(self, kind: int, payload: bytes) -> None:
        if kind == Kind.ACK:
            self._counts.receive(frame.decode_counts(payload.decode()))
            self._answer_flushing()
        elif kind == Kind.INDEX:
            self._engine_has_spoken = True
            self._index_reading.said(payload.decode())
        elif kind == Kind.ASK_COUNTS:
            self._say_counts(payload.decode())
        elif kind == Kind.METRICS:
            sequence, _, page = payload.partition(b"\n")
            answer = self._asked.pop(sequence, None)
            if answer is not None:
                _resolve(answer, page)

    def _index_read(self, index: Index) -> None:
        self.index = index

    def _say_counts(self, sequence: str) -> None:
        self._write_gathered()
        counts = frame.encode_counts(self._say())
        self._write_text(Kind.COUNTS, f"sequence {sequence}\n{counts}")

    def _answer_flushing(self) -> None:
        if self._flushing and not self._counts.outstanding:
            waiting, self._flushing = self._flushing, []
            for future in waiting:
                _resolve(future, None)


def _take_slice(buffers: deque[bytes]) -> list[bytes]:
    """The first of them, until they are `SLICE_BYTES`."""
    taken: list[bytes] = []
    size_bytes = 0
    while buffers and size_bytes < SLICE_BYTES:
        taken.append(buffers.popleft())
        size_bytes += len(taken[-1])
    return taken


def _let_go_in_slices(buffers: deque[bytes]) -> None:
    """A slice in each turn of the loop: the large ones go back to the system, which takes its time."""
    _take_slice(buffers)
    if buffers:
        asyncio.get_running_loop().call_soon(_let_go_in_slices, buffers)


def _resolve(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)
