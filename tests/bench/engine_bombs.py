"""What callers pay while something goes off in the engine: `PYTHONPATH=tests python tests/bench/engine_bombs.py`,
with the names of some bombs for these alone. All take a quarter of an hour.

Callers at a fixed rate are measured in pairs of windows, one quiet and one that begins when a bomb has just been
answered. What counts is the ratio within a pair: the machine is as busy with others in both.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from support.bombs import EATER, LOOPER, json_bomb, leave_little_memory, policies, throw
from support.product import Product
from support.relay_end import Model, always, answer, predict

CALLERS = 4
CALLS_PER_SECOND = 400
WINDOW_SECONDS = 1.0
BOMB_BYTES = 100 << 20
LOOP_ROUNDS = 12
"""Some five seconds of one processor."""
ANSWER = answer(b'{"predictions": [[0.9, 0.05, 0.05]]}', headers=b"Content-Type: application/json\r\n")
CALL = predict(b'{"instances": [[1]]}', f"X-Caller-Id: {EATER}\r\n".encode()).replace(
    b"/v2/models/digits/infer", b"/v1/models/digits:predict"
)

Throw = Callable[[Product], Awaitable[None]]


class BombCost(NamedTuple):
    """Medians over the pairs; latencies in microseconds, ratios of a window with the bomb to the quiet one."""

    bomb: str
    quiet_p50_us: float
    quiet_p99_us: float
    p50_ratio: float
    p99_ratio: float


class _Window(NamedTuple):
    p50: float
    p99: float


async def _caller(address: str, seconds: float) -> list[float]:
    """Latencies of calls that are begun at fixed times, one after the other; in seconds."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    latencies: list[float] = []
    pause = CALLERS / CALLS_PER_SECOND
    due = time.perf_counter()
    ends = due + seconds
    while due < ends:
        await asyncio.sleep(due - time.perf_counter())
        writer.write(CALL)
        await reader.readexactly(len(ANSWER))
        latencies.append(time.perf_counter() - due)
        due += pause
    writer.close()
    return latencies


async def _window(address: str) -> _Window:
    told = await asyncio.gather(*(_caller(address, WINDOW_SECONDS) for _ in range(CALLERS)))
    cuts = statistics.quantiles([latency for latencies in told for latency in latencies], n=100)
    return _Window(cuts[49], cuts[98])


async def _throw_json(product: Product) -> None:
    await throw(product, EATER, json_bomb(BOMB_BYTES))


async def _throw_json_into_little_memory(product: Product) -> None:
    [engine] = product.engine_pids()
    leave_little_memory(engine)
    await _throw_json(product)


async def _kill(product: Product) -> None:
    product.kill_engine()


BOMBS: dict[str, Throw] = {
    "none": lambda _: asyncio.sleep(0),
    "100 MB of JSON": _throw_json,
    "an operator that loops": partial(throw, caller=LOOPER),
    "kill -9": _kill,
    "out of memory": _throw_json_into_little_memory,
}
"""`none` is the measurement's own noise; the last one leaves an engine that is short of memory."""


async def _pair(product: Product, address: str, bomb: Throw) -> tuple[_Window, _Window]:
    quiet = await _window(address)
    await bomb(product)
    loud = await _window(address)
    await product.settled()
    return quiet, loud


async def measure_engine_bombs(names: Sequence[str] = tuple(BOMBS), pairs: int = 15) -> AsyncIterator[BombCost]:
    """Each of these bombs in as many pairs of windows, on one running product. The callers measured are wanted."""
    model = Model(always(ANSWER))
    upstream = f"http://{await model.start()}"
    with tempfile.TemporaryDirectory() as home:
        product = Product(Path(home), upstream, max_body="128MiB", relay_memory="512MiB", queue_memory="512MiB")
        for name, text in policies(LOOP_ROUNDS).items():
            product.policy(name, text)
        async with product:
            address = product.url.removeprefix("http://")
            for name in names:
                yield _cost(name, [await _pair(product, address, BOMBS[name]) for _ in range(pairs)])
    await model.stop()


def _cost(name: str, pairs: list[tuple[_Window, _Window]]) -> BombCost:
    return BombCost(
        name,
        statistics.median(quiet.p50 for quiet, _ in pairs) * 1e6,
        statistics.median(quiet.p99 for quiet, _ in pairs) * 1e6,
        statistics.median(loud.p50 / quiet.p50 for quiet, loud in pairs),
        statistics.median(loud.p99 / quiet.p99 for quiet, loud in pairs),
    )


async def _main(names: Sequence[str]) -> None:
    async for cost in measure_engine_bombs(names or tuple(BOMBS)):
        print(
            f"{cost.bomb:24} quiet p50 {cost.quiet_p50_us:6.0f} µs p99 {cost.quiet_p99_us:6.0f} µs"
            f" · with it {cost.p50_ratio:.2f} × {cost.p99_ratio:.2f} ×",
            flush=True,
        )


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
