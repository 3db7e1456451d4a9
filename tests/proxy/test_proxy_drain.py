"""How a relay goes down: what is open ends, what is idle is closed, what does not end is cut."""

from __future__ import annotations

import asyncio

import pytest
from support.relay_end import Serve, always, answer, predict, read_request, relay_running

from sidecar.errors import ConfigurationError
from sidecar.proxy.server import RelayServer
from sidecar.settings import Settings


def _slow(may_answer: asyncio.Event, asked: asyncio.Event) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            asked.set()
            await may_answer.wait()
            writer.write(answer())

    return serve


async def test_idle_connections_close_and_open_exchanges_end() -> None:
    may_answer, asked = asyncio.Event(), asyncio.Event()
    async with relay_running(_slow(may_answer, asked)) as end:
        idle, idle_writer = await end.connect()
        busy, busy_writer = await end.connect()
        busy_writer.write(predict())
        await asked.wait()
        draining = asyncio.create_task(end.server.drain())
        assert await asyncio.wait_for(idle.read(-1), 5) == b""
        assert not end.server.is_ready
        assert not draining.done()
        with pytest.raises(ConnectionRefusedError):
            await end.connect()
        may_answer.set()
        assert await asyncio.wait_for(busy.read(-1), 5) == answer()
        await asyncio.wait_for(draining, 5)
        assert (end.counts.taken, end.counts.open) == (1, 0)
        idle_writer.close()
        busy_writer.close()


async def test_new_connections_are_served_during_the_delay() -> None:
    async with relay_running(always(answer()), drain_delay=30) as end:
        draining = asyncio.create_task(end.server.drain())
        await asyncio.sleep(0)
        assert not end.server.is_ready
        assert await end.talk([predict()]) == answer()
        await end.server.stop()
        await asyncio.wait_for(draining, 5)


async def test_what_outlives_the_grace_is_reset() -> None:
    may_answer, asked = asyncio.Event(), asyncio.Event()
    async with relay_running(_slow(may_answer, asked), grace=0.05) as end:
        reader, writer = await end.connect()
        writer.write(predict())
        await asked.wait()
        await asyncio.wait_for(end.server.drain(), 5)
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        [exchange] = await end.engine.arrived(1)
        assert exchange.response is None
        writer.close()


async def test_a_second_signal_cuts_the_drain_short() -> None:
    may_answer, asked = asyncio.Event(), asyncio.Event()
    async with relay_running(_slow(may_answer, asked), grace=60) as end:
        _, writer = await end.connect()
        writer.write(predict())
        await asked.wait()
        draining = asyncio.create_task(end.server.drain())
        await asyncio.sleep(0)
        await end.server.stop()
        await end.server.stop()
        await asyncio.wait_for(draining, 5)
        writer.close()


async def test_unix_sockets_serve_on_both_sides() -> None:
    async with relay_running(always(answer(b"unix")), uses_unix=True) as end:
        assert await end.talk([predict()]) == answer(b"unix")
        await end.engine.arrived(1)
        await asyncio.wait_for(end.server.drain(), 5)


async def test_an_address_in_use_is_a_fault_of_configuration() -> None:
    async with relay_running(always(answer())) as end:
        settings = Settings(listen=end.server.address)
        second = RelayServer(settings, end.link, end.server._events, end.counts)
        with pytest.raises(ConfigurationError, match="--listen"):
            await second.start()
        await second.stop()
