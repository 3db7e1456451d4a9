"""A real aiohttp server behind a relay, and a real aiohttp client before it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from sidecar.settings import Address
from support.relay_end import RelayEnd, relay_running

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PREDICT_PATH = "/v2/models/digits/infer"


@dataclass
class RelayedApp:
    """What a test holds in its hands."""

    end: RelayEnd
    session: aiohttp.ClientSession
    url: str
    """Of the predict call, through the relay."""


@contextlib.asynccontextmanager
async def relayed_app(handler: Handler, *, expect_handler: Handler | None = None) -> AsyncIterator[RelayedApp]:
    """`handler` answers every request to `PREDICT_PATH`, whatever its method."""
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", PREDICT_PATH, handler, expect_handler=expect_handler)
    async with (
        TestServer(app, host="127.0.0.1") as server,
        relay_running(None, upstream=Address("127.0.0.1", server.port or 0)) as end,
        aiohttp.ClientSession() as session,
    ):
        yield RelayedApp(end, session, f"http://127.0.0.1:{end.server.address.port}{PREDICT_PATH}")
