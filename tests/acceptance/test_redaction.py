"""Secrets planted wherever a predict call can hold any, through every path and failure: none is found anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from support.clarifai_app import ClarifaiFake, Posted, clarifai_fake
from support.product import Product, assert_sums_hold

EMAIL = "zed.secret@example.com"
CARD = 4111111111111111
TOKEN = "ID-777-888"
NOTE = "words that nobody else may read"
ADDRESS = "203.0.113.77"
CAPTION = "a caption that was not wanted"
PHONE = "+49 170 1234567"
PLANTED = (EMAIL, str(CARD), TOKEN, NOTE, ADDRESS, CAPTION, PHONE)
SECRETS = (*PLANTED, "4111 1111 1111 1111")
ALL = f"{EMAIL}, {PHONE} pays with 4111 1111 1111 1111 from {ADDRESS} for {TOKEN}"
RULES = """
  - {remove: "input.tensors[?name=='note'].value"}
  - {remove: "metadata.headers.\\"x-note\\""}
  - {remove: result.text}
  - {mask: 'ID(?:-\\d{3}){2}', to: "[id]"}
  - {detect: [email, phone, card, ip]}
"""
COLLECTORS = {
    "plain": "pre_queue_random_sample: 1, collect_outputs: true",
    "refused": "pre_queue_random_sample: 1, destination: {clarifai: {base_url: 'APP', user_id: u, app_id: a}}",
    "waits": "pre_queue_random_sample: 1, destination: {clarifai: {base_url: 'NOWHERE', user_id: u, app_id: a}}",
    "asks-first": "pre_queue_workflow_id: echo",
    "asks-first-refused": "pre_queue_workflow_id: broken",
    "asks-then": "post_queue_workflow_id: echo, keep_input: true",
    "asks-then-posts": "post_queue_workflow_id: echo",
    "asks-then-refused": "post_queue_workflow_id: broken",
    "fails": "pre_queue_workflow_id: fails",
}
WORKFLOWS = {
    "echo": "id: echo, nodes: [{id: echo, model: {model_id: echo}, node_inputs: [{node_id: $input}]}]",
    "broken": "id: broken, nodes: [{id: broken, model: {model_id: broken}, node_inputs: [{node_id: $input}]}]",
    "fails": "id: fails, nodes: [{id: fails, model: {model_id: fails, model_type_id: metadata-filter,"
    " output_info: {params: {expression: 'length(query.nothing)'}}}}]",
}
MODELS = {
    "echo": "id: echo, url: 'MODELS/v1/chat/completions', params: {prompt: '{{text}} {{tensors}}'}",
    "broken": "id: broken, url: 'MODELS/v1/models/broken:predict'",
}


class World:
    """All servers around the product: the model, further models, and what they were sent by us."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        sent = await request.text()
        if request.path.endswith("/completions"):
            self.asked.append(sent)
            content = f"{CAPTION}: {ALL}, {sent}"
            return web.json_response({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})
        if "broken" in request.path:
            self.asked.append(sent)
            return web.Response(status=422, text=f"{ALL}: cannot read {sent}")
        return web.json_response(_answer(request.path))


def _answer(path: str) -> Any:
    label = {"id": f"x {EMAIL}", "name": TOKEN, "value": 0.9}
    if path.endswith("/outputs"):
        model = {"model_version": {"id": EMAIL}}
        return {"outputs": [{"model": model, "data": {"concepts": [label], "metadata": {EMAIL: [ALL, CARD]}}}]}
    if path.endswith("/infer"):
        output = {"name": TOKEN, "datatype": "BYTES", "shape": [1, 2], "data": [ALL, EMAIL]}
        return {"model_version": EMAIL, "outputs": [output]}
    return {"predictions": [{"label": ALL, "score": 0.9, EMAIL: {"deep": [[ALL]], "card": CARD}}] * 2}


async def echo(_request: web.Request, posted: Posted) -> web.StreamResponse:
    """A refusal whose text repeats what was posted, and more."""
    details = ALL + json.dumps(posted.body["inputs"][0]["data"])
    wire = {"status": {"code": 30104, "description": "Bad input", "details": details}}
    return web.json_response(wire, status=400)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    app = web.Application()
    app.router.add_post("/{path:.*}", world.handle)
    async with TestServer(app) as server:
        world.url = str(server.make_url("")).rstrip("/")
        yield world


