"""What clients can take at most: how many are served, how long they may be silent, what one costs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tracemalloc
from collections.abc import AsyncIterator

from support.clock import FakeClock
from support.relay_end import RelayEnd, always, answer, predict, read_request, relay_running

from sidecar.proxy.timeouts import Timeouts
from sidecar.settings import Address

CLIENTS = 2000
MOST_BYTES_EACH = 10_000
"""Of Python's memory, with what the test's own ends cost."""
IDLE_SECONDS = 60.0
HEAD_SECONDS = 10.0


class Watched:
    """The time limits of a relay, with a clock that is turned by hand."""

    def __init__(self, end: RelayEnd) -> None:
        self._clock = FakeClock()
        self._relay = end.server._relay
        self._timeouts = Timeouts(
            self._relay.connections,
            end.server._events,
            self._clock,
            idle_seconds=IDLE_SECONDS,
            head_seconds=HEAD_SECONDS,
        )

    async def pass_time(self, seconds: float) -> int:
        """Let time pass, with as many looks as the limits take; how many connections are left."""
        period = self._timeouts.period_seconds
        for _ in range(round(seconds / period)):
            self._clock.advance(period)
            await self._timeouts.look()
        return sum(not connection.transport.is_closing() for connection in self._relay.connections)


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(predict())
    assert await asyncio.wait_for(reader.readexactly(len(answer())), 5) == answer()


async def test_a_client_that_was_silent_for_too_long_is_closed() -> None:
    async with relay_running(always(answer())) as end:
        watched = Watched(end)
        reader, writer = await end.connect()
        await _answered(reader, writer)
        assert await watched.pass_time(IDLE_SECONDS) == 1
        await _answered(reader, writer)
        assert await watched.pass_time(IDLE_SECONDS) == 1
        assert await watched.pass_time(HEAD_SECONDS) == 0
        assert await asyncio.wait_for(reader.read(-1), 5) == b""
        writer.close()


async def test_who_waits_for_an_answer_is_not_closed() -> None:
    may_answer, asked = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        await may_answer.wait()
        writer.write(answer())
        await reader.read(-1)

    async with relay_running(serve) as end:
        watched = Watched(end)
        reader, writer = await end.connect()
        writer.write(predict())
        await asyncio.wait_for(asked.wait(), 5)
        assert await watched.pass_time(3 * IDLE_SECONDS) == 1
        may_answer.set()
        assert await reader.readexactly(len(answer())) == answer()
        assert await watched.pass_time(2 * IDLE_SECONDS) == 0
        writer.close()


async def test_half_a_request_is_no_excuse_for_silence() -> None:
    began = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"half")
        began.set()
        await reader.read(-1)

    async with relay_running(serve) as end:
        watched = Watched(end)
        reader, writer = await end.connect()
        writer.write(predict(b"half of it")[:-4])
        await asyncio.wait_for(began.wait(), 5)
        assert await watched.pass_time(2 * IDLE_SECONDS) == 0
        assert await asyncio.wait_for(reader.read(-1), 5) == b""
        writer.close()


async def test_a_head_that_trickles_in_is_closed_and_heads_in_pieces_are_not() -> None:
    passed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = b""
        while data := await reader.read(1 << 16):
            heard += data
            passed.set()
            if heard.endswith(b"\r\n\r\n"):
                writer.write(answer())

    async with relay_running(serve) as end:
        watched = Watched(end)
        reader, writer = await end.connect()

        async def say(piece: bytes) -> None:
            passed.clear()
            writer.write(piece)
            await asyncio.wait_for(passed.wait(), 5)

        for _ in range(4):  # each head is whole in time, and the next one has begun
            await say(b"GET / HTTP/1.1\r\n")
            assert await watched.pass_time(HEAD_SECONDS / 2) == 1
            await say(b"\r\n")
            await reader.readexactly(len(answer()))
        await say(b"GET / HTTP/1.1\r\n")
        assert await watched.pass_time(HEAD_SECONDS / 2) == 1
        await say(b"X-Slow: 1\r\n")
        assert await watched.pass_time(HEAD_SECONDS) == 0
        assert await asyncio.wait_for(reader.read(-1), 5) == b""
        writer.close()


async def test_who_is_not_read_may_listen_for_long() -> None:
    may_say = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await may_say.acquire()
            writer.write(b"event")

    async with relay_running(serve) as end:
        watched = Watched(end)
        reader, writer = await end.connect()
        writer.write(b"\x00")
        for _ in range(4):
            may_say.release()
            assert await asyncio.wait_for(reader.readexactly(5), 5) == b"event"
            assert await watched.pass_time(IDLE_SECONDS * 3 / 4) == 1
        assert await watched.pass_time(IDLE_SECONDS) == 0
        writer.close()


async def test_who_takes_what_it_is_owed_slowly_is_not_silent() -> None:
    size_bytes = 16 << 20
    has_room = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        await has_room.wait()
        writer.write(bytes(size_bytes))
        await reader.read(-1)

    async with relay_running(serve) as end:
        watched = Watched(end)
        reader, writer = await end.connect(limit=1024)
        writer.write(b"\x00")
        async with asyncio.timeout(20):
            while not end.counts.bytes_in:  # noqa: ASYNC110 - a count, which sets no event
                await asyncio.sleep(0)
            [connection] = end.server._relay.connections
            connection.transport.set_write_buffer_limits(size_bytes * 2)  # so that the relay has all of it
            has_room.set()
            while end.counts.bytes_out < size_bytes:  # noqa: ASYNC110
                await asyncio.sleep(0)
            taken_bytes = 0
            for _ in range(3):
                assert await watched.pass_time(IDLE_SECONDS * 3 / 4) == 1
                waiting_bytes = connection.waiting_bytes
                while connection.waiting_bytes == waiting_bytes:
                    taken_bytes += len(await reader.read(1 << 16))
            assert taken_bytes < size_bytes
        writer.transport.abort()


async def test_a_client_that_does_not_take_what_it_is_owed_is_cut_in_the_end() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(1 << 20))
                await writer.drain()

    async with relay_running(serve) as end:
        watched = Watched(end)
        reader, writer = await end.connect(limit=1024)
        writer.write(b"\x00")  # not read by anybody: no answer is known to be owed
        await reader.readexactly(1)
        [connection] = end.server._relay.connections
        async with asyncio.timeout(10):
            while connection.upstream is None or connection.upstream.transport.is_reading():  # noqa: ASYNC110
                await asyncio.sleep(0)  # a transport's own state, which sets no event
        assert await watched.pass_time(2 * IDLE_SECONDS) == 0
        await asyncio.wait_for(end.server._relay.all_closed(), 5)
        writer.transport.abort()


async def test_the_limits_that_are_set_are_kept() -> None:
    async with relay_running(always(answer()), idle_timeout=0.1) as end:
        reader, writer = await end.connect()
        assert await asyncio.wait_for(reader.read(-1), 5) == b""
        assert end.server._events.counters.get("sidecar_connections_timed_out_total", limit="idle") == 1
        writer.close()
    async with relay_running(always(answer()), head_timeout=0.1) as end:
        reader, writer = await end.connect()
        writer.write(b"GET / HT")
        assert await asyncio.wait_for(reader.read(-1), 5) == b""
        assert end.server._events.counters.get("sidecar_connections_timed_out_total", limit="head") == 1
        writer.close()


async def test_never_more_clients_are_served_than_the_setting_says() -> None:
    served = most = 0
    may_answer = asyncio.Event()
    is_full = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served, most
        served += 1
        most = max(most, served)
        if served == 3:
            is_full.set()
        try:
            await read_request(reader)
            await may_answer.wait()
            writer.write(answer())
        finally:
            served -= 1

    async with relay_running(serve, max_connections=3) as end:
        asking = [asyncio.create_task(end.talk([predict()], then_fin=False)) for _ in range(20)]
        await asyncio.wait_for(is_full.wait(), 5)
        may_answer.set()
        assert await asyncio.wait_for(asyncio.gather(*asking), 20) == [answer()] * 20
        assert most == 3
        assert end.counts.connections_total == 20
        assert '"limit": "--max-connections"' in end.log.getvalue()


async def test_who_waits_for_room_is_cut_when_the_relay_stops() -> None:
    async with relay_running(always(answer()), max_connections=1) as end:
        place = (end.server.address.host, end.server.address.port)
        clients = [socket.create_connection(place) for _ in range(4)]  # all there before the loop turns
        streams = [await asyncio.open_connection(sock=client) for client in clients]
        await _answered(*streams[0])
        assert end.server._doorway._waiting  # how many, is the loop's choice
        await end.server.stop()
        for reader, writer in streams:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(-1), 5) == b""
            writer.close()
        assert end.counts.connections_total == 1


class _Model(asyncio.Protocol):
    """A model that listens: without a task for each connection, which the loop's streams would cost."""


