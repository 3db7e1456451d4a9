"""One collector, two destinations, through the running product: one is away and comes back, the engine is killed."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.clarifai_app import ClarifaiFake, Posted, clarifai_fake, plain
from support.model_app import SURE, ModelApp, model_app
from support.product import Product, assert_sums_hold

CALLS = 20
Standing = dict[str, tuple[str, str]]
"""A job's state and reason with each destination, by its name."""


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(lambda _instance: SURE) as app:
        yield app


def collector(first: ClarifaiFake, second: ClarifaiFake) -> str:
    posts_to = "{{clarifai: {{base_url: '{}', user_id: u, app_id: a}}, name: {}}}"
    places = ", ".join((posts_to.format(first.url, "first"), posts_to.format(second.url, "second")))
    return f"collector: {{id: kept, source: {{model: digits}}, pre_queue_random_sample: 1, destination: [{places}]}}"


async def jobs_once(product: Product, is_so: Callable[[list[Standing]], bool]) -> list[Standing]:
    """How every job stands with each destination, once `is_so`; both sums hold at every look."""
    while True:
        assert_sums_hold(await product.eventually("/v1/ledger", lambda ledger: not ledger["exchanges"]["relays"]))
        jobs = standings(await product.get("/v1/jobs"))
        if is_so(jobs):
            return jobs


def standings(page: dict[str, Any]) -> list[Standing]:
    jobs = [job["destinations"] for job in page["jobs"]]
    return [{each["destination"]: (each["state"], each["reason"]) for each in job} for job in jobs]


async def test_each_destination_gets_every_input_though_one_is_away_and_the_engine_is_killed(
    tmp_path: Path, model: ModelApp
) -> None:
    async with clarifai_fake() as first, clarifai_fake() as second:
        product = Product(tmp_path, model.url)
        product.policy("kept", collector(first, second))
        unheard: set[str] = set()

        async def store_and_hang(request: web.Request, posted: Posted) -> web.StreamResponse:
            second._accept(posted)
            unheard.update(posted.ids)
            return await second.hang(request, posted)

        second.standing = plain(503, headers={"Retry-After": "1"})
        async with product:
            await predict(product, CALLS)
            away = {"first": ("delivered", ""), "second": ("queued", "http_503")}
            await jobs_once(product, lambda jobs: jobs == [away] * CALLS)
            assert (len(first.stored), len(second.stored)) == (CALLS, 0)

            second.standing = store_and_hang
            await predict(product, CALLS)
            await jobs_once(product, lambda jobs: [job["first"][0] for job in jobs] == ["delivered"] * 2 * CALLS)
            await jobs_once(product, lambda _jobs: bool(unheard))
            product.kill_engine()
            before_the_kill = len(second.posted)
            second.standing = None
            second.released.set()
            ledger = await product.settled()
    assert_sums_hold(ledger)
    assert ledger["total"]["matched"] == ledger["total"]["delivered"] == 2 * CALLS
    assert first.stored.keys() == second.stored.keys()
    assert len(first.stored) == 2 * CALLS
    assert set(times_posted(first.posted).values()) == {1}
    again = times_posted(second.posted[before_the_kill:])
    assert unheard <= again.keys()
    assert set(again.values()) == {1}


async def predict(product: Product, count: int) -> None:
    for number in range(count):
        assert (await product.predict([[number]]))[0] == 200


def times_posted(posts: Sequence[Posted]) -> Counter[str]:
    return Counter(each for posted in posts for each in posted.ids)


async def test_a_data_folder_of_another_version_is_refused_in_one_line_that_names_it(
    tmp_path: Path, model: ModelApp
) -> None:
    """Predictions go on meanwhile."""
    with sqlite3.connect(tmp_path / "sidecar.db") as database:
        database.execute("CREATE TABLE job (id INTEGER PRIMARY KEY)")
    database.close()
    options = {"upstream": model.url, "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "data": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", "run", *(f"--{name}={value}" for name, value in options.items()),
        cwd=tmp_path, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said: list[str] = []
    async with asyncio.timeout(30):
        while not said or "engine cannot start like this" not in said[-1]:
            said.append((await process.stderr.readline()).decode() if process.stderr else "")
    process.kill()
    await process.wait()
    (refusal,) = [line for line in said if "another version" in line]
    assert f"{tmp_path / 'sidecar.db'}: was made by another version of the sidecar" in refusal
    assert "name another folder with --data" in refusal
    assert "Traceback" not in "".join(said)


def has_open(pid: int, file: Path) -> bool:
    return any(each.resolve() == file for each in Path(f"/proc/{pid}/fd").iterdir())


async def test_what_a_deleted_collector_posted_to_is_closed_at_once(tmp_path: Path, model: ModelApp) -> None:
    rows = tmp_path / "rows.db"
    sql = {"sql": {"url": f"sqlite:///{rows}", "table": "kept", "create": True}}
    async with Product(tmp_path, model.url) as product:
        kept = {"id": "kept", "source": {"model": "digits"}, "pre_queue_random_sample": 1, "destination": sql}
        async with product.session.post(f"{product.admin}/v2/collectors", json={"collectors": [kept]}) as response:
            assert response.status == 200, await response.text()
        await predict(product, 1)
        assert (await product.settled())["total"]["delivered"] == 1
        [engine] = product.engine_pids()
        assert has_open(engine, rows)
        async with product.session.delete(f"{product.admin}/v2/collectors", json={"ids": ["kept"]}) as response:
            assert response.status == 200, await response.text()
        async with asyncio.timeout(10):
            while has_open(engine, rows):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0)
