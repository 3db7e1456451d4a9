"""An input's and a job's story as a person reads them: nodes with verdicts, each try, both ways between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect
from support.browser import NARROW, WIDE, Screen, open_browser, open_screen
from support.clarifai_app import ClarifaiFake, clarifai_fake, plain
from support.model_app import UNSURE, model_app
from support.product import Product
from support.workflows import SEVERAL_NODES

COLLECTOR = """collector:
  id: kept
  source: {{model: digits}}
  pre_queue_workflow_id: before
  collect_outputs: true
  destination: [app, {{clarifai: {{base_url: '{}', user_id: u, app_id: a}}}}]
"""


@pytest.fixture
async def far() -> AsyncIterator[ClarifaiFake]:
    async with clarifai_fake() as app:
        app.plan(plain(503, headers={"Retry-After": "1"}), plain(401))
        yield app


@pytest.fixture
async def product(tmp_path: Path, far: ClarifaiFake) -> AsyncIterator[Product]:
    """It holds one input that one of its two destinations refused at the second try."""
    async with model_app(lambda _: UNSURE) as model:
        product = Product(tmp_path, model.url)
        product.policy("before", SEVERAL_NODES)
        product.policy("kept", COLLECTOR.format(far.url))
        async with product:
            await product.predict([[1, 2, 3, 4, 5]], **{"X-Caller-Id": "alice"})
            assert (await product.settled())["total"]["dead"] == 1
            yield product


ROWS = """async each => {
  const { deliveries } = await import("/chapters.js");
  const [shown] = deliveries({ destinations: [each] });
  return [...shown.querySelectorAll("tbody tr")].map(row => row.textContent);
}"""


async def tells_the_way(screen: Screen) -> None:
    await screen.row("half", "random-sample", "keeps 100 %", "passed")
    await expect(screen.page.get_by_role("main")).to_contain_text("every exchange")
    await screen.row("sure", "concept-thresholder", "emptied")
    await screen.row("surer", "not run")
    tries = screen.page.get_by_role("group", name="clarifai dead").get_by_role("row")
    await expect(tries.nth(1)).to_contain_text("http 503")
    await expect(tries.nth(2)).to_contain_text("key invalid")
    await expect(tries).to_have_count(3)
    delivered = screen.page.get_by_role("group", name="app delivered").get_by_role("row")
    await expect(delivered.nth(1)).to_contain_text("delivered")


async def test_a_dead_job_leads_to_its_story_and_its_input_tells_the_same(product: Product) -> None:
    async with open_browser() as browser:
        async with open_screen(product, browser, WIDE) as screen:
            await screen.open("queue")
            await screen.page.get_by_role("link", name="#1", exact=True).click()
            await expect(screen.page.get_by_role("heading", name="Job #1")).to_be_focused()
            await tells_the_way(screen)
            assert await screen.axe() == []
            (kept,) = (await product.get("/v2/inputs"))["inputs"]
            await screen.open(f"input/{kept['id']}")
            await tells_the_way(screen)
            assert await screen.axe() == []
            await screen.page.get_by_role("main").get_by_role("link", name="#1", exact=True).click()
            await expect(screen.page.get_by_role("heading", name="Job #1")).to_be_focused()
            await tells_the_way(screen)
            async with product.session.post(f"{product.admin}/v1/jobs/discard", json={"all": True}) as response:
                assert response.status == 200
            await screen.page.get_by_text("Over since this was shown").wait_for()
            await screen.open("job/1?again")
            await screen.page.get_by_text("No such job waits or is dead").wait_for()
            await screen.open(f"input/{kept['id']}")
            await screen.page.get_by_role("group", name="clarifai dropped").wait_for()
            assert [fault for fault in screen.faults if "404" not in fault] == []
        async with open_screen(product, browser, NARROW, "dark") as screen:
            await screen.open(f"input/{kept['id']}")
            await screen.row("surer", "not run")
            assert await screen.axe("color-contrast", "scrollable-region-focusable", "target-size") == []
            assert not await screen.overflows()
            assert screen.faults == []


async def test_what_lies_between_tries_is_said(product: Product) -> None:
    """Those that were left out, those of which nothing came, and that a job was put back by hand."""
    tries = [{"attempt": number, "at": 1.0, "reason": f"r{number}", "detail": ""} for number in (1, 2, 3, 20, 22, 1)]
    each = {
        "destination": "x", "state": "queued", "attempts": 2, "retry_at": 9.0, "settled_at": 1.0, "reason": "r1",
        "detail": "", "tries": tries, "tries_left_out": 16, "left_out_after": 3,
    }  # fmt: skip
    async with open_browser() as browser, open_screen(product, browser) as screen:
        await screen.open("queue")
        rows = await screen.page.evaluate(ROWS, each)
        wanted = ["r1", "r2", "r3", "16 more tries failed", "r20", "21no outcome", "r22", "put back by hand", "r1",
                  "2no outcome", "next"]  # fmt: skip
        assert [want in row for want, row in zip(wanted, rows, strict=True)] == [True] * len(wanted), rows
        dead = await screen.page.evaluate(ROWS, {**each, "state": "dead", "attempts": 1})
        assert "✕ r1" in dead[-1]
        assert len(dead) == len(rows) - 2
        again = await screen.page.evaluate(ROWS, {**each, "state": "delivered", "attempts": 0, "tries": tries[:1]})
        assert ["put back by hand" in row for row in again] == [False, True, False]
