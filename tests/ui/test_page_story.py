"""A collector's whole life, by hand: made, seen to collect, tried with another threshold, paused, changed, deleted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from support.browser import Screen, open_screen
from support.model_app import model_app
from support.product import Product, assert_sums_hold

pytestmark = pytest.mark.asyncio(loop_scope="session")
AFTER = """workflow:
  id: seven-after
  nodes:
    - id: many
      model: {model_id: many, model_type_id: metadata-filter, output_info: {params: {expression: "caller == 'alice'"}}}
"""


def answer(instance: Any) -> list[float]:
    top = 0.5 + (instance[0] * 37 % 100) / 200
    return [top, 1.0 - top]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    home = tmp_path_factory.mktemp("story")
    async with model_app(answer) as model, Product(home, model.url) as product:
        yield product


@pytest_asyncio.fixture(loop_scope="session")
async def screen(product: Product, browser: Browser) -> AsyncIterator[Screen]:
    async with open_screen(product, browser) as screen:
        yield screen
        assert screen.faults == []


async def send(product: Product, first: int, count: int = 10) -> None:
    for number in range(first, first + count):
        status, _ = await product.predict([[number, 1, 2, 3]], **{"X-Caller-Id": "alice" if number % 2 else "bob"})
        assert status == 200


async def fill_in(page: Page, product: Product) -> None:
    """The form of a new collector, with both of its workflows written by hand."""
    await page.get_by_label("Name", exact=True).fill("unsure")
    await page.get_by_label("Model", exact=True).fill("digits")
    await page.get_by_role("combobox", name="Workflow before the queue").select_option("Write a new one …")
    await page.get_by_role("combobox", name="Workflow after the queue").select_option("Write a new one …")
    texts = page.get_by_label("Nodes, as YAML or JSON")
    await texts.nth(1).fill(AFTER.replace("metadata-filter", "metadata-filler"))
    await page.get_by_role("button", name="line 5, nodes[0].model.model_type_id").wait_for()
    await page.get_by_role("button", name="Create collector").click()
    assert (await product.get("/v2/collectors"))["collectors"] == []
    await texts.nth(1).fill(AFTER)
    await page.get_by_label("Keep the original input").check()
    await page.get_by_label("Keep the model's output with the input").check()
    await page.get_by_role("button", name="line").wait_for(state="detached")


async def collectors(product: Product) -> dict[str, Any]:
    return {each["id"]: each for each in (await product.get("/v2/collectors"))["collectors"]}


async def test_a_collector_is_made_seen_to_collect_paused_changed_and_deleted(product: Product, screen: Screen) -> None:
    page = screen.page
    await screen.open("collectors")
    await page.get_by_role("main").get_by_role("link", name="New collector").first.click()
    await fill_in(page, product)
    await page.get_by_role("button", name="Create collector").click()
    await screen.row("unsure", "digits", "everyone", "what passes unsure-keeps")
    made = (await collectors(product))["unsure"]
    assert (made["pre_queue_workflow_id"], made["post_queue_workflow_id"]) == ("unsure-keeps", "seven-after")

    await send(product, 0)
    await product.settled()
    kept = [number for number in range(10) if max(answer([number])) < 0.6 and number % 2]
    delivered = page.get_by_title("Delivered: see them")
    await expect(delivered).to_have_text(str(len(kept)))
    await delivered.click()
    await expect(page.get_by_role("heading", name="Inputs")).to_be_visible()
    cards = page.get_by_role("link", name="Input of alice, kept by unsure")
    await expect(cards).to_have_count(len(kept))
    await page.get_by_label("Concept").fill("0")
    await page.get_by_label("largest probability").fill("0.51")
    fewer = [number for number in kept if max(answer([number])) <= 0.51]
    await expect(cards).to_have_count(len(fewer))
    await page.get_by_label("Caller").fill("bob")
    await page.get_by_text("Nothing matches.").wait_for()
    await page.get_by_label("Caller").fill("")
    await page.get_by_label("Concept").fill("")
    await expect(cards).to_have_count(len(kept))
    await cards.first.click()
    await expect(page.get_by_role("main")).to_contain_text("/v1/models/digits:predict")
    assert page.url.split("/")[-1] in [each["id"] for each in (await product.get("/v2/inputs"))["inputs"]]

    await screen.open("collectors")
    await page.get_by_role("switch", name="unsure is active").click()
    await expect(page.get_by_role("switch", name="unsure is active")).to_have_attribute("aria-checked", "false")
    assert (await collectors(product))["unsure"]["status"]["code"] == 52002
    matched = (await product.settled())["total"]["matched"]
    await send(product, 10)
    assert (await product.settled())["total"]["matched"] == matched
    await page.get_by_role("switch", name="unsure is active").press("Space")
    await expect(page.get_by_role("switch", name="unsure is active")).to_have_attribute("aria-checked", "true")

    await page.get_by_role("link", name="unsure", exact=True).click()
    await page.get_by_role("combobox", name="Workflow after the queue").select_option("none")
    await page.get_by_role("button", name="Save").click()
    await screen.row("unsure", "what passes unsure-keeps")
    changed = (await collectors(product))["unsure"]
    assert "post_queue_workflow_id" not in changed
    assert changed["created_at"] == made["created_at"]
    await send(product, 20)
    ledger = await product.settled()
    more = [number for number in range(20, 30) if max(answer([number])) < 0.6]
    assert ledger["total"]["delivered"] == len(kept) + len(more)
    assert_sums_hold(ledger)

    await page.get_by_role("button", name="Delete unsure").click()
    await page.get_by_role("button", name="Undo").click()
    assert list(await collectors(product)) == ["unsure"]
    await page.get_by_role("button", name="Delete unsure").click()
    await expect(page.get_by_role("button", name="Delete unsure")).to_have_count(0)
    await page.goto("about:blank")  # whoever leaves has decided
    await product.eventually("/v2/collectors", lambda said: bool(said["collectors"]))
    assert_sums_hold(await product.settled())


async def test_a_draft_is_tried_on_real_calls_while_its_threshold_is_moved(product: Product, screen: Screen) -> None:
    page = screen.page
    await screen.open("collector")
    await page.get_by_label("Model", exact=True).fill("digits")
    await page.get_by_role("button", name="Record the next 1,000 calls").click()
    await page.get_by_text("Recording digits: 0 calls").wait_for()
    await send(product, 0, 40)
    await page.get_by_role("combobox", name="Workflow before the queue").select_option("Write a new one …")
    answered = page.get_by_text("Of the last 40 calls this would have kept")
    values = [max(answer([number])) for number in range(40)]
    await expect(answered).to_contain_text(f"kept {sum(value < 0.6 for value in values)}")
    line = page.get_by_role("slider", name="Threshold of keeps/unsure: largest value of a concept")
    await expect(line).to_have_value("0.6")
    await line.press("ArrowRight")
    text = page.get_by_label("Nodes, as YAML or JSON").first
    await expect(text).to_have_value(re.compile(r"value: 0\.61\b"))
    await expect(answered).to_contain_text(f"kept {sum(value < 0.61 for value in values)}")
    box = await line.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 9 + (box["width"] - 18) * 0.61, box["y"] + 40)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 9 + (box["width"] - 18) * 0.8, box["y"] + 40, steps=4)
    await page.mouse.up()
    await expect(answered).to_contain_text(f"kept {sum(value < 0.8 for value in values)}")

    await screen.open("collector?again")
    await page.get_by_label("Model", exact=True).press("ArrowDown")
    offered = await page.locator("datalist option").evaluate_all("found => found.map(each => each.value)")
    assert {"digits", "alice", "bob"} <= set(offered)


async def test_a_newcomer_is_led_from_a_model_that_passes_to_a_collector_of_it(
    tmp_path: Path, browser: Browser
) -> None:
    async with (
        model_app(answer) as model,
        Product(tmp_path, model.url) as product,
        open_screen(product, browser) as screen,
    ):
        await newcomer_finds_the_way(product, screen)
        assert screen.faults == []


async def newcomer_finds_the_way(product: Product, screen: Screen) -> None:
    page = screen.page
    for model in ("letters", "numbers"):
        await product.predict([[1, 1]], model)
    await screen.open("collector")
    offered = await page.locator("datalist option").evaluate_all("found => found.map(each => each.value)")
    assert {"letters", "numbers"} <= set(offered)
    await screen.open("traffic")
    await screen.row("numbers", "not named")
    recorded = await page.locator(".recording option").evaluate_all("found => found.map(each => each.value)")
    assert set(recorded) == {"letters", "numbers"}
    assert await screen.axe() == []
    await page.get_by_role("link", name="Collect letters").click()
    await expect(page.get_by_label("Model", exact=True)).to_have_value("letters")
    await page.get_by_label("Name", exact=True).fill("kept")
    await page.get_by_label("Fraction of inputs").fill("1")
    await page.get_by_role("button", name="Create collector").click()
    await screen.row("kept", "letters")
    await screen.open("traffic")
    await screen.row("numbers", "not named")
    await expect(page.get_by_role("link", name="Collect letters")).to_have_count(0)
    await product.predict([[1, 1]], "letters")
    assert (await product.settled())["total"]["delivered"] == 1
