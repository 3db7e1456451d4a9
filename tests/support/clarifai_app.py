"""A real server that answers POST inputs as the contract says, and fails in every way that a far side can.

It accepts by default and knows every id it has accepted. `script` holds replies for the next requests, first come
first served, `standing` the one for all others; each is one of the functions below.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web

from support.door import Door

ACCEPTED = 30001
SUCCESS = 10000
MIXED = 10010
FAILURE = 10020
DUPLICATE = {"code": 30100, "description": "Input duplicate", "details": "Input has a duplicate ID."}


class Posted(NamedTuple):
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def ids(self) -> list[str]:
        return [item["id"] for item in self.body["inputs"]]


Reply = Callable[[web.Request, Posted], Awaitable[web.StreamResponse]]


class ClarifaiFake:
    """What was posted, what is stored, and what is to happen next."""

    door: Door

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.stored: dict[str, dict[str, Any]] = {}
        self.refused: dict[str, int] = {}
        """Ids that are refused one by one, each with its code."""
        self.script: deque[Reply] = deque()
        self.standing: Reply | None = None
        self.url = ""
        self.released = asyncio.Event()
        """Lets hanging requests go."""

    def plan(self, *replies: Reply) -> None:
        self.script.extend(replies)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        posted = Posted(request.path, dict(request.headers), await request.json())
        self.posted.append(posted)
        if self.script:
            return await self.script.popleft()(request, posted)
        return self._accept(posted) if self.standing is None else await self.standing(request, posted)

    def _accept(self, posted: Posted) -> web.Response:
        statuses = [self._store(item) for item in posted.body["inputs"]]
        bad = sum(status["code"] != ACCEPTED for status in statuses)
        code = SUCCESS if not bad else FAILURE if bad == len(statuses) else MIXED
        inputs = [{"id": item_id, "status": status} for item_id, status in zip(posted.ids, statuses, strict=True)]
        return web.json_response({"status": {"code": code}, "inputs": inputs}, status=400 if code == FAILURE else 200)

    def _store(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["id"] in self.refused:
            return {"code": self.refused[item["id"]], "description": "refused"}
        if item["id"] in self.stored:
            return DUPLICATE
        self.stored[item["id"]] = item
        return {"code": ACCEPTED}

    async def hang(self, _request: web.Request, _posted: Posted) -> web.StreamResponse:
        """Takes the request and says nothing."""
        await self.released.wait()
        return web.Response()

    async def accept_and_leave(self, request: web.Request, posted: Posted) -> web.StreamResponse:
        """The same, and nobody listens any more until the door is opened again."""
        await self.door.close()
        return await self.accept_and_vanish(request, posted)

    async def accept_and_vanish(self, request: web.Request, posted: Posted) -> web.StreamResponse:
        """Stores the inputs, then closes in the middle of the answer."""
        self._accept(posted)
        return await close_mid_answer(request, posted)


def status(code: int, http_status: int = 200, *, headers: Mapping[str, str] | None = None, details: str = "") -> Reply:
    """An answer in the contract's envelope that names no input."""

    async def reply(_request: web.Request, _posted: Posted) -> web.StreamResponse:
        wire = {"status": {"code": code, "description": "scripted", "details": details}}
        return web.json_response(wire, status=http_status, headers=headers)

    return reply


def plain(http_status: int, text: str = "", *, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer as a proxy on the way gives it: HTML, no envelope."""

    async def reply(_request: web.Request, _posted: Posted) -> web.StreamResponse:
        return web.Response(status=http_status, text=text, content_type="text/html", headers=headers)

    return reply


def refuse_batches(code: int, http_status: int, culprit: str) -> Reply:
    """Refuses the whole request while it holds `culprit`, without saying which input is at fault."""

    async def reply(request: web.Request, posted: Posted) -> web.StreamResponse:
        fake: ClarifaiFake = request.app[FAKE]
        fake.script.append(reply)
        if culprit in posted.ids:
            return web.json_response({"status": {"code": code, "description": "bad batch"}}, status=http_status)
        return fake._accept(posted)

    return reply


async def close_mid_answer(request: web.Request, _posted: Posted) -> web.StreamResponse:
    """Promises a body and cuts the connection before its end."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"status": {"code": 10000')
    if request.transport is not None:
        request.transport.abort()
    return response


FAKE: web.AppKey[ClarifaiFake] = web.AppKey("fake", ClarifaiFake)


@asynccontextmanager
async def clarifai_fake() -> AsyncIterator[ClarifaiFake]:
    """A running fake; its address is in `url`."""
    fake = ClarifaiFake()
    app = web.Application(client_max_size=200_000_000)
    app[FAKE] = fake
    app.router.add_post("/v2/users/{user}/apps/{app}/inputs", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    fake.door = Door(runner)
    try:
        await fake.door.open()
        fake.url = fake.door.url
        yield fake
    finally:
        fake.released.set()
        await runner.cleanup()


def ids_of(posted: Sequence[Posted]) -> list[list[str]]:
    return [each.ids for each in posted]
