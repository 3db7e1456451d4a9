"""Record files in a bucket of a real S3 server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

import orjson
from support.s3_server import BUCKET, SECRET, Reply, refusal, s3_server

from contract.end import Case, End, Trouble


class S3End(End):
    kind = "files"
    can_tell_repeats = False
    impatience: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 0.1}
    secret = SECRET
    cannot: ClassVar[Mapping[Case, str]] = {
        Case.REFUSING_ONE: "a store takes any line or none: it does not read them",
        Case.TOO_SMALL: "an object may hold more than any delivery: 5 GB",
    }

    async def start(self) -> None:
        self._running = AsyncExitStack()
        self._server = await self._running.enter_async_context(s3_server())

    async def stop(self) -> None:
        await self._running.aclose()

    def options(self) -> Mapping[str, Any]:
        return {"url": f"s3://{BUCKET}/some/where", "endpoint": self._server.url}

    async def stored(self) -> list[str]:
        contents = (await self._server.objects()).values()
        return [orjson.loads(line)["input_id"] for content in contents for line in content.splitlines()]

    def throttling(self) -> Trouble:
        return self._answering(refusal(503, "SlowDown"))

    def failing(self) -> Trouble:
        return self._answering(refusal(500, "InternalError"))

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        await self._server.ask("DELETE", f"/{BUCKET}")
        yield
        await self._server.ask("PUT", f"/{BUCKET}")

    def locked_out(self) -> Trouble:
        return self._answering(refusal(403, "InvalidAccessKeyId", f"there is no {SECRET}"))

    def hanging(self) -> Trouble:
        return self._answering(self._server.hang)

    @asynccontextmanager
    async def going_away(self) -> AsyncIterator[None]:
        """Takes each part and leaves without a word."""
        async with self._answering(self._server.take_and_vanish):
            yield

    @asynccontextmanager
    async def _answering(self, reply: Reply) -> AsyncIterator[None]:
        self._server.standing = reply
        yield
        self._server.standing = None
        self._server.released.set()
