"""Model nodes through the running product: every shape, a model that goes away and comes back, and one that refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.model_app import SURE, ModelApp, model_app
from support.model_fake import BOX, CAPTION, EMBEDDING, ModelFake, model_fake, status
from support.product import Product, assert_sums_hold

SECRET = "sk-0123456789abcdef"
MODELS = {
    "tensorflow": "labels: [cat, dog]",
    "openinference": 'input_name: x, output: {embeddings: "outputs[0].data"}',
    "clarifai": "key: {env: MODEL_KEY}",
    "clarifai-workflow": "headers: {X-Token: {env: MODEL_KEY}}",
    "chat": 'name: gpt, key: {env: MODEL_KEY}, params: {prompt: "Say it better: {{text}}"}',
}
WORKFLOW = (
    "workflow: {{id: ask-{0}, nodes: [{{id: asks, model: {{model_id: {0}}}, node_inputs: [{{node_id: $input}}]}}]}}"
)
AFTER = "collector: {{id: {0}, source: {{model: digits}}, post_queue_workflow_id: ask-{0}}}"
BEFORE = "collector: {{id: first-{0}, source: {{model: digits}}, pre_queue_workflow_id: ask-{0}}}"


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(lambda _instance: SURE) as app:
        yield app


@pytest.fixture
async def fake() -> AsyncIterator[ModelFake]:
    async with model_fake() as running:
        yield running


def add_model(product: Product, name: str, url: str, fields: str) -> None:
    product.policy(f"model-{name}", f"model: {{id: {name}, url: '{url}', {fields}}}")
    product.policy(f"ask-{name}", WORKFLOW.format(name))
    product.policy(f"after-{name}", AFTER.format(name))


def files_with(secret: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


async def page(product: Product) -> str:
    async with product.session.get(f"{product.admin}/metrics") as response:
        return await response.text()


async def test_every_shape_answers_about_the_input_and_no_model_is_asked_twice(
    tmp_path: Path, model: ModelApp, fake: ModelFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEY", SECRET)
    product = Product(tmp_path, model.url)
    for name, fields in MODELS.items():
        add_model(product, name, fake.paths[name], fields)
        product.policy(f"before-{name}", BEFORE.format(name))
    async with product:
        await product.predict(["hello"], X_Caller_Id="alice")
        ledger = await product.settled()
        inputs = (await product.get("/v2/inputs"))["inputs"]
        metrics = await page(product)
    assert_sums_hold(ledger)
    assert ledger["total"]["delivered"] == 2 * len(MODELS)
    got: dict[str, Any] = {each["collector"]: each["data"] for each in inputs}
    assert [concept["id"] for concept in got["tensorflow"]["concepts"]] == ["cat", "dog"]
    assert got["openinference"]["embeddings"][0]["vector"] == EMBEDDING
    assert got["clarifai"]["regions"][0]["region_info"]["bounding_box"] == BOX
    assert got["clarifai-workflow"]["text"]["raw"] == CAPTION
    assert got["clarifai-workflow"]["concepts"][0]["id"] == "cat"
    assert got["chat"]["text"]["raw"] == CAPTION
    assert all(got[f"first-{name}"]["text"]["raw"] == "hello" for name in MODELS)
    assert sorted(fake.url + asked.path for asked in fake.asked) == sorted(fake.paths.values())
    for asked in fake.asked:
        assert b"hello" in asked.content
        assert b"alice" not in asked.content
    keys = [asked.headers.get("Authorization") for asked in fake.asked]
    assert sorted(filter(None, keys)) == [f"Bearer {SECRET}", f"Key {SECRET}"]
    for name in MODELS:
        assert f'sidecar_model_calls_total{{model="{name}",outcome="answered"}} 1.0' in metrics
    assert SECRET not in metrics
    assert files_with(SECRET, tmp_path) == []


async def test_a_model_that_is_away_makes_its_jobs_wait_until_it_is_back(
    tmp_path: Path, model: ModelApp, fake: ModelFake
) -> None:
    product = Product(tmp_path, model.url)
    add_model(product, "second", fake.paths["tensorflow"], "tries: 1, breaker_failures: 2, breaker_open: 1s")
    product.policy("before", BEFORE.format("second"))
    await fake.away()
    async with product:
        for number in range(4):
            await product.predict([[number]])
        waiting = await product.eventually(
            "/v1/ledger", lambda ledger: ledger["reasons"]["pending"] != {"model_unavailable": 4}
        )
        assert_sums_hold(waiting)
        jobs = (await product.get("/v1/jobs?state=queued"))["jobs"]
        metrics = await page(product)
        await fake.back()
        ledger = await product.settled()
        after = await page(product)
    assert waiting["reasons"]["dropped"] == {"model_unavailable": 4}
    assert 'sidecar_model_breaker_open{model="second"} 1.0' in metrics
    assert {job["reason"] for job in jobs} == {"model_unavailable"}
    assert_sums_hold(ledger)
    assert ledger["collectors"]["second"]["delivered"] == 4
    assert ledger["collectors"]["first-second"]["dropped"] == 4
    assert 'sidecar_model_breaker_open{model="second"} 0.0' in after
    assert "model is left alone, it failed too often" in product.log
    assert "model is asked again, it answers" in product.log


async def test_a_model_that_refuses_and_models_that_cannot_be_used_are_named(
    tmp_path: Path, model: ModelApp, fake: ModelFake
) -> None:
    product = Product(tmp_path, model.url)
    add_model(product, "second", fake.paths["tensorflow"], "concurrency: 1")
    product.policy("before", BEFORE.format("second"))
    add_model(product, "keyless", fake.paths["chat"], "key: {env: NOT_SET}, params: {prompt: '{{tensors}}?'}")
    add_model(product, "nowhere", "http://127.0.0.1:1/no/predict/call", "tries: 1")
    fake.plan(status(422, "no such shape"))
    async with product:
        code, _ = await product.predict([[1]])
        ledger = await product.eventually(
            "/v1/ledger", lambda now: not now["total"]["dead"] or now["exchanges"]["open"]
        )
        (dead,) = (await product.get("/v1/jobs?state=dead"))["jobs"]
        said = str(await product.get("/readyz"))
    assert code == 200
    assert_sums_hold(ledger)
    assert ledger["reasons"]["dead"] == {"model_refused": 1}
    assert ledger["reasons"]["dropped"] == {"model_refused": 1}
    assert dead["detail"] == "model 'second': the model answered 422: no such shape"
    assert ledger["collectors"]["keyless"]["pending"] == 1
    assert "nowhere" not in ledger["collectors"]
    assert len(fake.asked) == 1
    assert "environment variable NOT_SET holds no secret" in said
    assert "model.url: http://127.0.0.1:1/no/predict/call is no predict call" in said
