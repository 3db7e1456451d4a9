"""Listening to the running product: what passes is heard with its verdicts, and a stop is not held up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from support.model_app import model_app
from support.product import Product

KEPT = "collector:\n  id: kept\n  source: {model: digits}\n  pre_queue_random_sample: 1.0\n"


async def test_what_passes_is_heard_until_the_stop(tmp_path: Path) -> None:
    async with model_app(lambda _: [0.5, 0.5]) as model:
        product = Product(tmp_path, model.url)
        product.policy("kept", KEPT)
        async with product, product.session.get(f"{product.admin}/v1/tail?collector=kept") as response:
            assert await response.content.readuntil(b"\n\n") == b": listening\n\n"
            await product.predict([[1], [2]], **{"X-Caller-Id": "alice"})
            name, data = (await response.content.readuntil(b"\n\n")).rstrip().split(b"\n")
            event = orjson.loads(data.removeprefix(b"data: "))
            assert name == b"event: exchange"
            assert (event["caller"], event["model"], event["status"]) == ("alice", "digits", 200)
            assert event["latency_ms"] > 0
            assert event["verdicts"] == [{"collector": "kept", "verdict": "kept", "reason": "", "inputs": 2}]
            listed = await product.get("/v1/settings")
            shown = {each["name"]: each["from"] for each in listed["settings"]}
            assert (shown["upstream"], shown["max_body"]) == ("option", "default")
            told = await product.get("/v1/events?kind=collector")
            assert [(each["who"], each["subject"]) for each in told["events"]] == [("files", "kept")]
            assert await product.terminate() == 0
            assert await response.content.read() == b""


async def test_keys_and_events_outlive_the_engine(tmp_path: Path) -> None:
    async with model_app(lambda _: [0.5, 0.5]) as model, Product(tmp_path, model.url) as product:

        async def ask(method: str, path: str, token: str = "", body: object = None) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with product.session.request(method, product.admin + path, headers=headers, json=body) as response:
                return response.status, await response.json()

        _, made = await ask("POST", "/v1/keys", body={"name": "reader", "scopes": ["read"]})
        assert (await ask("POST", "/v1/jobs/retry", made["token"], {"all": True}))[0] == 403
        product.kill_engine()
        started = "/v1/events?kind=engine.started"
        await product.eventually(started, lambda answer: len(answer["events"]) < 2)
        status, told = await ask("GET", "/v1/events", made["token"])
        assert (status, told["events"][-1]["kind"]) == (200, "engine.started")
        assert {each["kind"]: each["who"] for each in told["events"]} == {
            "engine.started": "sidecar",
            "key.created": "loopback",
        }
        assert made["token"] not in product.log