@pytest.fixture
async def destination() -> AsyncIterator[ClarifaiFake]:
    async with clarifai_fake() as fake:
        fake.plan(*[echo] * 100)
        yield fake


def build(home: Path, world: World, destination: ClarifaiFake) -> Product:
    product = Product(home, world.url, log_level="debug", metadata_headers="x-note,referer,user-agent")
    nowhere = f"http://127.0.0.1:{unused_port()}"
    for name, fields in COLLECTORS.items():
        fields = fields.replace("APP", destination.url).replace("NOWHERE", nowhere)
        product.policy(name, f"collector: {{id: {name}, source: {{model: digits}}, {fields}, redact: [\n{_flow()}]}}")
    for name, fields in WORKFLOWS.items():
        product.policy(f"workflow-{name}", f"workflow: {{{fields}}}")
    for name, fields in MODELS.items():
        product.policy(f"model-{name}", f"model: {{{fields.replace('MODELS', world.url)}}}")
    return product


def _flow() -> str:
    """The rules inside a mapping that is written in one line."""
    return ",\n".join(line.strip().removeprefix("- ") for line in RULES.strip().splitlines())


async def send(product: Product) -> None:
    """Every protocol, with secrets in headers, query, path, body, names and numbers; and bodies that nobody reads."""
    row = {
        "note": NOTE, "prompt": ALL, "card": CARD, EMAIL: 1, "deep": [[{"a": ALL, TOKEN: {EMAIL: [float(CARD)]}}]],
    }  # fmt: skip
    tensors = [
        {"name": TOKEN, "datatype": "BYTES", "shape": [1], "data": [ALL]},
        {"name": "n", "datatype": "INT64", "shape": [1], "data": [CARD]},
        {"name": "note", "datatype": "BYTES", "shape": [1], "data": [NOTE]},
    ]
    torn = {"name": EMAIL, "datatype": "FP32", "shape": [1, 9], "data": [0.5]}
    one = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [ALL]}
    region = {"id": TOKEN, "data": {"concepts": [{"id": EMAIL, "name": ALL, "value": 0.3}]}}
    data = {
        "text": {"raw": ALL}, "concepts": [{"id": EMAIL, "value": 0.5}], "regions": [region],
        "metadata": {EMAIL: {"path": ALL}, "caller": EMAIL, "n": [CARD]},
    }  # fmt: skip
    calls: list[tuple[str, bytes]] = [
        ("/v1/models/digits:predict", json.dumps({"instances": [row, ALL]}).encode()),
        (f"/v2/models/digits/versions/{quote(EMAIL)}/infer", json.dumps({"inputs": tensors}).encode()),
        ("/v2/models/digits/infer", json.dumps({"inputs": [one]}).encode()),
        ("/v2/users/u/apps/a/models/digits/outputs", json.dumps({"inputs": [{"data": data}]}).encode()),
        ("/v2/models/digits/infer", json.dumps({"inputs": [torn]}).encode()),
        ("/v1/models/digits:predict", b"not JSON: " + ALL.encode() + NOTE.encode()),
        ("/v1/models/digits:predict", json.dumps({"instances": [{"b64": _b64(ALL)}]}).encode()),
    ]
    headers = {"X-Caller-Id": EMAIL, "X-Note": NOTE, "Referer": f"http://x/?m={quote(EMAIL)}", "User-Agent": ALL}
    query = f"?{quote(EMAIL)}=1&mail={quote(EMAIL)}&all={quote(ALL)}&nested={quote(quote(EMAIL))}"
    for path, body in calls:
        async with product.session.post(product.url + path + query, data=body, headers=headers) as response:
            assert response.status == 200


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def traces_of(content: bytes, where: str) -> list[tuple[str, str]]:
    """Which secrets are in `content`, as they are or encoded."""
    found = []
    for secret in SECRETS:
        forms = {secret, quote(secret), quote(quote(secret)), json.dumps(secret)[1:-1], *_shifted(secret)}
        found += [(where, secret) for form in forms if form.lower().encode() in content.lower()]
    return found


