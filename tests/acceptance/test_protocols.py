"""Each predict protocol and each way to name a caller, through the running product."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.policies import BELOW_60
from support.product import Product, assert_sums_hold

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
COLLECTOR = "collector: {{id: kept, source: {source}, pre_queue_workflow_id: below-60}}"


async def openinference(request: web.Request) -> web.Response:
    count = (await request.json())["inputs"][0]["shape"][0]
    scores = [0.5, 0.5] * (count - 1) + [0.9, 0.1]
    output = {"name": "scores", "shape": [count, 2], "datatype": "FP32", "data": scores}
    return web.json_response({"model_name": "iris", "model_version": "3", "outputs": [output]})


async def clarifai(request: web.Request) -> web.Response:
    def output(number: int) -> dict[str, Any]:
        value = 0.5 if number else 0.9
        model = {"id": "food", "model_version": {"id": "abc"}}
        echo = {"data": {"image": {"base64": "dHJ1ZQ=="}}}
        concepts = [{"id": "cake", "name": "cake", "value": value}]
        return {
            "id": str(number),
            "status": {"code": 10000},
            "model": model,
            "input": echo,
            "data": {"concepts": concepts},
        }

    inputs = (await request.json())["inputs"]
    return web.json_response({"status": {"code": 10000}, "outputs": [output(n) for n, _ in enumerate(inputs)]})


async def tensorflow(request: web.Request) -> web.Response:
    return web.json_response({"predictions": [[0.5, 0.5] for _ in (await request.json())["instances"]]})


@pytest.fixture
async def upstream(aiohttp_server: Callable[[web.Application], Any]) -> str:
    app = web.Application()
    app.router.add_post("/v2/models/{model}/infer", openinference)
    app.router.add_post("/v2/users/{user}/apps/{app}/models/{model}/outputs", clarifai)
    app.router.add_post("/v1/models/{model}/versions/{version}:predict", tensorflow)
    server: TestServer = await aiohttp_server(app)
    return f"http://127.0.0.1:{server.port}"


async def collected(product: Product, path: str, body: Any, **headers: str) -> tuple[list[Any], dict[str, Any]]:
    """Post one call; what the app then holds, and the ledger."""
    async with product.session.post(product.url + path, json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        await response.read()
    ledger = await product.settled()
    assert_sums_hold(ledger)
    return (await product.get("/v2/inputs"))["inputs"], ledger


async def test_openinference_splits_the_batch_and_matches_the_version_of_the_answer(
    tmp_path: Path, upstream: str
) -> None:
    product = Product(tmp_path, upstream)
    product.policy("collector", COLLECTOR.format(source='{model: iris, version: "3"}'))
    product.policy("workflow", BELOW_60)
    tensor = {"name": "x", "shape": [3, 2], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]}
    async with product:
        inputs, ledger = await collected(product, "/v2/models/iris/infer", {"inputs": [tensor]})
    assert ledger["total"]["matched"] == 3
    assert sorted(each["data"]["tensors"][0]["value"] for each in inputs) == [[1, 2], [3, 4]]
    assert {each["version"] for each in inputs} == {"3"}


async def test_clarifai_keeps_the_image_of_the_request_and_not_the_echo(tmp_path: Path, upstream: str) -> None:
    product = Product(tmp_path, upstream)
    product.policy("collector", COLLECTOR.format(source="{model: food, version: abc, user: u, app: a}"))
    product.policy("workflow", BELOW_60)
    image = {"data": {"image": {"base64": base64.b64encode(PNG).decode()}}}
    async with product:
        inputs, ledger = await collected(product, "/v2/users/u/apps/a/models/food/outputs", {"inputs": [image, image]})
        assert ledger["reasons"]["filtered"] == {"pre_queue": 1}
        (kept,) = inputs
        url = f"{product.admin}/v1/users/local/apps/main/inputs/{kept['id']}/content"
        async with product.session.get(url) as response:
            assert response.content_type == "image/png"
            assert await response.read() == PNG


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({"Authorization": "Key alice-secret"}, "alice"),
        ({"Authorization": "Bearer alice-secret"}, "alice"),
        ({"X-Api-Key": "alice-secret"}, "alice"),
        ({"X-Caller-Id": "bob", "Authorization": "Key alice-secret"}, "bob"),
        ({"Authorization": "Key unknown"}, "anonymous"),
        ({}, "anonymous"),
    ],
)
async def test_the_caller_is_named_by_header_by_key_or_not_at_all(
    tmp_path: Path, upstream: str, headers: dict[str, str], caller: str
) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(f'keys: {{alice: ["sha256:{hashlib.sha256(b"alice-secret").hexdigest()}"]}}')
    product = Product(tmp_path, upstream, keys=str(keys))
    product.policy("collector", COLLECTOR.format(source=f'{{model: m, version: "1", caller: {caller}}}'))
    product.policy("workflow", BELOW_60)
    async with product:
        (kept,), _ = await collected(product, "/v1/models/m/versions/1:predict", {"instances": ["hello"]}, **headers)
    assert kept["caller"] == caller
    assert kept["data"]["text"]["raw"] == "hello"
    for path in product.home.rglob("*"):
        if path.is_file():
            assert b"alice-secret" not in path.read_bytes(), path
