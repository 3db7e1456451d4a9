"""How soon the page is there with a full house: first paint and first content with many collectors and inputs, and how
long the list of collectors takes to be looked through.

Run by hand: `python tests/bench/page_paint.py`. Needs the `test` extra and a Chromium. Everything is real: the product
on loopback, its database filled beforehand, a fresh browser context for each round.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from playwright.async_api import Browser

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.browser import open_browser
from support.model_app import SURE, model_app
from support.product import Product

from sidecar.data import Concept, Data, Tensor
from sidecar.store import inputs as store
from sidecar.store.database import Database, sqlite_url
from sidecar.store.inputs import StoredInput

VIEWS = {
    "collectors": "tbody tr",
    "inputs": ".gallery li",
    "inputs?concept=7&least=0.5": ".gallery li",
    "ledger": ".term",
}
AT_ONCE = 1000
LOOKS = {
    "find by name": "search.value = 'c-' + (round + 1); search.dispatchEvent(new Event('input', { bubbles: true }))",
    "show all again": "search.value = ''; search.dispatchEvent(new Event('input', { bubbles: true }))",
    "turn the page": "[...document.querySelectorAll('.pager button')].at(-1).click()",
    "scroll to the end": "scrollTo(0, document.body.scrollHeight)",
}
"""What is done in the list of collectors."""
MEASURED = """round => new Promise(done => {
  const search = document.querySelector('input[type=search]');
  const began = performance.now();
  %s;
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
})"""
"""Milliseconds until the frame after it has been drawn."""


def stored(number: int) -> StoredInput:
    concepts = (Concept("7", number % 100 / 100), Concept("1", 1 - number % 100 / 100))
    tensor = Tensor([number % 17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 2, 1, 4, 5, 6])
    data = Data(tensors=(tensor,), concepts=concepts)
    caller, collector = f"caller-{number % 50}", f"c-{number % 1000}"
    return StoredInput(
        "local", "main", f"input-{number}", data, 1_700_000_000.0 + number, (), collector, caller, "digits", "1"
    )


async def fill(product: Product, inputs: int, collectors: int) -> None:
    """With the product down, its inputs; with it up, its collectors."""
    async with Database(sqlite_url(product.data)) as database:
        for first in range(0, inputs, AT_ONCE):
            batch = [stored(number) for number in range(first, min(first + AT_ONCE, inputs))]
            await database.write(functools.partial(store.insert_inputs, inputs=batch))
    await product.start()
    for first in range(0, collectors, 100):
        wires = [
            {"id": f"c-{number}", "source": {"model": f"m-{number % 40}"}, "pre_queue_random_sample": 0.5}
            for number in range(first, min(first + 100, collectors))
        ]
        async with product.session.post(f"{product.admin}/v2/collectors", json={"collectors": wires}) as response:
            response.raise_for_status()


async def times_of(browser: Browser, address: str, content: str) -> tuple[float, float]:
    """Seconds to the first paint, as the browser tells it, and to the view's own content."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = await context.new_page()
        start = time.perf_counter()
        await page.goto(address)
        await page.locator(content).first.wait_for()
        shown = time.perf_counter() - start
        painted = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")
        return painted / 1000, shown
    finally:
        await context.close()


async def looks(browser: Browser, address: str, rounds: int) -> dict[str, list[float]]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = await context.new_page()
        await page.goto(address)
        await page.locator(VIEWS["collectors"]).first.wait_for()
        found: dict[str, list[float]] = {name: [] for name in LOOKS}
        for number in range(rounds):
            for name, act in LOOKS.items():
                found[name].append(await page.evaluate(MEASURED % act, number))
        return found
    finally:
        await context.close()


async def measure(rounds: int, inputs: int, collectors: int) -> None:
    with tempfile.TemporaryDirectory(prefix="sidecar-page-") as name:
        async with (
            model_app(lambda _: SURE) as model,
            Product(Path(name), model.url) as product,
            open_browser() as chrome,
        ):
            await product.terminate()
            await fill(product, inputs, collectors)
            print(f"{inputs:,} inputs, {collectors:,} collectors; seconds, median and worst of {rounds}")
            for view, content in VIEWS.items():
                found = [await times_of(chrome, f"{product.admin}/#/{view}", content) for _ in range(rounds)]
                show(view, [painted for painted, _ in found], [shown for _, shown in found])
            for name, times in (await looks(chrome, f"{product.admin}/#/collectors", rounds)).items():
                print(f"{name:28} {statistics.median(times):.0f} ms, at most {max(times):.0f}")


def show(view: str, painted: Sequence[float], shown: Sequence[float]) -> None:
    first, content = (f"{statistics.median(each):.2f} ({max(each):.2f})" for each in (painted, shown))
    print(f"{view:28} first paint {first}   content {content}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--collectors", type=int, default=1_000)
    given = parser.parse_args()
    asyncio.run(measure(given.rounds, given.inputs, given.collectors))


if __name__ == "__main__":
    main()
