"""A real server that speaks every shape in which a node can ask a model, and fails in every way that one can.

It answers by default; `script` holds replies for the next requests, first come first served, each one of the functions
below. `away` and `back` close and open its port.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from sidecar.model_server import ModelServer

EMBEDDING = [0.25, -0.5, 1.5]
PROBABILITIES = [0.75, 0.25]
CAT = {"id": "cat", "name": "cat", "value": 0.75}
BOX = {"top_row": 0.1, "left_col": 0.2, "bottom_row": 0.6, "right_col": 0.7}
OK = {"code": 10000, "description": "Ok"}
CAPTION = "A cat on a mat."


class Asked(NamedTuple):
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        """Its JSON; of a binary one the part that is JSON."""
        length = self.headers.get("Inference-Header-Content-Length")
        body: dict[str, Any] = json.loads(self.content[: int(length)] if length else self.content)
        return body

    @property
    def binary(self) -> list[bytes]:
        """The elements after the JSON, each with its length before it."""
        rest = self.content[int(self.headers["Inference-Header-Content-Length"]) :]
        elements = []
        while rest:
            (length,) = struct.unpack("<I", rest[:4])
            if len(rest) < 4 + length:
                raise ValueError(f"an element of {length} bytes is cut short")
            elements.append(rest[4 : 4 + length])
            rest = rest[4 + length :]
        return elements


Reply = Callable[[web.Request, Asked], Awaitable[web.StreamResponse]]


class ModelFake:
    """What was asked, and what happens next."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: deque[Reply] = deque()
        self.caption = CAPTION
        self.released = asyncio.Event()
        """Lets hanging requests go."""
        self.waiting = 0
        self.most_waiting = 0
        self._arrived = asyncio.Condition()
        self._port = unused_port()
        self._server: TestServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def paths(self) -> Mapping[str, str]:
        """The address of each shape's call."""
        return {
            "tensorflow": f"{self.url}/v1/models/second:predict",
            "openinference": f"{self.url}/v2/models/embedder/infer",
            "clarifai": f"{self.url}/v2/users/u/apps/a/models/food/outputs",
            "clarifai-workflow": f"{self.url}/v2/users/u/apps/a/workflows/w/results",
            "chat": f"{self.url}/v1/chat/completions",
        }

    def server(self, shape: str = "tensorflow", **fields: Any) -> ModelServer:
        return ModelServer("m", self.paths[shape], **fields)

    def plan(self, *replies: Reply) -> None:
        self.script.extend(replies)

    async def back(self) -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/{path:.*}", self._handle)
        self._server = TestServer(app, host="127.0.0.1", port=self._port)
        await self._server.start_server(shutdown_timeout=0.1)

    async def away(self) -> None:
        self.released.set()
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(request.path, dict(request.headers), await request.read())
        self.asked.append(asked)
        if self.script:
            return await self.script.popleft()(request, asked)
        return web.json_response(self.answer(asked))

    def answer(self, asked: Asked) -> Any:
        kind = asked.path.rpartition("/")[2].rpartition(":")[2]
        return {
            "predict": self._tensorflow, "infer": self._openinference, "outputs": self._clarifai,
            "results": self._workflow, "completions": self._chat,
        }[kind](asked.body)  # fmt: skip

    def _tensorflow(self, body: dict[str, Any]) -> Any:
        return {"predictions": [PROBABILITIES for _ in body["instances"]]}

    def _openinference(self, body: dict[str, Any]) -> Any:
        (length,) = {tensor["shape"][0] for tensor in body["inputs"]}
        output = {"name": "embedding", "datatype": "FP32", "shape": [length, 3], "data": EMBEDDING * length}
        return {"model_name": "embedder", "model_version": "1", "outputs": [output]}

    def _clarifai(self, body: dict[str, Any]) -> Any:
        region = {"id": "r", "region_info": {"bounding_box": BOX}, "data": {"concepts": [CAT]}}
        data = {"concepts": [CAT], "regions": [region]}
        return {"status": OK, "outputs": [{"id": "o", "status": OK, "data": data} for _ in body["inputs"]]}

    def _workflow(self, body: dict[str, Any]) -> Any:
        outputs = [
            {"id": "1", "status": OK, "model": {"id": "captioner"}, "data": {"text": {"raw": self.caption}}},
            {"id": "2", "status": OK, "model": {"id": "tagger"}, "data": {"concepts": [CAT]}},
        ]
        return {"status": OK, "results": [{"status": OK, "outputs": outputs} for _ in body["inputs"]]}

    def _chat(self, body: dict[str, Any]) -> Any:
        return completion(self.caption, body["model"])

    async def hold(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        """Answers once it is released."""
        async with self._arrived:
            self.waiting += 1
            self.most_waiting = max(self.waiting, self.most_waiting)
            self._arrived.notify_all()
        await self.released.wait()
        self.waiting -= 1
        return web.json_response(self.answer(asked))

    async def until_waiting(self, count: int) -> None:
        """Until so many requests are held."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.waiting >= count)


def completion(content: Any, model: str = "m", **choice: Any) -> dict[str, Any]:
    """A chat completion in full, as OpenAI's API documents it."""
    message = {"role": "assistant", "content": content, "refusal": None}
    usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1741569952, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"} | choice],
        "usage": usage,
    }  # fmt: skip


def status(code: int, text: str = "no", **headers: str) -> Reply:
    async def reply(_request: web.Request, _asked: Asked) -> web.StreamResponse:
        return web.Response(status=code, text=text, headers={n.replace("_", "-"): v for n, v in headers.items()})

    return reply


def says(answer: Any) -> Reply:
    """200 with this JSON."""

    async def reply(_request: web.Request, _asked: Asked) -> web.StreamResponse:
        return web.json_response(answer)

    return reply


async def garbage(_request: web.Request, _asked: Asked) -> web.StreamResponse:
    return web.Response(body=b"\x00\xff<html>", content_type="application/json")


async def reset_mid_answer(request: web.Request, _asked: Asked) -> web.StreamResponse:
    """Promises a body and cuts the connection before its end."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"predictions": [[0.7')
    if request.transport is not None:
        request.transport.abort()
    return response


async def reset_at_once(request: web.Request, _asked: Asked) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def image_of(url: str) -> bytes:
    """The content of a data URL."""
    return base64.b64decode(url.partition(",")[2])


@contextlib.asynccontextmanager
async def model_fake() -> AsyncIterator[ModelFake]:
    """A running fake."""
    fake = ModelFake()
    await fake.back()
    try:
        yield fake
    finally:
        await fake.away()
