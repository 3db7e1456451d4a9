"""`Expect: 100-continue`: the client holds its body back until the model has asked for it, or has refused it."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from support.relay_end import PREDICT, answer, predict, read_request, relay_running
from support.relayed_app import relayed_app

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BODY = b"x" * 100_000
HEAD = PREDICT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)


async def test_the_body_is_sent_only_when_the_model_has_asked_for_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\r\n\r\n") == HEAD
        writer.write(CONTINUE)
        assert await reader.readexactly(len(BODY)) == BODY
        writer.write(answer(b"thanks"))

    async with relay_running(serve) as end:
        reader, writer = await end.connect()
        writer.write(HEAD)
        assert await reader.readexactly(len(CONTINUE)) == CONTINUE
        writer.write(BODY)
        assert await reader.read() == answer(b"thanks")
        writer.close()
        [exchange] = await end.engine.arrived(1)
        assert exchange.request.body == BODY
        assert exchange.response is not None
        assert exchange.response.head + exchange.response.body == answer(b"thanks")


@pytest.mark.parametrize("status", [b"417 Expectation Failed", b"413 Content Too Large"])
async def test_a_model_that_refuses_never_sees_the_body(status: bytes) -> None:
    refusal = answer(b"no", status, b"Connection: close\r\n")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\r\n\r\n") == HEAD
        writer.write(refusal)
        writer.write_eof()
        assert await reader.read() == b""

    async with relay_running(serve) as end:
        reader, writer = await end.connect()
        writer.write(HEAD)
        assert await reader.read() == refusal
        writer.close()
        await end.server._relay.all_closed()
        assert end.counts.lost["upstream_left"] == 1
        assert end.counts.bytes_in == len(HEAD)


async def test_after_a_refusal_the_body_may_still_come_and_the_connection_go_on() -> None:
    refusal = answer(b"no", b"413 Content Too Large")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await reader.readexactly(len(BODY))
        assert await read_request(reader) == predict(b"next")
        writer.write(answer(b"yes"))

    async with relay_running(serve) as end:
        reader, writer = await end.connect()
        writer.write(HEAD)
        assert await reader.readexactly(len(refusal)) == refusal
        writer.write(BODY + predict(b"next"))
        assert await reader.read() == answer(b"yes")
        writer.close()
        refused, taken = await end.engine.arrived(2)
        assert (refused.request.body, taken.request.body) == (BODY, b"next")
        assert refused.response is not None
        assert refused.response.body == b"no"


async def test_a_real_client_and_a_real_server_agree_to_go_on() -> None:
    async def measure(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async with relayed_app(measure) as relayed:
        async with relayed.session.post(relayed.url, data=BODY, expect100=True) as response:
            assert (response.status, await response.text()) == (200, str(len(BODY)))
        [exchange] = await relayed.end.engine.arrived(1)
        assert b"expect: 100-continue" in exchange.request.head.lower()
        assert exchange.request.body == BODY


async def test_a_real_client_is_told_of_a_real_servers_refusal() -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        raise web.HTTPExpectationFailed(text="no")

    async def unreached(_: web.Request) -> web.Response:
        raise RuntimeError("a refused request was handled")

    async with relayed_app(unreached, expect_handler=refuse) as relayed:
        async with relayed.session.post(relayed.url, data=BODY, expect100=True) as response:
            assert (response.status, await response.text()) == (417, "no")
        assert relayed.end.counts.bytes_in < len(BODY)
