"""Operators that remember, in the running product: a kill -9 forgets no quota that was spent, and keeps none that was
not counted."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.model_app import ModelApp, model_app
from support.product import Product, assert_sums_hold

CLASSES = 3


def top_is_the_remainder(instance: Any) -> list[float]:
    return [0.8 if label == instance[0] % CLASSES else 0.1 for label in range(CLASSES)]


def policy(name: str, type_id: str, params: str) -> tuple[str, str]:
    workflow = f"""
workflow:
  id: {name}
  nodes:
    - id: n
      model: {{model_id: n, model_type_id: {type_id}, output_info: {{params: {params}}}}}
"""
    return workflow, f"collector: {{id: {name}, source: {{model: digits}}, pre_queue_workflow_id: {name}}}"


POLICIES = {
    "first": ("first-n", "{n: 30}"),
    "balanced": ("class-quota", "{n: 7, window: ever}"),
    "once": ("deduplicate", "{}"),
    "slow": ("rate-limit", "{n: 24, period: day}"),
}


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(top_is_the_remainder) as app:
        yield app


@pytest.fixture
def product(tmp_path: Path, model: ModelApp) -> Product:
    product = Product(tmp_path, model.url)
    for name, (type_id, params) in POLICIES.items():
        workflow, collector = policy(name, type_id, params)
        product.policy(f"{name}.workflow", workflow)
        product.policy(name, collector)
    return product


async def send_until_killed(product: Product, after: int) -> None:
    """Send from several clients at once, and kill everything when `after` calls were answered."""
    answered = 0
    killed = asyncio.Event()

    async def client(first: int) -> None:
        nonlocal answered
        for number in range(first, 600, 6):
            try:
                await product.predict([[number % 40], [number % 40 + 1]])
            except aiohttp.ClientError:
                return
            answered += 1
            if answered == after:
                killed.set()

    async with asyncio.TaskGroup() as clients:
        for first in range(6):
            clients.create_task(client(first))
        await killed.wait()
        await product.kill()


async def values(product: Product, name: str) -> list[int]:
    inputs = (await product.get(f"/v2/inputs?per_page=1000&collector={name}"))["inputs"]
    return [each["data"]["tensors"][0]["value"][0] for each in inputs]


@pytest.mark.parametrize("after", [3, 25])
async def test_quotas_hold_exactly_over_a_kill_in_the_middle(product: Product, after: int) -> None:
    async with product:
        await send_until_killed(product, after)
        await product.start()
        for number in range(60):
            await product.predict([[number], [number % 7]])
        ledger = await product.settled()
        kept = {name: await values(product, name) for name in POLICIES}
    assert_sums_hold(ledger)
    delivered = {name: sums["delivered"] for name, sums in ledger["collectors"].items()}
    assert delivered == {name: len(each) for name, each in kept.items()}
    assert ledger["total"]["dropped"] == 0
    assert len(kept["first"]) == 30
    assert Counter(value % CLASSES for value in kept["balanced"]) == dict.fromkeys(range(CLASSES), 7)
    assert Counter(kept["once"]) == dict.fromkeys(range(60), 1)
    assert len(kept["slow"]) == 24


async def test_a_collector_that_is_deleted_and_made_again_begins_anew(product: Product) -> None:
    product.policy("first.workflow", policy("first", "first-n", "{n: 2}")[0])
    (product.policies / "first.yaml").unlink()
    made = {"collectors": [{"id": "again", "source": {"model": "digits"}, "pre_queue_workflow_id": "first"}]}
    async with product:
        for restarts in (False, True, False):
            async with product.session.post(f"{product.admin}/v2/collectors", json=made) as said:
                assert said.status == 200, await said.text()
            await product.predict([[1], [2], [3]])
            await product.settled()
            if restarts:
                await product.kill()
                await product.start()
            await product.predict([[4]])
            await product.settled()
            async with product.session.delete(f"{product.admin}/v2/collectors", json={"ids": ["again"]}) as said:
                assert said.status == 200, await said.text()
        ledger = await product.settled()
    sums = ledger["collectors"]["again"]
    assert (sums["matched"], sums["delivered"], sums["filtered"]) == (12, 6, 6)


async def test_a_reservoir_holds_exactly_so_many_over_a_kill_in_the_middle(tmp_path: Path, model: ModelApp) -> None:
    product = Product(tmp_path, model.url)
    workflow, collector = policy("fair", "reservoir", "{n: 9, window: day}")
    product.policy("fair.workflow", workflow)
    product.policy("fair", collector)
    days = {time.time() // 86_400}
    async with product:
        await send_until_killed(product, 12)
        await product.start()
        before = await product.settled(pending=True)
        for number in range(60):
            await product.predict([[number], [number]])
        ledger = await product.settled(pending=True)
        jobs = (await product.get("/v1/jobs?per_page=1000"))["jobs"]
    days.add(time.time() // 86_400)
    assert_sums_hold(before)
    assert_sums_hold(ledger)
    assert ledger["total"]["matched"] == before["total"]["matched"] + 120
    assert len(jobs) == ledger["total"]["pending"]
    dues = Counter(job["retry_at"] for job in jobs)
    assert len(dues) <= len(days)
    assert set(dues.values()) == {9}
    assert ledger["total"]["delivered"] == ledger["total"]["dropped"] == 0


EMBEDDER = "model: {{id: embedder, url: '{url}/v1/models/embedder:predict', output: {{embeddings: predictions}}}}"
NOVEL = """
workflow:
  id: novel
  nodes:
    - id: embed
      model: {model_id: embedder}
      node_inputs: [{node_id: $input}]
    - id: far
      model: {model_id: far, model_type_id: novelty-filter, output_info: {params: {min_distance: 0.5}}}
      node_inputs: [{node_id: embed}]
"""


async def test_novel_is_what_no_embedding_of_a_model_was_near_also_in_an_earlier_life(
    tmp_path: Path, model: ModelApp
) -> None:
    product = Product(tmp_path, model.url)
    product.policy("embedder.model", EMBEDDER.format(url=model.url))
    product.policy("novel.workflow", NOVEL)
    product.policy("novel", "collector: {id: novel, source: {model: digits}, pre_queue_workflow_id: novel}")
    async with product:
        await product.predict([[0], [3], [1], [4]])
        await product.settled()
        await product.kill()
        await product.start()
        await product.predict([[6], [1], [2], [5]])
        ledger = await product.settled()
        kept = await values(product, "novel")
    assert_sums_hold(ledger)
    assert sorted(kept) == [0, 1, 2]
    assert ledger["reasons"]["filtered"] == {"pre_queue": 5}
