"""Nothing is unaccounted: both sums of the running product, through deaths, hangs and inputs that kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.clarifai_app import clarifai_fake, plain
from support.model_app import SURE, UNSURE, ModelApp, model_app
from support.product import Product, assert_sums_hold

FEW = "pre_queue_random_sample: 0.2"
ASKS = "collector: {id: asks, source: {model: digits}, post_queue_workflow_id: second, keep_input: true}"
SECOND = "workflow: {id: second, nodes: [{id: second, model: {model_id: second}}]}"


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(lambda instance: UNSURE if instance[0] % 2 else SURE) as app:
        yield app


@pytest.fixture
async def second() -> AsyncIterator[ModelApp]:
    async with model_app(lambda _instance: SURE) as app:
        yield app


def with_second(home: Path, model: ModelApp, second: ModelApp) -> Product:
    product = Product(home, model.url, models=f"second={second.url}/v1/models/second:predict")
    product.policy("asks", ASKS)
    product.policy("second", SECOND)
    return product


async def stored(product: Product) -> int:
    with sqlite3.connect(product.data / "sidecar.db") as database:
        (count,) = database.execute("SELECT count(*) FROM input").fetchone()
    database.close()
    return int(count)


async def test_an_input_that_kills_every_engine_becomes_a_dead_letter_and_no_other_does(
    tmp_path: Path, model: ModelApp, second: ModelApp
) -> None:
    product = with_second(tmp_path, model, second)

    def answer(instance: Any) -> list[float]:
        if instance[0] == 13:
            product.kill_engine()
        return SURE

    second.answer = answer
    async with product:
        await product.predict([[number] for number in range(40)])
        ledger = await product.settled()
    assert_sums_hold(ledger)
    assert ledger["reasons"]["dead"] == {"engine_died": 1}
    assert ledger["total"]["delivered"] == 39


async def test_both_sums_hold_whatever_is_killed_or_hangs_under_load(
    tmp_path: Path, model: ModelApp, second: ModelApp
) -> None:
    product = with_second(tmp_path, model, second)
    is_over = asyncio.Event()

    async def call(first: int) -> None:
        number = first
        while not is_over.is_set():
            number += 1
            try:
                await product.predict([[number], [number + 1]])
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0)

    async def holds() -> None:
        ledger = await product.eventually("/v1/ledger", lambda ledger: not ledger["exchanges"]["relays"])
        assert_sums_hold(ledger)

    async with clarifai_fake() as app:
        posts_to = f"{{clarifai: {{base_url: '{app.url}', user_id: u, app_id: a}}}}"
        product.policy("posts", f"collector: {{id: posts, source: {{model: digits}}, destination: {posts_to}, {FEW}}}")
        app.plan(*[plain(503)] * 2, app.accept_and_vanish)
        async with product:
            clients = [asyncio.create_task(call(first)) for first in range(3)]
            for happens in (_kill_engine, _hang_engine, _kill_relay, _kill_all, _stop):
                await _more_delivered(product)
                await happens(product)
                await holds()
            is_over.set()
            await asyncio.gather(*clients)
            ledger = await product.settled()
            assert await stored(product) == ledger["collectors"]["asks"]["delivered"]
    assert_sums_hold(ledger)
    assert ledger["total"]["dead"] == 0


async def _more_delivered(product: Product) -> None:
    before = (await product.get("/v1/ledger"))["total"]["delivered"]
    await product.eventually("/v1/ledger", lambda ledger: ledger["total"]["delivered"] == before)


async def _kill_engine(product: Product) -> None:
    product.kill_engine()


async def _hang_engine(product: Product) -> None:
    (pid,) = product.engine_pids()
    os.kill(pid, signal.SIGSTOP)
    for number in range(50):
        await product.predict([[number]])
    os.kill(pid, signal.SIGCONT)


async def _kill_relay(product: Product) -> None:
    product.process.kill()
    await product.process.wait()
    await product.start()


async def _kill_all(product: Product) -> None:
    await product.kill()
    await product.start()


async def _stop(product: Product) -> None:
    assert await product.terminate() == 0
    await product.start()