def _shifted(secret: str) -> list[str]:
    """The middle of `secret` in base64, by its place among what stands before."""
    return [_b64(" " * shift + secret)[4:-4] for shift in range(3)]


def traces_on_disk(product: Product) -> list[tuple[str, str]]:
    files = [path for path in product.home.rglob("*") if path.is_file() and product.policies not in path.parents]
    assert any(path.name == "sidecar.db" for path in files)
    return [trace for path in files for trace in traces_of(path.read_bytes(), path.name)]


async def traces_in_answers(product: Product) -> list[tuple[str, str]]:
    found = []
    for path in (
        "/v1/ledger",
        "/v1/jobs?state=dead",
        "/v1/jobs?state=queued",
        "/v2/inputs",
        "/v1/traffic",
        "/metrics",
        "/readyz",
    ):
        async with product.session.get(product.admin + path) as response:
            assert response.status == 200
            found += traces_of(await response.read(), path)
    for path in await stories_in(product):
        async with product.session.get(product.admin + path) as response:
            told = await response.read()
            assert response.status == 404 or b'"sampling"' in told  # a job may have ended meanwhile
            assert b'"top"' not in told
            found += traces_of(told, path)
    return found


async def stories_in(product: Product) -> list[str]:
    jobs = (await product.get("/v1/jobs"))["jobs"]
    inputs = (await product.get("/v2/inputs"))["inputs"]
    kept = [f"/v1/users/me/apps/main/inputs/{each['id']}/story" for each in inputs]
    assert jobs
    assert kept
    return [*(f"/v1/jobs/{job['id']}" for job in jobs), *kept]


def has_ended(ledger: dict[str, Any]) -> bool:
    """All but those whose destination is away have."""
    return not ledger["exchanges"]["open"] and set(ledger["reasons"]["pending"]) == {"unreachable"}


async def test_no_secret_is_found_anywhere_whatever_fails(
    tmp_path: Path, world: World, destination: ClarifaiFake
) -> None:
    async with build(tmp_path, world, destination) as product:
        await send(product)
        ledger = await product.eventually("/v1/ledger", lambda now: not has_ended(now))
        dead = (await product.get("/v1/jobs?state=dead"))["jobs"]
        inputs = (await product.get("/v2/inputs"))["inputs"]
        assert await traces_in_answers(product) == []
        await product.kill()
        assert traces_on_disk(product) == []
        await product.start()
        again = await product.eventually("/v1/ledger", lambda now: not has_ended(now))
        assert await traces_in_answers(product) == []
        await send(product)
        await product.kill()
        assert traces_on_disk(product) == []
        await product.start()
        assert await product.terminate() == 0
    assert traces_on_disk(product) == []
    assert traces_of(json.dumps([posted.body for posted in destination.posted]).encode(), "posted") == []
    assert [trace for sent in world.asked for trace in traces_of(sent.encode(), "asked")] == []
    assert_sums_hold(ledger)
    assert_sums_hold(again)
    assert "tensor '[email]'" in product.log
    readable, unreadable, unanswered = 5, 3, 2
    for name, sums in ledger["collectors"].items():
        assert sums["matched"] == readable + unreadable, name
    assert ledger["collectors"]["plain"]["delivered"] == readable
    assert ledger["collectors"]["waits"]["pending"] == readable
    assert ledger["reasons"]["dropped"] == {
        "unredactable": unreadable * (len(COLLECTORS) - 1),
        "no_output": unanswered,
        "operator_failed": readable + unreadable - unanswered,
        "model_refused": readable,
    }
    assert {job["reason"] for job in dead} == {"invalid_input", "model_refused"}
    assert {job["caller"] for job in dead} == {"[email]"}
    assert any("[email]" in job["detail"] for job in dead)
    shown = json.dumps(inputs)
    assert all(mark in shown for mark in ("[email]", "[phone]", "[card]", "[ip]", "[id]"))
    assert all("[email]" in sent for sent in world.asked)
    assert all(any(name in each["collector"] for each in inputs) for name in ("plain", "asks-first", "asks-then"))
