"""A real model server in the TF Serving shape, whose answers a test decides."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

Answer = Callable[[Any], list[Any]]
SURE = [0.9, 0.05, 0.05]
UNSURE = [0.4, 0.35, 0.25]


class ModelApp:
    """Answers each instance with `answer(instance)`; goes away and comes back on the same port."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[list[Any]] = []
        self.port = unused_port()
        self._server: TestServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _predict(self, request: web.Request) -> web.Response:
        instances = (await request.json())["instances"]
        self.asked.append(instances)
        return web.json_response({"predictions": [self.answer(instance) for instance in instances]})

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/models/{model}:predict", self._predict)
        self._server = TestServer(app, host="127.0.0.1", port=self.port)
        await self._server.start_server()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.close()
            self._server = None


@contextlib.asynccontextmanager
async def model_app(answer: Answer) -> AsyncIterator[ModelApp]:
    app = ModelApp(answer)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()