@contextlib.asynccontextmanager
async def _listening_model() -> AsyncIterator[Address]:
    server = await asyncio.get_running_loop().create_server(_Model, "127.0.0.1", 0)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def _connected(end: RelayEnd, said: bytes) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (end.server.address.host, end.server.address.port))
    await loop.sock_sendall(client, said)
    return client


async def _all_there(end: RelayEnd, clients: int, size_bytes: int) -> None:
    """Wait until so many are served, each with its connection to the model, and so much was passed on."""
    relay = end.server._relay
    async with asyncio.timeout(60):
        while (  # noqa: ASYNC110 - counts, which set no event
            end.counts.connections_open < clients
            or end.counts.bytes_in < size_bytes
            or any(connection.upstream is None for connection in relay.connections)
        ):
            await asyncio.sleep(0.01)


async def test_a_slow_client_costs_bytes_and_no_task() -> None:
    """Half of them say nothing, half have begun a head."""
    said = b"POST /v2/models/digits/infer HTTP/1.1\r\nX-Slow"
    async with _listening_model() as upstream, relay_running(None, upstream=upstream, idle_timeout=3600) as end:
        warm = [await _connected(end, said) for _ in range(10)]
        await _all_there(end, 10, 10 * len(said))
        tasks = len(asyncio.all_tasks())
        tracemalloc.start()
        clients = [await _connected(end, said if number % 2 else b"") for number in range(CLIENTS)]
        await _all_there(end, 10 + CLIENTS, (10 + CLIENTS // 2) * len(said))
        size_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(asyncio.all_tasks()) == tasks
        assert size_bytes / CLIENTS < MOST_BYTES_EACH
        for client in (*warm, *clients):
            client.close()
        await asyncio.wait_for(end.server._relay.all_closed(), 20)
