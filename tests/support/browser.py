"""The page in a real Chromium, before the real product: what a person does, by what a screen reader would call it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from importlib import resources
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, async_playwright

from support.product import Product

NAMES = ("chromium", "chromium-browser", "google-chrome")
VIEWS = ("collectors", "collector", "inputs", "traffic", "queue", "ledger", "events", "settings", "keys")
WIDE = (1440, 900)
NARROW = (390, 844)
SERIOUS = ("serious", "critical")
_AXE = """async ([rules, serious]) => {
  const only = rules.length ? {runOnly: rules} : {};
  const {violations} = await axe.run({resultTypes: ['violations'], iframes: false, preload: false, ...only});
  return violations.filter(({impact}) => serious.includes(impact)).map(({id, help, nodes}) =>
    `${id}: ${help}: ${nodes.slice(0, 3).map(({html}) => html.slice(0, 120)).join(', ')}`);
}"""
"""Judged over there: what axe finds well is a hundred times as much to send as what it does not."""


@contextlib.asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """A Chromium of this machine's; skips where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no Chromium here, by none of the names {', '.join(NAMES)}: the page is not tried in a browser")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            await browser.close()


class Screen:
    """One window on the product's page. What the browser reports as wrong is kept in `faults`."""

    def __init__(self, page: Page, product: Product) -> None:
        self.page = page
        self.product = product
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)

    async def open(self, view: str) -> None:
        """Open a view, and wait until it has shown what it reads."""
        await self.page.goto(f"{self.product.admin}/#/{view}")
        await self.page.locator(f'#main[aria-busy=false][data-shown="#/{view}"]').wait_for()

    async def row(self, *texts: str) -> None:
        """Wait for a row of a table that says all of it."""
        found = self.page.get_by_role("row")
        for text in texts:
            found = found.filter(has_text=text)
        await found.first.wait_for()

    async def axe(self, *rules: str) -> list[str]:
        """What axe-core, by all its rules or by some, calls serious or worse, each with where it is."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text())
        found: list[str] = await self.page.evaluate(_AXE, [list(rules), list(SERIOUS)])
        return found

    async def leave_after(self, refusal: str) -> None:
        """Leave the page, and pass over what the browser reported of answers that the test has asked for."""
        await self.page.goto("about:blank")
        assert any(refusal in each for each in self.faults)
        self.faults = [each for each in self.faults if refusal not in each]

    async def overflows(self) -> bool:
        """True if the page as a whole has to be scrolled sideways."""
        wider: bool = await self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return wider


@contextlib.asynccontextmanager
async def open_screen(
    product: Product,
    browser: Browser,
    size: tuple[int, int] = WIDE,
    scheme: Literal["light", "dark"] = "light",
) -> AsyncIterator[Screen]:
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(15_000)
    try:
        yield Screen(await context.new_page(), product)
    finally:
        await context.close()
