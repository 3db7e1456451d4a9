"""Whatever goes off in the engine, callers are answered meanwhile, and what it cost is counted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.bombs import EATER, LOOPER, json_bomb, leave_little_memory, outlasts, policies, throw
from support.product import Product, assert_sums_hold
from support.relay_end import Model, always, answer

ANSWER = answer(b'{"predictions": [[0.9, 0.05, 0.05]]}', headers=b"Content-Type: application/json\r\n")
BOMB_BYTES = 100 << 20
ENOUGH = 100
MANY = 300


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """It wants some calls of a model that answers at once."""
    model = Model(always(ANSWER))
    address = await model.start()
    product = Product(tmp_path, f"http://{address}", max_body="128MiB", relay_memory="512MiB", queue_memory="512MiB")
    for name, text in policies(rounds=5).items():
        product.policy(name, text)
    async with product:
        yield product
    await model.stop()


async def predictions(product: Product, count: int) -> None:
    for _ in range(count):
        await throw(product, EATER)


async def is_back(product: Product) -> dict[str, Any]:
    """The ledger, once predictions are taken again."""
    before = (await product.settled())["exchanges"]["taken"]
    await predictions(product, 1)
    ledger: dict[str, Any] = await product.eventually(
        "/v1/ledger", lambda ledger: ledger["exchanges"]["taken"] <= before
    )
    assert ledger["exchanges"]["taken"] > before
    assert_sums_hold(ledger)
    return ledger


async def test_an_engine_that_is_killed_or_starved_under_load_costs_copies_and_no_prediction(product: Product) -> None:
    is_over = asyncio.Event()

    async def call() -> int:
        count = 0
        while not is_over.is_set():
            await predictions(product, 1)
            count += 1
        return count

    callers = [asyncio.create_task(call()) for _ in range(8)]
    [engine] = product.engine_pids()
    os.kill(engine, signal.SIGSTOP)
    await predictions(product, ENOUGH)
    os.kill(engine, signal.SIGKILL)
    await product.eventually("/v1/ledger", lambda ledger: not ledger["exchanges"]["relays"])
    is_over.set()
    answered = sum(await asyncio.gather(*callers)) + ENOUGH
    ledger = await product.settled()
    assert ledger["exchanges"]["seen"] == answered
    assert ledger["exchanges"]["lost"]["engine_away"] >= ENOUGH
    lost = sum((await is_back(product))["exchanges"]["lost"].values())

    [engine] = product.engine_pids()
    leave_little_memory(engine)
    await throw(product, EATER, json_bomb(BOMB_BYTES))
    await predictions(product, ENOUGH)
    assert sum((await is_back(product))["exchanges"]["lost"].values()) > lost


async def test_an_operator_without_end_and_a_huge_body_keep_the_engine_busy_and_no_caller(product: Product) -> None:
    await throw(product, LOOPER)
    await outlasts(product, MANY)
    await is_back(product)
    await throw(product, EATER, json_bomb(BOMB_BYTES))
    await outlasts(product, MANY)
    await is_back(product)
