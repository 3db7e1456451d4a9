"""An S3 server (moto's), behind a door that can be asked for trouble: it answers in its place, or keeps silent."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import boto3
from aiohttp import web
from moto.server import ThreadedMotoServer

from support.door import Door

BUCKET = "kept"
KEY, SECRET, REGION = "AKIAEXAMPLE", "a-very-secret-key", "us-east-1"
Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class S3Server:
    """Its bucket is `kept`; `standing` answers instead of the server while it is set."""

    def __init__(self, session: aiohttp.ClientSession, behind: str) -> None:
        self._session = session
        self._behind = behind
        self.standing: Reply | None = None
        self.released = asyncio.Event()
        self.door: Door

    @property
    def url(self) -> str:
        return self.door.url

    async def ask(self, method: str, path: str) -> bytes:
        """One request to the server itself."""
        async with self._session.request(method, self._behind + path) as response:
            return await response.read()

    async def objects(self) -> dict[str, bytes]:
        """Every object in the bucket, as another client of the server reads it."""
        return await asyncio.to_thread(self._objects)

    def _objects(self) -> dict[str, bytes]:
        client = boto3.client(
            "s3", endpoint_url=self._behind, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )
        try:
            keys = [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", ())]
            return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
        finally:
            client.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        return await self.standing(request) if self.standing else await self._pass_on(request, content)

    async def _pass_on(self, request: web.Request, content: bytes) -> web.Response:
        url = self._behind + request.raw_path
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        async with self._session.request(request.method, url, data=content, headers=headers) as response:
            passed = {name: response.headers[name] for name in ("ETag", "Last-Modified") if name in response.headers}
            kind = response.content_type
            return web.Response(status=response.status, body=await response.read(), headers=passed, content_type=kind)

    async def hang(self, _request: web.Request) -> web.StreamResponse:
        await self.released.wait()
        return web.Response()

    async def take_and_vanish(self, request: web.Request) -> web.StreamResponse:
        """Does what is asked and lets nobody know."""
        await self._pass_on(request, await request.read())
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def refusal(status: int, code: str, message: str = "") -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")

    return reply


@contextmanager
def credentials() -> Iterator[None]:
    """Where the library looks for them."""
    given = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@functools.cache
def moto_url() -> str:
    """Of the one server of this process, which is there to its end: stopping it takes half a second."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    return f"http://{host}:{port}"


@asynccontextmanager
async def s3_server() -> AsyncIterator[S3Server]:
    """The server with an empty bucket."""
    with credentials():
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            server = S3Server(session, moto_url())
            app = web.Application(client_max_size=2**30)
            app.router.add_route("*", "/{path:.*}", server.handle)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            server.door = Door(runner)
            await server.door.open()
            await server.ask("POST", "/moto-api/reset")
            await server.ask("PUT", f"/{BUCKET}")
            try:
                yield server
            finally:
                server.released.set()
                await runner.cleanup()
