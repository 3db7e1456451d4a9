"""Whatever becomes of the engine and of its folder, predictions are answered; and SIGTERM takes its steps in order."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from support.model_app import SURE, ModelApp, model_app
from support.product import Product, assert_sums_hold

COLLECTOR = "collector: {id: kept, source: {model: digits}, pre_queue_random_sample: 1.0}"


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(lambda _: SURE) as app:
        yield app


@pytest.fixture
def product(tmp_path: Path, model: ModelApp) -> Product:
    product = Product(tmp_path, model.url, probes=f"127.0.0.1:{unused_port()}", drain_delay="1s")
    product.policy("kept", COLLECTOR)
    return product


async def _slowest_of(product: Product, count: int) -> float:
    """Seconds that the slowest of `count` predictions took; each is answered."""
    slowest = 0.0
    for number in range(count):
        began = time.monotonic()
        status, _ = await product.predict([[number]])
        assert status == 200
        slowest = max(slowest, time.monotonic() - began)
    return slowest


async def test_a_hung_engine_holds_no_prediction(product: Product) -> None:
    async with product:
        [engine] = product.engine_pids()
        os.kill(engine, signal.SIGSTOP)
        assert await _slowest_of(product, 200) < 1
        os.kill(engine, signal.SIGCONT)
        ledger = await product.settled()
        assert ledger["exchanges"]["taken"] == 200
        assert_sums_hold(ledger)


async def test_an_engine_that_dies_again_and_again_and_loses_its_folder_holds_no_prediction(product: Product) -> None:
    async with product:
        for _ in range(4):
            product.kill_engine()
            assert await _slowest_of(product, 50) < 1
        assert await _engine_deaths(product) >= 1  # those that had a successor to be killed
        shutil.rmtree(product.data)
        product.kill_engine()
        assert await _slowest_of(product, 50) < 1
        assert await asyncio.wait_for(product.terminate(), 20) == 0


async def _engine_deaths(product: Product) -> float:
    async with product.session.get(f"http://{product._settings['probes']}/metrics") as response:
        lines = (await response.text()).splitlines()
    [line] = [line for line in lines if line.startswith("sidecar_relay_engine_deaths_total ")]
    return float(line.rpartition(" ")[2])


async def _readiness(product: Product) -> int:
    async with product.session.get(f"http://{product._settings['probes']}/readyz") as response:
        return response.status


async def test_sigterm_is_told_to_the_balancer_first_and_new_clients_are_still_served(product: Product) -> None:
    async with product:
        assert await _readiness(product) == 200
        began = time.monotonic()
        product.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(0.9):
            while await _readiness(product) == 200:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0)
        async with aiohttp.ClientSession() as newcomer:
            url = f"{product.url}/v1/models/digits:predict"
            async with newcomer.post(url, json={"instances": [[1]]}) as response:
                assert response.status == 200
            assert await asyncio.wait_for(product.process.wait(), 20) == 0  # whose idle connection does not hold it
        assert 1 <= time.monotonic() - began < 10


async def test_a_second_sigterm_ends_everything_at_once(product: Product) -> None:
    async with product:
        [engine] = product.engine_pids()
        os.kill(engine, signal.SIGSTOP)
        product.process.send_signal(signal.SIGTERM)
        while "stopping" not in product.log:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0)
        assert await asyncio.wait_for(product.terminate(), 1) == 128 + signal.SIGTERM
