"""The queue by hand: narrowed by what is there, kept in the address, tried again and given up by keyboard."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from support.browser import Screen, open_screen
from support.clarifai_app import clarifai_fake, status
from support.page import SCRIPT, TOKEN, post
from support.product import Product

pytestmark = pytest.mark.asyncio(loop_scope="session")
INVALID = 11102
"""What the far side answers, with markup in its details."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def refusing() -> AsyncIterator[dict[str, Any]]:
    """Options of a destination that refuses every input for good."""
    async with clarifai_fake() as far:
        far.standing = status(INVALID, 400, details=SCRIPT)
        yield {"clarifai": {"base_url": far.url, "user_id": "u", "app_id": "a"}}


async def collect(house: Product, name: str, destination: Any, calls: int) -> None:
    """A collector of a model of its own, both of that `name`, and so many inputs of it in the queue or dead."""
    collector = {"id": name, "source": {"model": name}, "pre_queue_random_sample": 1, "destination": destination}
    await post(house, "/v2/collectors", {"collectors": [collector]})
    for number in range(calls):
        assert (await house.predict([f"text {number}"], name))[0] == 200


async def sums_of(house: Product, name: str) -> dict[str, int]:
    sums: dict[str, int] = (await house.settled(pending=True))["collectors"][name]
    return sums


async def all_dead(house: Product, name: str, calls: int) -> None:
    await house.eventually("/v1/ledger", lambda said: said["collectors"].get(name, {}).get("dead") != calls)


async def test_a_dead_letter_is_tried_again_and_given_up_by_keyboard_alone(
    house: Product, screen: Screen, refusing: dict[str, Any]
) -> None:
    await collect(house, "letters", refusing, 5)
    await all_dead(house, "letters", 5)
    page = screen.page
    await screen.open("queue?state=dead&collector=letters")
    await screen.row("letters", "dead", SCRIPT)
    boxes = page.get_by_role("checkbox", name="Choose job")
    await expect(boxes).to_have_count(5)
    await boxes.first.press("Space")
    discard = page.get_by_role("button", name="Discard", exact=True)
    await discard.press("Enter")
    asked = page.get_by_role("alertdialog", name="Discard 1 dead letter?")
    await expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
    assert await screen.axe() == []
    await page.keyboard.press("Escape")
    await expect(asked).to_have_count(0)
    await expect(discard).to_be_focused()
    assert (await sums_of(house, "letters"))["dead"] == 5
    await discard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_text("1 was given up").wait_for()
    await expect(boxes).to_have_count(4)
    await page.get_by_role("button", name="Try all 4 that match").press("Enter")
    await page.get_by_text("4 are tried again.").wait_for()
    await all_dead(house, "letters", 4)
    assert (await sums_of(house, "letters"))["dropped"] == 1
    assert await page.evaluate("window.isRun === undefined")
    await page.get_by_role("link", name="Ledger").press("Enter")
    await expect(page.get_by_role("heading", name="Ledger")).to_be_focused()
    await expect(page.get_by_text("dropped: discarded 1")).to_be_visible()


async def narrow(page: Page, label: str, value: str) -> None:
    await page.get_by_label(label).fill(value)


async def offered(page: Page, label: str) -> list[str]:
    values: list[str] = await page.get_by_label(label).evaluate(
        "field => [...field.list.options].map(each => each.value)"
    )
    return values


async def test_the_queue_is_narrowed_by_what_is_there_and_the_address_keeps_it(
    house: Product, screen: Screen, refusing: dict[str, Any]
) -> None:
    away = {"clarifai": {"base_url": "http://127.0.0.1:9", "user_id": "u", "app_id": "a"}, "name": "away"}
    await collect(house, "several", ["app", {**refusing, "name": "second"}, away], 3)
    await house.eventually(
        "/v1/jobs?collector=several&destination=second&state=dead", lambda said: len(said["jobs"]) < 3
    )
    page = screen.page
    await screen.open("queue")
    rows = page.get_by_role("table", name="Jobs").get_by_role("row").filter(has=page.get_by_role("checkbox"))
    standing = rows.filter(has_text="several").first.get_by_role("listitem")
    await expect(standing.nth(0)).to_contain_text("app delivered")
    await expect(standing.nth(1)).to_contain_text("away waits to be tried again: unreachable")
    await expect(standing.nth(2)).to_contain_text("second dead: invalid request")
    assert {"several", "refused"} <= set(await offered(page, "Collector"))
    assert {"app", "second", "away"} <= set(await offered(page, "Destination"))
    assert {"invalid_request", "http_404", "unreachable"} <= set(await offered(page, "Reason"))

    await narrow(page, "Destination", "second")
    await expect(rows).to_have_count(3)
    await narrow(page, "Reason", "invalid_request")
    await narrow(page, "Since", "2026-01-01T00:00")
    await expect(page.get_by_role("button", name="Try all 3 that match")).to_be_visible()
    await expect(page).to_have_url(re.compile("destination=second&reason=invalid_request&since=2026-01-01T"))
    await page.reload()
    await expect(rows).to_have_count(3)
    await expect(page.get_by_label("Destination")).to_have_value("second")
    await expect(page.get_by_label("Since")).to_have_value("2026-01-01T00:00")
    await narrow(page, "Until", "2026-01-02T00:00")
    await page.get_by_text("Nothing matches.").wait_for()
    await expect(page.get_by_role("button", name="that match")).to_have_count(0)

    await screen.open("queue?since=yesterday")
    await page.get_by_text("since: must be").wait_for()
    await screen.leave_after("400 (Bad Request)")


async def test_all_that_the_filters_find_is_given_up_after_a_question_with_their_count(
    house: Product, screen: Screen, refusing: dict[str, Any]
) -> None:
    await collect(house, "many", refusing, 55)
    await all_dead(house, "many", 55)
    others = (await house.get("/v1/ledger"))["total"]["dead"] - 55
    page = screen.page
    await screen.open("queue?collector=many")
    await page.get_by_role("button", name="Discard all 55 that match").click()
    asked = page.get_by_role("alertdialog", name="Discard 55 dead letters that match?")
    await asked.get_by_role("button", name="Cancel").click()
    assert (await sums_of(house, "many"))["dead"] == 55
    await page.get_by_role("button", name="Discard all 55 that match").click()
    await asked.get_by_role("button", name="Discard 55").click()
    await page.get_by_text("55 were given up").wait_for()
    sums = await sums_of(house, "many")
    assert (sums["dead"], sums["dropped"]) == (0, 55)
    assert (await house.get("/v1/ledger"))["total"]["dead"] == others


async def test_whoever_may_not_change_jobs_is_told_what_it_takes(locked: Product, browser: Browser) -> None:
    dead = {"clarifai": {"base_url": locked.url, "user_id": "u", "app_id": "a"}}
    collector = {"id": "shut", "source": {"model": "shut"}, "pre_queue_random_sample": 1, "destination": dead}
    await post(locked, "/v2/collectors", {"collectors": [collector]}, token=TOKEN)
    key = await post(locked, "/v1/keys", {"name": "dashboard", "scopes": ["read"]}, token=TOKEN)
    assert (await locked.predict(["text"], "shut"))[0] == 200
    async with open_screen(locked, browser) as screen:
        page = screen.page
        await page.goto(f"{locked.admin}/#/queue?collector=shut")
        await page.get_by_label("This sidecar asks for its admin token").fill(key["token"])
        await page.get_by_role("button", name="Open").click()
        await screen.row("shut", "dead")
        await page.get_by_text("takes a key with the scope write").wait_for()
        await expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)
