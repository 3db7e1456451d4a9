"""What the API costs with 1,000 collectors there: `python tests/bench/many_collectors.py`.

Run by hand; needs the `test` extra. The product runs on loopback. Shown are, of each request, the milliseconds that its
client waited and those of processor time that the engine's main thread had: no request holds its loop for longer.
Nothing is asserted here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.model_app import SURE, model_app
from support.product import Product

Act = Callable[[int], Awaitable[None]]
"""What is measured, with the number of its round."""
BATCH = 100
ROUNDS = 9
READ = (
    "/v2/collectors?per_page=100",
    "/v2/collectors?per_page=100&page=10",
    "/v1/collectors",
    "/v1/ledger",
    "/v1/traffic",
)


def wire(number: int) -> dict[str, Any]:
    return {"id": f"c-{number}", "source": {"model": f"m-{number % 40}"}, "pre_queue_random_sample": 0.5}


def loop_ms(pid: int) -> float:
    """Milliseconds that a process's main thread has had of a processor so far."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e6


async def ask(product: Product, method: str, path: str, content: Any = None) -> None:
    async with product.session.request(method, product.admin + path, json=content) as response:
        await response.read()
        response.raise_for_status()


async def made(product: Product, first: int, count: int) -> None:
    await ask(product, "POST", "/v2/collectors", {"collectors": [wire(first + number) for number in range(count)]})


async def show(product: Product, name: str, act: Act, rounds: int = ROUNDS) -> None:
    [engine] = product.engine_pids()
    waited, worked = [], []
    for number in range(rounds):
        before, began = loop_ms(engine), time.perf_counter()
        await act(number)
        waited.append((time.perf_counter() - began) * 1000)
        worked.append(loop_ms(engine) - before)
    mean = statistics.mean(worked)
    print(f"{name:46} {statistics.median(waited):8.1f} ms, at most {max(waited):8.1f}; its loop's {mean:6.1f} ms")


async def measure(count: int) -> None:
    async with running() as product:
        await show(product, f"POST in batches of {BATCH}", making(product, 0, BATCH), count // BATCH)
        for path in READ:
            await show(product, f"GET {path}", reading(product, path))
        await show(product, "PATCH of one", lambda each: ask(product, "PATCH", "/v2/collectors", edit(each)))
        await show(product, "POST of one", making(product, count, 1))
    async with running() as product:
        quarter = count // 4
        for first in range(0, count, quarter):
            await show(product, f"POST one by one, from {first:,}", making(product, first, 1), quarter)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Product]:
    with tempfile.TemporaryDirectory() as name:
        async with model_app(lambda _: SURE) as model, Product(Path(name), model.url) as product:
            yield product


def making(product: Product, first: int, at_once: int) -> Act:
    return lambda each: made(product, first + each * at_once, at_once)


def reading(product: Product, path: str) -> Act:
    return lambda _each: ask(product, "GET", path)


def edit(number: int) -> dict[str, Any]:
    return {"collectors": [{"id": "c-7", "description": f"edit {number}"}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collectors", type=int, default=1_000)
    asyncio.run(measure(parser.parse_args().collectors))


if __name__ == "__main__":
    main()
