"""A real server that takes CloudEvents in every mode, reads them with the SDK, and fails in every way a far side can.

It accepts by default and keeps each event once, told by its source, id and type. `script` holds replies for the next
requests, first come first served, `standing` the one for all others.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from support.door import Door

_BATCH = "application/cloudevents-batch+json"
Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class EventSink:
    """What was posted, what is stored, and what is to happen next."""

    door: Door

    def __init__(self) -> None:
        self.posted: list[HTTPMessage] = []
        self.stored: dict[tuple[str, str, str], BaseCloudEvent] = {}
        self.refused: set[str] = set()
        """Ids whose requests are refused."""
        self.token = ""
        """What the bearer of a request must show; blank: nothing."""
        self.max_bytes = 10_000_000
        self.script: deque[Reply] = deque()
        self.standing: Reply | None = None
        self.released = asyncio.Event()
        """Lets hanging requests go."""

    @property
    def url(self) -> str:
        return f"{self.door.url}/ns/default"

    def events(self) -> list[BaseCloudEvent]:
        return list(self.stored.values())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        message = HTTPMessage({name.lower(): value for name, value in request.headers.items()}, await request.read())
        self.posted.append(message)
        if not self.door.is_open:
            return cut(request)
        if self.script:
            return await self.script.popleft()(request)
        return self._accept(message) if self.standing is None else await self.standing(request)

    def _accept(self, message: HTTPMessage) -> web.Response:
        given = message.headers.get("authorization", "")
        if self.token and given != f"Bearer {self.token}":
            return web.Response(status=401, text=f"not for {given}")
        if len(message.body) > self.max_bytes:
            return web.Response(status=413)
        events = read(message)
        if any(event.get_id() in self.refused for event in events):
            return web.Response(status=400, text="refused")
        for event in events:
            self.stored[event.get_source(), event.get_id(), event.get_type()] = event
        return web.Response(status=202)

    async def take(self, _request: web.Request) -> web.StreamResponse:
        """As without a script."""
        return self._accept(self.posted[-1])

    async def hang(self, _request: web.Request) -> web.StreamResponse:
        """Takes the request and says nothing."""
        await self.released.wait()
        return web.Response(status=503)

    async def accept_and_leave(self, request: web.Request) -> web.StreamResponse:
        """Stores what came, cuts the connection, and listens no more until the door is opened again."""
        await self.door.close()
        self._accept(self.posted[-1])
        return cut(request)


def cut(request: web.Request) -> web.Response:
    """Ends the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def answering(status: int, headers: Mapping[str, str] | None = None) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="scripted", headers=headers)

    return reply


def read(message: HTTPMessage) -> list[BaseCloudEvent]:
    """The events of a request; each is valid, or the SDK raises."""
    if message.headers["content-type"] != _BATCH:
        return [from_http_event(message)]
    headers = {"content-type": "application/cloudevents+json"}
    return [from_http_event(HTTPMessage(headers, json.dumps(each).encode())) for each in json.loads(message.body)]


@asynccontextmanager
async def event_sink(tls: ssl.SSLContext | None = None) -> AsyncIterator[EventSink]:
    """A running sink; its address is in `url`."""
    sink = EventSink()
    app = web.Application(client_max_size=200_000_000)
    app.router.add_post("/ns/default", sink.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    sink.door = Door(runner, tls)
    try:
        await sink.door.open()
        yield sink
    finally:
        sink.released.set()
        await runner.cleanup()
