"""The app's own knowledge graph in the running product: a relation takes effect at once, and outlives the process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.model_app import model_app
from support.product import Product, assert_sums_hold

from sidecar.cli import main

MAPPED = """
workflow:
  id: mapped
  nodes: [{id: mapped, model: {model_id: mapped, model_type_id: concept-synonym-mapper}}]
"""
COLLECTOR = "collector: {id: mapped, source: {model: digits}, pre_queue_workflow_id: mapped, collect_outputs: true}"
RELATIONS = "/v2/users/me/apps/main/concepts/kitten/relations"
CAT = {"concept_relations": [{"object_concept": {"id": "cat"}, "predicate": "synonym"}]}
ANSWER: Any = [["kitten", 0.9], ["tree", 0.1]]


async def change(product: Product, method: str, content: dict[str, Any]) -> Any:
    async with product.session.request(method, product.admin + RELATIONS, json=content) as response:
        assert response.status == 200
        return await response.json()


async def delivered(product: Product, place: int) -> int:
    """How many inputs have been delivered once one more was sent."""
    assert (await product.predict([[place]]))[0] == 200
    ledger = await product.settled()
    assert_sums_hold(ledger)
    count: int = ledger["total"]["delivered"]
    return count


async def test_a_relation_takes_effect_without_a_restart_and_stays_after_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with model_app(lambda _: ANSWER) as model:
        product = Product(tmp_path, model.url)
        product.policy("mapped.workflow", MAPPED)
        product.policy("mapped", COLLECTOR)
        async with product:
            assert await delivered(product, 1) == 0
            (made,) = (await change(product, "POST", CAT))["concept_relations"]
            assert await delivered(product, 2) == 1
            await product.kill()
            await product.start()
            assert await delivered(product, 3) == 2
            tried = ("backtest", "mapped", "--on", "app", "--json", "--data", str(product.data))
            assert await asyncio.to_thread(main, [*tried, "--policies", str(product.policies)]) == 0
            assert json.loads(capsys.readouterr().out)["inputs"]["kept"] == 2
            draft = {"collector": {"id": "d", "source": {"model": "digits"}, "pre_queue_workflow_id": "mapped"}}
            async with product.session.post(product.admin + "/v1/backtest", json=draft | {"source": "app"}) as answer:
                assert (await answer.json())["inputs"]["kept"] == 2
            await change(product, "DELETE", {"ids": [made["id"]]})
            assert await delivered(product, 4) == 2
