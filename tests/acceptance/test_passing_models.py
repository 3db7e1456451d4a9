"""Before there is any collector, the sidecar knows the models whose calls pass it: that one can be made for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.clients import who_serves
from support.model_app import SURE, model_app
from support.product import Product, assert_sums_hold
from support.relay_end import read_request

CLIENTS = 30
"""So many that each of two relays has some, but for one run in a thousand million."""
COLLECTOR = "collector: {id: kept, source: {model: letters}, pre_queue_random_sample: 1.0}"


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    async with model_app(lambda _: SURE) as model, Product(tmp_path, model.url, workers="2") as product:
        yield product


def passing(*models: str) -> list[dict[str, Any]]:
    return [{"model": model, "version": "", "collected": False} for model in models]


async def test_models_that_nobody_collects_are_offered_also_by_the_next_engine(product: Product) -> None:
    assert (await product.get("/v1/traffic"))["passing"] == []
    for path in ("/v1/models/a", "/v1/models/%0A:predict", f"/v1/models/{'x' * 300}:predict", "/random"):
        async with product.session.post(product.url + path, json={}) as response:
            await response.read()
    for model in ("letters", "numbers"):
        assert (await product.predict([[1]], model))[0] == 200
    said = await product.eventually("/v1/traffic", lambda said: len(said["passing"]) < 2)
    assert (said["passing"], said["sources"]) == (passing("letters", "numbers"), [])
    product.kill_engine()
    ledger = await product.settled()
    assert (ledger["exchanges"]["unwanted"], ledger["total"]["matched"]) == (6, 0)
    assert_sums_hold(ledger)
    said = await product.eventually("/v1/traffic", lambda said: len(said["passing"]) < 2)
    assert said["passing"] == passing("letters", "numbers")


async def test_each_relay_tells_what_passes_it(product: Product) -> None:
    port = int(product.url.rpartition(":")[2])
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CLIENTS)]
    for client in clients:
        await call(client, "digits")  # and so it has been accepted
    relays = [product.process.pid, *product.worker_pids()]
    serving = who_serves(port, relays)
    assert set(serving.values()) == set(relays)
    for client in clients:
        await call(client, f"of-{serving[client[1].get_extra_info('sockname')[1]]}")
        client[1].close()
    said = await product.eventually("/v1/traffic", lambda said: len(said["passing"]) <= len(relays))
    assert said["passing"] == passing("digits", *sorted(f"of-{relay}" for relay in relays))


async def call(client: tuple[asyncio.StreamReader, asyncio.StreamWriter], model: str) -> None:
    reader, writer = client
    writer.write(f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: m\r\nContent-Length: 17\r\n\r\n".encode())
    writer.write(b'{"instances":[1]}')
    assert (await read_request(reader)).startswith(b"HTTP/1.1 200")


async def test_a_model_that_is_collected_says_so(product: Product) -> None:
    for model in ("letters", "numbers"):
        await product.predict([[1]], model)
    product.policy("kept", COLLECTOR)
    await product.eventually("/v2/collectors", lambda said: not said["collectors"])
    said = await product.eventually("/v1/traffic", lambda said: len(said["passing"]) < 2)
    assert {each["model"]: each["collected"] for each in said["passing"]} == {"letters": True, "numbers": False}
