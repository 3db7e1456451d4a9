"""Policies that change while the product runs: no restart, no job lost, nothing that was remembered forgotten."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.model_app import ModelApp, model_app
from support.product import Product, assert_sums_hold

FIRST = """
workflow:
  id: first
  nodes:
    - id: n
      model: {{model_id: n, model_type_id: first-n, output_info: {{params: {{n: {n}}}}}}}
"""
COLLECTOR = "collector:\n  id: {name}\n  source: {{model: digits}}\n  pre_queue_workflow_id: first\n"


GRAPH = "knowledge_graph: {{relations: [[cat, synonym, {name}]]}}"
MAPPED = """
workflow:
  id: first
  nodes:
    - id: mapped
      model: {model_id: m, model_type_id: concept-synonym-mapper, output_info: {params: {knowledge_graph_id: pets}}}
    - id: hund
      node_inputs: [{node_id: mapped}]
      model:
        model_id: h
        model_type_id: concept-thresholder
        output_info:
          params: {concept_threshold_type: GREATER_THAN, require: all}
          data: {concepts: [{id: Katze, value: 0}]}
"""


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(lambda _: [0.5, 0.5]) as app:
        yield app


def collector_ids(listed: Any) -> list[str]:
    return sorted(each["id"] for each in listed["collectors"])


async def test_a_change_takes_effect_and_costs_nothing(tmp_path: Path, model: ModelApp) -> None:
    product = Product(tmp_path, model.url)
    product.policy("first", FIRST.format(n=3))
    product.policy("kept", COLLECTOR.format(name="kept"))
    async with product:
        for number in range(5):
            await product.predict([[number]])
        assert (await product.settled())["collectors"]["kept"]["delivered"] == 3

        product.policy("first", FIRST.format(n=5))
        product.policy("more", COLLECTOR.format(name="more"))
        await product.eventually("/v1/collectors", lambda listed: collector_ids(listed) != ["kept", "more"])
        for number in range(5):
            await product.predict([[number]])
        ledger = await product.settled()
        assert {name: sums["delivered"] for name, sums in ledger["collectors"].items()} == {"kept": 5, "more": 5}

        (product.policies / "more.yaml").unlink()
        await product.eventually("/v1/collectors", lambda listed: collector_ids(listed) != ["kept"])
        assert_sums_hold(await product.settled())


async def test_a_broken_file_leaves_its_last_good_version_running(tmp_path: Path, model: ModelApp) -> None:
    product = Product(tmp_path, model.url)
    product.policy("first", FIRST.format(n=100))
    product.policy("kept", COLLECTOR.format(name="kept"))
    async with product:
        product.policy("kept", COLLECTOR.format(name="kept") + "  statis: active\n")
        said = await product.eventually("/readyz", lambda ready: not ready["reasons"].get("policies"))
        assert said["reasons"]["policies"].endswith(
            "kept.yaml:5: collector.statis: no such field: did you mean status?"
        )
        async with product.session.get(product.admin + "/metrics") as answer:
            assert "\nsidecar_policy_files_broken 1.0\n" in await answer.text()
        product.policy("other", COLLECTOR.format(name="other"))
        await product.eventually("/v1/collectors", lambda listed: collector_ids(listed) != ["kept", "other"])
        await product.predict([[1]])
        ledger = await product.settled()
        assert {name: sums["delivered"] for name, sums in ledger["collectors"].items()} == {"kept": 1, "other": 1}

        product.policy("kept", COLLECTOR.format(name="kept"))
        await product.eventually("/readyz", lambda ready: "policies" in ready["reasons"])
        assert product.log.count("did you mean status?") == 1
        assert product.log.count("policy file has no fault any more") == 1


async def test_a_graph_that_changes_is_read_anew(tmp_path: Path) -> None:
    async with model_app(lambda _: [["cat", 0.9], ["dog", 0.1]]) as model:
        product = Product(tmp_path, model.url)
        product.policy("first", MAPPED)
        product.policy("kept", COLLECTOR.format(name="kept"))
        async with product:
            pets = product.policies / "graphs" / "pets.yaml"
            said = await product.get("/readyz")
            assert "there is no graph 'pets'" in said["reasons"]["policies"]
            pets.parent.mkdir()
            pets.write_text(GRAPH.format(name="Hund"))
            await product.eventually("/readyz", lambda ready: "policies" in ready["reasons"])
            await product.predict([[1]])
            assert (await product.settled())["collectors"]["kept"]["filtered"] == 1
            pets.write_text("knowledge_graph: [")
            said = await product.eventually("/readyz", lambda ready: not ready["reasons"].get("policies"))
            assert "graphs/pets.yaml:1: is not YAML" in said["reasons"]["policies"]
            await product.predict([[2]])
            assert (await product.settled())["collectors"]["kept"]["filtered"] == 2
            pets.write_text(GRAPH.format(name="Katze"))
            await product.eventually("/readyz", lambda ready: "policies" in ready["reasons"])
            await product.predict([[3]])
            ledger = await product.settled()
            assert_sums_hold(ledger)
            assert ledger["collectors"]["kept"]["delivered"] == 1


async def test_a_folder_that_vanishes_takes_nothing_with_it(tmp_path: Path, model: ModelApp) -> None:
    product = Product(tmp_path, model.url)
    product.policy("first", FIRST.format(n=100))
    product.policy("kept", COLLECTOR.format(name="kept"))
    async with product:
        aside = shutil.move(product.policies, tmp_path / "aside")
        said = await product.eventually("/readyz", lambda ready: not ready["reasons"].get("policies"))
        assert "the folder is not there: what its files gave last stays" in said["reasons"]["policies"]
        await product.predict([[1]])
        assert (await product.settled())["collectors"]["kept"]["delivered"] == 1
        shutil.move(aside, product.policies)
        await product.eventually("/readyz", lambda ready: "policies" in ready["reasons"])
        assert collector_ids(await product.get("/v1/collectors")) == ["kept"]
