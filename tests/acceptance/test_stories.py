"""Whole stories from the running product: what each node made of an input, each try, though the engine was killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.clarifai_app import ClarifaiFake, clarifai_fake, plain
from support.model_app import UNSURE, ModelApp, model_app
from support.product import Product, assert_sums_hold
from support.workflows import SEVERAL_NODES

AFTER = """workflow:
  id: after
  nodes:
    - id: counts
      model: {model_type_id: object-counter}
"""
COLLECTOR = """collector:
  id: kept
  source: {{model: digits}}
  pre_queue_workflow_id: before
  post_queue_workflow_id: after
  keep_input: true
  destination: [app, {{clarifai: {{base_url: '{}', user_id: u, app_id: a}}}}]
"""


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(lambda _instance: UNSURE) as app:
        yield app


@pytest.fixture
async def far() -> AsyncIterator[ClarifaiFake]:
    async with clarifai_fake() as app:
        yield app


def write_policies(product: Product, far: ClarifaiFake) -> None:
    product.policy("before", SEVERAL_NODES)
    product.policy("after", AFTER)
    product.policy("kept", COLLECTOR.format(far.url))


def verdicts(trace: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {node["id"]: (node["kind"], node["verdict"]) for node in trace["nodes"]}


async def story_of_the_only(product: Product) -> dict[str, Any]:
    (kept,) = (await product.get("/v2/inputs"))["inputs"]
    story: dict[str, Any] = (await product.get(f"/v1/users/me/apps/main/inputs/{kept['id']}/story"))["story"]
    return story


async def test_an_input_tells_every_node_and_the_three_tries_of_a_destination_though_the_engine_was_killed(
    tmp_path: Path, model: ModelApp, far: ClarifaiFake
) -> None:
    product = Product(tmp_path, model.url)
    write_policies(product, far)
    away = plain(503, headers={"Retry-After": "3"})
    far.plan(away, away)
    async with product:
        status, _ = await product.predict([[1, 2]], **{"X-Caller-Id": "alice"})
        assert status == 200
        listed = await product.eventually("/v1/jobs?reason=http_503", lambda said: not said["jobs"])
        product.kill_engine()
        (job,) = listed["jobs"]
        told = await product.eventually(
            f"/v1/jobs/{job['id']}", lambda said: len(said["job"]["destinations"][1]["tries"]) < 2
        )
        assert told["job"]["destinations"][0]["state"] == "delivered"
        assert told["job"]["input"]["tensors"]
        ledger = await product.settled()
        story = await story_of_the_only(product)
    assert_sums_hold(ledger)
    assert ledger["total"]["delivered"] == 1
    assert verdicts(story["pre_queue"]) == {
        "half": ("random-sample", "passed"),
        "sure": ("concept-thresholder", "emptied"),
        "surer": ("random-sample", "not_run"),
        "alices": ("metadata-filter", "passed"),
    }
    assert verdicts(story["post_queue"]) == {"counts": ("object-counter", "passed")}
    app, other = story["destinations"]
    assert (app["destination"], app["state"], app["tries"]) == ("app", "delivered", [])
    assert (other["destination"], other["state"], other["attempts"]) == ("clarifai", "delivered", 3)
    assert [(each["attempt"], each["reason"]) for each in other["tries"]] == [(1, "http_503"), (2, "http_503")]
    assert other["tries"][0]["at"] < other["tries"][1]["at"] < other["settled_at"]


async def test_a_dead_job_and_its_input_tell_the_same_until_it_is_given_up(
    tmp_path: Path, model: ModelApp, far: ClarifaiFake
) -> None:
    product = Product(tmp_path, model.url)
    write_policies(product, far)
    far.standing = plain(401)
    async with product:
        await product.predict([[1, 2]], **{"X-Caller-Id": "alice"})
        ledger = await product.settled()
        assert ledger["total"]["dead"] == 1
        (listed,) = (await product.get("/v1/jobs"))["jobs"]
        job = (await product.get(f"/v1/jobs/{listed['id']}"))["job"]
        story = await story_of_the_only(product)
        assert job["destinations"][1] == story["destinations"][1]
        assert job["pre_queue"] == story["pre_queue"]
        assert len(job["destinations"][1]["tries"]) == 1
        async with product.session.post(f"{product.admin}/v1/jobs/discard", json={"all": True}) as response:
            assert response.status == 200
        over = await story_of_the_only(product)
    assert (over["destinations"][1]["state"], over["destinations"][1]["reason"]) == ("dropped", "discarded")
    assert over["destinations"][1]["tries"] == story["destinations"][1]["tries"]
