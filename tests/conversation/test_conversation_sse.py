"""Server-sent events: each is with the client before the next is made, and the copy holds them all."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from support.relay_end import predict, read_request, relay_running
from support.relayed_app import relayed_app

EVENTS = [b"id: %d\ndata: token\n\n" % number for number in range(30)]


async def test_each_event_is_with_the_client_before_the_next_is_made() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in EVENTS:
            await response.write(event)
            assert await heard.get() == event
        return response

    async with relayed_app(stream) as relayed:
        async with relayed.session.post(relayed.url, data=b"{}") as response:
            for _ in EVENTS:
                heard.put_nowait(await response.content.readuntil(b"\n\n"))
            assert await response.content.read() == b""
        [exchange] = await relayed.end.engine.arrived(1)
        assert exchange.response is not None
        assert b"Transfer-Encoding: chunked" in exchange.response.head
        assert exchange.response.body == b"".join(EVENTS)
        assert exchange.response_is_whole


@pytest.mark.parametrize("told", [3, len(EVENTS)])
async def test_a_stream_without_length_is_copied_as_far_as_the_client_heard_it(told: int) -> None:
    heard: asyncio.Queue[None] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for event in EVENTS[:told]:
            writer.write(event)
            await heard.get()
        if told < len(EVENTS):
            assert await reader.read(1) == b""

    async with relay_running(serve) as end:
        reader, writer = await end.connect()
        writer.write(predict())
        await reader.readuntil(b"\r\n\r\n")
        for event in EVENTS[:told]:
            assert await reader.readuntil(b"\n\n") == event
            heard.put_nowait(None)
        if told < len(EVENTS):
            writer.close()
        else:
            assert await reader.read() == b""
            writer.close()
        [exchange] = await end.engine.arrived(1)
        assert exchange.response is not None
        assert exchange.response.body == b"".join(EVENTS[:told])
