"""WebSockets through a real client and a real server: the handshake is seen, what follows passes unread."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from support.relayed_app import RelayedApp, relayed_app

MEGABYTE = 1 << 20
DEFLATE_BITS = 15


class Echo:
    """Sends back what it hears; `ping` and `close N reason` make it do so."""

    def __init__(self) -> None:
        self.close_code: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.pongs: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress="deflate" in request.query, max_msg_size=0, autoping=False)
        await socket.prepare(request)
        async for message in socket:
            await self._answer(socket, message)
        self.close_code.set_result(socket.close_code)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, message: aiohttp.WSMessage) -> None:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            self.pongs.put_nowait(bytes(message.data))
        elif message.data == "ping":
            await socket.ping(b"from the model")
        elif message.data.startswith("close "):
            _, code, reason = message.data.split(" ", 2)
            await socket.close(code=int(code), message=reason.encode())
        else:
            await socket.send_str(message.data)


@contextlib.asynccontextmanager
async def connected(
    echo: Echo, query: str = "", compress: int = 0
) -> AsyncIterator[tuple[RelayedApp, aiohttp.ClientWebSocketResponse]]:
    async with relayed_app(echo.serve) as relayed:
        address = relayed.url + query
        async with relayed.session.ws_connect(address, autoping=False, max_msg_size=0, compress=compress) as socket:
            yield relayed, socket
        counts = relayed.end.counts
        assert (counts.seen, counts.unwanted) == (1, 1)
        assert counts.uncaptured["upgraded"] == 1
        assert not relayed.end.engine.exchanges


@pytest.mark.parametrize(("query", "compress"), [("", 0), ("?deflate", DEFLATE_BITS)])
async def test_text_and_binary_of_any_size_come_back(query: str, compress: int) -> None:
    async with connected(Echo(), query, compress) as (_, socket):
        assert socket.compress == compress
        for text in ("", "short", "ü" * 70_000):
            await socket.send_str(text)
            assert await socket.receive_str() == text
        for content in (b"", os.urandom(125), os.urandom(MEGABYTE), bytes(3 * MEGABYTE)):
            await socket.send_bytes(content)
            assert await socket.receive_bytes() == content


async def test_many_frames_on_their_way_at_once_keep_their_order() -> None:
    async with connected(Echo()) as (_, socket):
        contents = [number.to_bytes(4) * 5000 for number in range(100)]

        async def send() -> None:
            for content in contents:
                await socket.send_bytes(content)

        sending = asyncio.create_task(send())
        assert [await socket.receive_bytes() for _ in contents] == contents
        await sending


async def test_ping_and_pong_pass_both_ways() -> None:
    echo = Echo()
    async with connected(echo) as (_, socket):
        await socket.ping(b"from the client")
        assert (await socket.receive()) == (WSMsgType.PONG, b"from the client", "")
        await socket.send_str("ping")
        assert (await socket.receive()) == (WSMsgType.PING, b"from the model", "")
        await socket.pong(b"here")
        assert await echo.pongs.get() == b"here"


@pytest.mark.parametrize("code", [1000, 1001, 4000])
async def test_the_codes_of_a_close_pass_both_ways(code: int) -> None:
    echo = Echo()
    async with connected(echo) as (_, socket):
        await socket.close(code=code)
        assert await echo.close_code == code
    echo = Echo()
    async with connected(echo) as (_, socket):
        await socket.send_str(f"close {code} going away")
        assert (await socket.receive()) == (WSMsgType.CLOSE, code, "going away")
        assert socket.close_code == code


async def test_a_model_that_refuses_the_upgrade_is_an_exchange_like_any_other() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=403, text="no")

    async with relayed_app(refuse) as relayed:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await relayed.session.ws_connect(relayed.url)
        assert caught.value.status == 403
        assert relayed.end.counts.uncaptured["upgraded"] == 0
        assert relayed.end.counts.seen == 1
