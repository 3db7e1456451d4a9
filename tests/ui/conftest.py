"""One browser and one filled product for all that looks at the page: what a test changes there is its own."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from support.browser import Screen, open_browser, open_screen
from support.model_app import UNSURE, model_app
from support.page import IMAGE, SCRIPT, TOKEN, post
from support.product import Product

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>window.isRun = true</script></svg>"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """A product without a token that holds a bit of everything. Others' collectors there have models of their own, and
    post to the embedded app nothing but text."""
    async with model_app(lambda _: UNSURE) as model, Product(tmp_path_factory.mktemp("house"), model.url) as product:
        await fill(product)
        yield product


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def locked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """A product that asks for `TOKEN`, or a key of its own."""
    home = tmp_path_factory.mktemp("locked")
    async with model_app(lambda _: UNSURE) as model, Product(home, model.url, admin_token=TOKEN) as product:
        yield product


@pytest_asyncio.fixture(loop_scope="session")
async def screen(house: Product, browser: Browser) -> AsyncIterator[Screen]:
    """A wide window on the house, in which nothing may go wrong."""
    async with open_screen(house, browser) as screen:
        yield screen
        assert screen.faults == []


async def fill(product: Product) -> None:
    """Images, texts, numbers and dead jobs, from a caller and under a description that are no friends of ours."""
    dead = {"clarifai": {"base_url": product.url, "user_id": "u", "app_id": "a"}}
    every: dict[str, Any] = {"source": {"model": "digits"}, "pre_queue_random_sample": 1}
    kept = {**every, "id": "kept", "collect_outputs": True, "description": SCRIPT}
    await post(product, "/v2/collectors", {"collectors": [kept, {**every, "id": "refused", "destination": dead}]})
    encoded = [{"b64": base64.b64encode(content).decode()} for content in (IMAGE, SVG)]
    for instance in (*encoded, SCRIPT, [SCRIPT, 1], [0.5, -1.5, 2.0, 1.0, 3.0]):
        status, _ = await product.predict([instance], **{"X-Caller-Id": SCRIPT})
        assert status == 200
    await product.settled()
