"""Every view, with what anybody may have sent in it: shown and never run, read out, narrow and dark, behind a token."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from support.browser import NARROW, VIEWS, WIDE, Screen, open_browser, open_screen
from support.model_app import UNSURE, model_app
from support.product import Product

LOOKS = ("color-contrast", "scrollable-region-focusable", "target-size")
"""The rules by which dark and narrow can be another matter than light and wide."""
TOKEN = "page-token-0123456789"
SCRIPT = "<script>window.isRun = true</script><img src=x onerror='window.isRun = true'>"
IMAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8z8DAwMDAxMDAwMDAAAANHQEDasKb6QAAAABJRU5ErkJggg=="
)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>window.isRun = true</script></svg>"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


async def post(product: Product, path: str, content: Any, **headers: str) -> Any:
    async with product.session.post(product.admin + path, json=content, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def fill(product: Product) -> None:
    """Images, texts, numbers and dead jobs, from a caller and under a description that are no friends of ours."""
    dead = {"clarifai": {"base_url": product.url, "user_id": "u", "app_id": "a"}}
    source = {"model": "digits"}
    kept = {
        "id": "kept",
        "source": source,
        "pre_queue_random_sample": 1,
        "collect_outputs": True,
        "description": SCRIPT,
    }
    refused = {"id": "refused", "source": source, "pre_queue_random_sample": 1, "destination": dead}
    await post(product, "/v2/collectors", {"collectors": [kept, refused]})
    encoded = [{"b64": base64.b64encode(content).decode()} for content in (IMAGE, SVG)]
    for instance in (*encoded, SCRIPT, [SCRIPT, 1], [0.5, -1.5, 2.0, 1.0, 3.0]):
        status, _ = await product.predict([instance], **{"X-Caller-Id": SCRIPT})
        assert status == 200
    await product.settled()


async def test_what_was_captured_is_shown_and_never_run_and_every_view_can_be_read_out(
    tmp_path: Path, browser: Browser
) -> None:
    async with model_app(lambda _: UNSURE) as model, Product(tmp_path, model.url) as product:
        await fill(product)
        inputs = (await product.get("/v2/inputs"))["inputs"]
        stories = [f"input/{each['id']}" for each in inputs if "text" in each["data"] or "raw" in each["data"]]
        async with open_screen(product, browser, WIDE) as screen:
            for view in (*VIEWS, "collector/kept", *stories):
                await screen.open(view)
                await is_well(screen, view)
            await screen.open("inputs")
            await expect(screen.page.get_by_role("blockquote").filter(has_text=SCRIPT)).to_be_visible()
            await expect(screen.page.get_by_role("main").get_by_role("link")).to_have_count(len(inputs))
            await expect(screen.page.get_by_role("img", name="numbers, drawn as a")).to_have_count(1)
            for image in await screen.page.locator("img").all():
                await expect(image).not_to_have_js_property("naturalWidth", 0)
            await screen.open("traffic")
            await expect(screen.page.get_by_role("cell", name=SCRIPT)).to_be_visible()
            await screen.page.get_by_text("Listening.").wait_for()
            await product.predict([1], **{"X-Caller-Id": "bob"})
            heard = screen.page.get_by_role("list", name="Calls as they pass").get_by_role("listitem")
            await expect(heard.filter(has_text="bob").filter(has_text="kept: kept")).to_have_count(1)
        async with open_screen(product, browser, NARROW, "dark") as screen:
            for view in (*VIEWS, stories[0]):
                await screen.open(view)
                await is_well(screen, view, *LOOKS)
                assert not await screen.overflows(), view


async def is_well(screen: Screen, view: str, *rules: str) -> None:
    assert await screen.axe(*rules) == [], view
    assert await screen.page.evaluate("window.isRun === undefined"), view
    assert screen.faults == [], view


async def test_a_dead_letter_is_tried_again_and_given_up_by_keyboard_alone(tmp_path: Path, browser: Browser) -> None:
    async with model_app(lambda _: UNSURE) as model, Product(tmp_path, model.url) as product:
        await fill(product)
        async with open_screen(product, browser) as screen:
            page = screen.page
            await screen.open("queue?state=dead")
            await screen.row("refused", "dead")
            boxes = page.get_by_role("checkbox", name="Choose job")
            await expect(boxes).to_have_count(5)
            await boxes.first.press("Space")
            await page.get_by_role("button", name="Discard").press("Enter")
            await page.get_by_text("1 were given up").wait_for()
            await expect(boxes).to_have_count(4)
            await page.get_by_role("button", name="Try every dead letter again").press("Enter")
            await page.get_by_text("4 are tried again.").wait_for()
            ledger = await product.settled()
            assert (ledger["total"]["dead"], ledger["reasons"]["dropped"]) == (4, {"discarded": 1})
            await page.get_by_role("link", name="Ledger").press("Enter")
            await expect(page.get_by_role("heading", name="Ledger")).to_be_focused()
            await expect(page.get_by_text("dropped: discarded 1")).to_be_visible()
            assert screen.faults == []


async def test_a_page_behind_a_token_asks_for_it_and_shows_images_with_it(tmp_path: Path, browser: Browser) -> None:
    async with (
        model_app(lambda _: UNSURE) as model,
        Product(tmp_path, model.url, admin_token=TOKEN) as product,
        open_screen(product, browser) as screen,
    ):
        image = {"image": {"base64": base64.b64encode(IMAGE).decode()}}
        await post(product, "/v2/inputs", {"inputs": [{"id": "seen", "data": image}]}, Authorization=f"Key {TOKEN}")
        page = screen.page
        await page.goto(f"{product.admin}/#/inputs")
        field = page.get_by_label("This sidecar asks for its admin token")
        await field.fill("wrong")
        await field.press("Enter")
        await page.get_by_text("That is not its token.").wait_for()
        assert await screen.axe() == []
        await field.fill(TOKEN)
        await field.press("Enter")
        await expect(page.get_by_role("img", name="input seen")).not_to_have_js_property("naturalWidth", 0)
        assert TOKEN not in page.url
        key = {"name": "reader", "scopes": ["read"]}
        made = await post(product, "/v1/keys", key, Authorization=f"Key {TOKEN}")
        await page.evaluate("sessionStorage.clear()")
        await page.reload()
        await field.fill(made["token"])
        await field.press("Enter")
        await page.get_by_text("this needs the scope inputs").wait_for()
        await page.get_by_role("link", name="Ledger").click()
        await page.get_by_text("accounted for").wait_for()
