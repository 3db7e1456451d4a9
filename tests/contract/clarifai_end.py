"""A real server with the call POST inputs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

from aiohttp import web
from support.clarifai_app import Posted, Reply, clarifai_fake, plain, status

from contract.end import REFERENCE, End, Trouble
from sidecar.data import Data, Media
from sidecar.delivery.wire import MAX_IMAGE_BYTES


class ClarifaiEnd(End):
    kind = "clarifai"
    impatience: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 0.1}
    secret = "a-very-secret-key"

    async def start(self) -> None:
        self._running = AsyncExitStack()
        self._fake = await self._running.enter_async_context(clarifai_fake())

    async def stop(self) -> None:
        await self._running.aclose()

    def options(self) -> Mapping[str, Any]:
        return {"base_url": self._fake.url, "user_id": "me", "app_id": "kept", "key_id": REFERENCE}

    async def stored(self) -> list[str]:
        return list(self._fake.stored)

    @asynccontextmanager
    async def refusing_one(self, input_id: str) -> AsyncIterator[None]:
        self._fake.refused[input_id] = 30104
        yield
        self._fake.refused.clear()

    def throttling(self) -> Trouble:
        return self._answering(status(11005))

    def failing(self) -> Trouble:
        return self._answering(plain(502, "<html>bad gateway</html>"))

    def refusing(self) -> Trouble:
        return self._answering(status(11100, 400))

    def locked_out(self) -> Trouble:
        return self._answering(echo_the_key)

    def hanging(self) -> Trouble:
        return self._answering(self._fake.hang)

    @asynccontextmanager
    async def too_small(self) -> AsyncIterator[Data]:
        yield Data(image=Media(content=bytes(MAX_IMAGE_BYTES)))

    @asynccontextmanager
    async def going_away(self) -> AsyncIterator[None]:
        self._fake.script.append(self._fake.accept_and_leave)
        yield
        await self._fake.door.open()

    @asynccontextmanager
    async def _answering(self, reply: Reply) -> AsyncIterator[None]:
        self._fake.standing = reply
        yield
        self._fake.standing = None
        self._fake.released.set()


async def echo_the_key(request: web.Request, posted: Posted) -> web.StreamResponse:
    """Refuses the key, and repeats it, as careless servers do."""
    return await status(11009, 401, details=posted.headers["Authorization"])(request, posted)
