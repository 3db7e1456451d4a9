from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sidecar.cli.demo import traffic
from sidecar.cli.demo.children import DemoError

MakeServer = Callable[[web.Application], Awaitable[TestServer]]


class Model:
    """A model that notes who called, with what, and over how many connections."""

    def __init__(self, fails_at: int = 0) -> None:
        self.calls: list[tuple[str, bytes]] = []
        self.connections: set[object] = set()
        self._fails_at = fails_at

    async def answer(self, request: web.Request) -> web.Response:
        self.connections.add(request.transport)
        self.calls.append((request.headers.get("X-Caller-Id", ""), await request.read()))
        is_broken = len(self.calls) == self._fails_at
        return web.json_response({"error": "broken"}, status=500) if is_broken else web.json_response({})

    async def serve(self, make: MakeServer) -> str:
        app = web.Application()
        app.router.add_post("/predict", self.answer)
        return str((await make(app)).make_url("/predict"))


async def test_every_caller_sends_all_of_its_own_over_connections_that_are_kept(aiohttp_server: MakeServer) -> None:
    model, answered = Model(), Counter[str]()
    url = await model.serve(aiohttp_server)
    bodies = {name: [f"{name}{index}".encode() for index in range(20)] for name in ("alice", "bob", "")}
    await traffic.send(url, bodies, lambda: answered.update(["answer"]))
    assert Counter(model.calls) == Counter((name, body) for name, theirs in bodies.items() for body in theirs)
    assert answered == {"answer": 60}
    assert len(model.connections) <= len(bodies) * traffic.CONNECTIONS_PER_CALLER


async def test_a_call_that_fails_ends_the_traffic_and_says_why(aiohttp_server: MakeServer) -> None:
    model = Model(fails_at=7)
    url = await model.serve(aiohttp_server)
    with pytest.raises(DemoError, match=r"answered 500: .*broken"):
        await traffic.send(url, {"alice": [b"x"] * 50, "bob": [b"y"] * 50}, lambda: None)
    assert len(model.calls) < 100


async def test_a_server_that_is_not_there_is_named(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/predict"
    with pytest.raises(DemoError, match=url):
        await traffic.send(url, {"alice": [b"x"]}, lambda: None)


async def test_measured_calls_go_both_ways_in_turn_and_one_at_a_time(aiohttp_server: MakeServer) -> None:
    order: list[str] = []
    busy = asyncio.Lock()

    async def answer(request: web.Request) -> web.Response:
        assert not busy.locked()
        async with busy:
            order.append(request.path)
            return web.json_response({"got": len(await request.read())})

    app = web.Application()
    app.router.add_post("/{way}", answer)
    server = await aiohttp_server(app)
    direct, through = (str(server.make_url(path)) for path in ("/direct", "/through"))
    pairs = traffic.WARM_UP_PAIRS + 4
    latencies = await traffic.measure(direct, through, "alice", [b"x"] * pairs, lambda: None)
    assert order[:4] == ["/through", "/direct", "/direct", "/through"]
    assert Counter(order) == {"/direct": pairs, "/through": pairs}
    assert (len(latencies.direct), len(latencies.through)) == (4, 4)
    assert min(*latencies.direct, *latencies.through) > 0


def test_a_body_is_a_predict_call_with_the_image() -> None:
    (instance,) = json.loads(traffic.body_of(b"\x89PNG"))["instances"]
    assert base64.b64decode(instance["b64"]) == b"\x89PNG"
