"""Every view, with what anybody may have sent in it: shown and never run, read out, narrow and dark, behind a token."""

from __future__ import annotations

import base64

import pytest
from playwright.async_api import Browser, expect
from support.browser import NARROW, VIEWS, Screen, open_screen
from support.page import IMAGE, SCRIPT, TOKEN, post
from support.product import Product

pytestmark = pytest.mark.asyncio(loop_scope="session")
LOOKS = ("color-contrast", "scrollable-region-focusable", "target-size")
"""The rules by which dark and narrow can be another matter than light and wide."""


async def stories(house: Product) -> list[str]:
    inputs = (await house.get("/v2/inputs?collector=kept"))["inputs"]
    return [f"input/{each['id']}" for each in inputs if "text" in each["data"] or "raw" in each["data"]]


async def is_well(screen: Screen, view: str, *rules: str) -> None:
    assert await screen.axe(*rules) == [], view
    assert await screen.page.evaluate("window.isRun === undefined"), view
    assert screen.faults == [], view


async def test_every_view_can_be_read_out_and_runs_nothing_of_what_was_captured(house: Product, screen: Screen) -> None:
    for view in (*VIEWS, "collector/kept", *await stories(house)):
        await screen.open(view)
        await is_well(screen, view)


async def test_every_view_is_as_well_dark_and_narrow(house: Product, browser: Browser) -> None:
    async with open_screen(house, browser, NARROW, "dark") as screen:
        for view in (*VIEWS, (await stories(house))[0]):
            await screen.open(view)
            await is_well(screen, view, *LOOKS)
            assert not await screen.overflows(), view
            assert await screen.page.evaluate("nav.scrollWidth <= nav.clientWidth"), view


async def test_what_was_captured_is_shown(house: Product, screen: Screen) -> None:
    inputs = (await house.get("/v2/inputs?collector=kept"))["inputs"]
    await screen.open("inputs?collector=kept")
    await expect(screen.page.get_by_role("blockquote").filter(has_text=SCRIPT)).to_be_visible()
    await expect(screen.page.get_by_role("main").get_by_role("link")).to_have_count(len(inputs))
    await expect(screen.page.get_by_role("img", name="numbers, drawn as a")).to_have_count(1)
    for image in await screen.page.locator("img").all():
        await expect(image).not_to_have_js_property("naturalWidth", 0)
    await screen.open("traffic")
    await expect(screen.page.get_by_role("cell", name=SCRIPT)).to_be_visible()
    await screen.page.get_by_text("Listening.").wait_for()
    await house.predict(["heard"], **{"X-Caller-Id": "bob"})
    heard = screen.page.get_by_role("list", name="Calls as they pass").get_by_role("listitem")
    await expect(heard.filter(has_text="bob").filter(has_text="kept: kept")).to_have_count(1)


async def test_a_page_behind_a_token_asks_for_it_and_shows_images_with_it(locked: Product, browser: Browser) -> None:
    image = {"image": {"base64": base64.b64encode(IMAGE).decode()}}
    await post(locked, "/v2/inputs", {"inputs": [{"id": "seen", "data": image}]}, token=TOKEN)
    async with open_screen(locked, browser) as screen:
        page = screen.page
        await page.goto(f"{locked.admin}/#/inputs")
        field = page.get_by_label("This sidecar asks for its admin token")
        await field.fill("wrong")
        await field.press("Enter")
        await page.get_by_text("That is not its token.").wait_for()
        assert await screen.axe() == []
        await field.fill(TOKEN)
        await field.press("Enter")
        await expect(page.get_by_role("img", name="input seen")).not_to_have_js_property("naturalWidth", 0)
        assert TOKEN not in page.url


async def test_whoever_lacks_a_scope_is_told_so_in_plain_words(locked: Product, browser: Browser) -> None:
    keys = {}
    for scope in ("read", "inputs"):
        keys[scope] = await post(locked, "/v1/keys", {"name": f"only {scope}", "scopes": [scope]}, token=TOKEN)
    async with open_screen(locked, browser) as screen:
        page = screen.page
        await page.goto(f"{locked.admin}/#/events")
        await page.get_by_label("This sidecar asks for its admin token").fill(keys["inputs"]["token"])
        await page.get_by_role("button", name="Open").click()
        for view in ("Settings", "Keys", "Events"):
            await page.get_by_role("navigation", name="Admin").get_by_role("link", name=view).click()
            await expect(page.get_by_role("heading", name=view)).to_be_focused()
            await page.get_by_text("This view is not open to you.").wait_for()
            await page.get_by_text("this needs the scope read; the key has inputs").wait_for()
        assert await screen.axe() == []
        await page.get_by_role("link", name="Inputs").click()
        await page.get_by_text("this needs the scope read").wait_for()
        await page.evaluate("sessionStorage.clear()")
        await page.reload()
        await page.get_by_label("This sidecar asks for its admin token").fill(keys["read"]["token"])
        await page.get_by_role("button", name="Open").click()
        await page.get_by_text("this needs the scope inputs").wait_for()
        await page.get_by_role("link", name="Ledger").click()
        await page.get_by_text("accounted for").wait_for()
        await page.goto(f"{locked.admin}/#/keys")
        await page.get_by_label("Name").fill("more")
        await page.get_by_label("read", exact=True).check()
        await page.get_by_role("button", name="Create key").click()
        await page.get_by_role("alert").filter(has_text="this needs the scope write; the key has read").wait_for()
