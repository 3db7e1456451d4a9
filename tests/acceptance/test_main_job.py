"""The main job through the running product: real processes, real sockets, a real database."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.clarifai_app import clarifai_fake, plain
from support.model_app import SURE, UNSURE, ModelApp, model_app
from support.policies import BELOW_60
from support.product import Product, assert_sums_hold

DISAGREE = """
workflow:
  id: disagree
  nodes:
    - id: second
      model: {model_id: second}
    - id: differ
      model: {model_id: differ, model_type_id: disagreement-filter}
      node_inputs: [{node_id: $output}, {node_id: second}]
"""


def collector(body: str, name: str = "kept", source: str = "{model: digits}") -> str:
    return f"collector: {{id: {name}, source: {source}, {body}}}"


def posting_to(url: str) -> str:
    return f"destination: {{clarifai: {{base_url: '{url}', user_id: u, app_id: a}}}}"


def odd_is_unsure(instance: Any) -> list[float]:
    return UNSURE if instance[0] % 2 else SURE


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(odd_is_unsure) as app:
        yield app


@pytest.fixture
def product(tmp_path: Path, model: ModelApp) -> Product:
    return Product(tmp_path, model.url)


async def test_an_unsure_prediction_of_the_right_caller_is_kept_and_all_else_is_accounted_for(product: Product) -> None:
    product.policy("collector", collector("pre_queue_workflow_id: below-60", source="{model: digits, caller: alice}"))
    product.policy("workflow", BELOW_60)
    async with product:
        for number in range(10):
            assert await product.predict([[number]], **{"X-Caller-Id": "alice"}) == (
                200,
                {"predictions": [odd_is_unsure([number])]},
            )
            await product.predict([[number]], **{"X-Caller-Id": "bob"})
        await product.predict([[1], [2], [3]], model="other")
        ledger = await product.settled()
        inputs = (await product.get("/v2/inputs"))["inputs"]
    assert_sums_hold(ledger)
    assert ledger["exchanges"] == {"seen": 21, "unwanted": 11, "taken": 10, "open": 0, "lost": {}, "relays": 1}
    assert ledger["total"] == {"matched": 10, "filtered": 5, "delivered": 5, "dead": 0, "dropped": 0, "pending": 0}
    assert ledger["reasons"]["filtered"] == {"pre_queue": 5}
    assert sorted(each["data"]["tensors"][0]["value"][0] for each in inputs) == [1, 3, 5, 7, 9]
    assert {each["data"]["metadata"]["caller"] for each in inputs} == {"alice"}


async def test_each_input_of_a_batch_is_judged_by_itself(product: Product) -> None:
    product.policy("collector", collector("pre_queue_workflow_id: below-60"))
    product.policy("workflow", BELOW_60)
    async with product:
        await product.predict([[number] for number in range(7)])
        ledger = await product.settled()
    assert ledger["exchanges"]["taken"] == 1
    assert ledger["total"] == {"matched": 7, "filtered": 4, "delivered": 3, "dead": 0, "dropped": 0, "pending": 0}


async def test_the_post_queue_workflow_asks_a_second_model_and_waits_while_it_is_away(
    tmp_path: Path, model: ModelApp
) -> None:
    second = ModelApp(lambda instance: [0.1, 0.8, 0.1] if instance[0] < 4 else SURE)
    product = Product(tmp_path, model.url, models=f"second={second.url}/v1/models/second:predict")
    product.policy("collector", collector("post_queue_workflow_id: disagree, keep_input: true, collect_outputs: true"))
    product.policy("workflow", DISAGREE)
    async with product:
        for number in range(6):
            await product.predict([[number]])
        waiting = await product.eventually(
            "/v1/ledger", lambda ledger: "model_unavailable" not in ledger["reasons"]["pending"]
        )
        assert waiting["total"]["pending"] == 6
        await second.start()
        ledger = await product.settled()
        inputs = (await product.get("/v2/inputs"))["inputs"]
        await second.stop()
    assert_sums_hold(ledger)
    assert ledger["total"]["delivered"] == 4
    assert ledger["reasons"]["filtered"] == {"post_queue": 2}
    assert sorted(each["data"]["tensors"][0]["value"][0] for each in inputs) == [0, 1, 2, 3]
    for each in inputs:
        assert [concept["id"] for concept in each["data"]["metadata"]["model_output"]["concepts"]] == ["0", "1", "2"]
        assert each["data"]["metadata"]["workflow_output"]["concepts"]


async def test_inputs_are_posted_to_a_clarifai_app_and_survive_its_outage(product: Product) -> None:
    async with clarifai_fake() as app:
        app.plan(*[plain(503)] * 4)
        product.policy(
            "collector",
            collector(f"pre_queue_random_sample: 1, {posting_to(app.url)}"),
        )
        async with product:
            for number in range(5):
                assert (await product.predict([[number]]))[0] == 200
            ledger = await product.settled()
        assert_sums_hold(ledger)
        assert ledger["total"]["delivered"] == 5
        assert len(app.stored) == 5
        assert {posted.path for posted in app.posted} == {"/v2/users/u/apps/a/inputs"}


async def test_a_dead_destination_costs_no_prediction_and_no_input(product: Product) -> None:
    product.policy(
        "collector",
        collector(f"pre_queue_random_sample: 1, {posting_to('http://127.0.0.1:9')}"),
    )
    async with product:
        for number in range(20):
            assert (await product.predict([[number]]))[0] == 200
        ledger = await product.eventually(
            "/v1/ledger",
            lambda ledger: sum(ledger["reasons"]["pending"].values()) < 20 or "" in ledger["reasons"]["pending"],
        )
    assert_sums_hold(ledger)
    assert ledger["total"]["pending"] == 20


async def test_predictions_do_not_notice_that_the_engine_is_killed(product: Product) -> None:
    product.policy("collector", collector("pre_queue_random_sample: 1"))
    async with product:
        first_engine = product.engine_pids()
        for number in range(300):
            if number in (100, 200):
                product.kill_engine()
            assert (await product.predict([[number]]))[0] == 200
        ledger = await product.settled()
        assert product.engine_pids() != first_engine
    assert_sums_hold(ledger)
    exchanges = ledger["exchanges"]
    assert exchanges["seen"] == 300
    assert exchanges["taken"] + exchanges["lost"].get("engine_away", 0) == 300
    assert ledger["total"]["delivered"] >= exchanges["taken"]
    assert "engine died, predictions go on" in product.log


def has_delivered_less_than(count: int, ledger: dict[str, Any]) -> bool:
    return bool(ledger["total"]["delivered"] < count)


async def test_the_durable_sum_holds_after_everything_is_killed_in_the_middle_of_traffic(product: Product) -> None:
    product.policy("collector", collector("pre_queue_workflow_id: below-60"))
    product.policy("workflow", BELOW_60)

    async def call_until_it_dies(first: int) -> int:
        answered = 0
        try:
            while True:
                await product.predict([[first + answered]])
                answered += 1
        except (aiohttp.ClientError, ConnectionError):
            return answered

    async with product:
        for enough in (50, 100):
            clients = [asyncio.create_task(call_until_it_dies(first)) for first in range(4)]
            await product.eventually("/v1/ledger", functools.partial(has_delivered_less_than, enough))
            await product.kill()
            assert sum(await asyncio.gather(*clients)) > 0
            await product.start()
        ledger = await product.settled()
        delivered = len((await product.get("/v2/inputs?per_page=1000"))["inputs"])
    assert_sums_hold(ledger)
    assert ledger["total"]["matched"] > 100
    assert ledger["total"]["delivered"] == min(delivered, 1000) or delivered == 1000
    with sqlite3.connect(product.data / "sidecar.db") as database:
        (stored,) = database.execute("SELECT count(*) FROM input").fetchone()
    database.close()
    assert stored == ledger["total"]["delivered"]


async def test_sigterm_takes_what_is_in_memory_to_the_disk(product: Product) -> None:
    product.policy("collector", collector("pre_queue_random_sample: 1"))
    async with product:
        calls = [product.predict([[number]]) for number in range(200)]
        assert {status for status, _ in await asyncio.gather(*calls)} == {200}
        assert await product.terminate() == 0
        await product.start()
        ledger = await product.settled()
    assert_sums_hold(ledger)
    assert ledger["total"]["delivered"] == 200


async def test_a_broken_policy_is_named_and_its_last_good_version_runs_on(product: Product) -> None:
    product.policy("collector", collector("pre_queue_random_sample: 1"))
    async with product:
        await product.predict([[1]])
        await product.settled()
        assert await product.terminate() == 0
        product.policy("collector", "collector:\n  id: kept\n  source: {model: digits}\n  pre_queue_random_sampel: 1\n")
        await product.start()
        assert (await product.predict([[2]]))[0] == 200
        ledger = await product.settled()
        readiness = await product.get("/readyz")
    assert ledger["total"]["delivered"] == 2
    (said,) = [text for text in readiness["reasons"].values() if text]
    assert "collector.yaml:4" in said
    assert "pre_queue_random_sampel" in said


async def test_a_small_budget_loses_copies_and_never_predictions(tmp_path: Path, model: ModelApp) -> None:
    product = Product(tmp_path, model.url, max_body="20KiB", relay_memory="20KiB", queue_memory="20KiB")
    product.policy("collector", collector("pre_queue_random_sample: 1"))
    async with product:
        calls = [product.predict([[1] * 3000]) for _ in range(100)]
        assert {status for status, _ in await asyncio.gather(*calls)} == {200}
        await product.predict([[1] * 9000])
        ledger = await product.settled()
    assert_sums_hold(ledger)
    assert ledger["exchanges"]["seen"] == 101
    assert ledger["exchanges"]["lost"]["too_large"] == 1
    assert ledger["exchanges"]["lost"]["queue_full"] > 0
    assert ledger["total"]["delivered"] == ledger["exchanges"]["taken"]


async def test_a_model_that_is_down_is_answered_for_in_json(tmp_path: Path) -> None:
    product = Product(tmp_path, "http://127.0.0.1:9")
    product.policy("collector", collector("pre_queue_random_sample: 1"))
    async with product:
        status, answer = await product.predict([[1]])
        ledger = await product.settled()
    assert status == 502
    assert answer["reason"] == "upstream_refused"
    assert_sums_hold(ledger)


async def test_deactivating_stops_matching_and_deleting_drops_what_is_pending(product: Product) -> None:
    async with product:
        source = {"api_post_model_outputs_collector_source": {"model_id": "digits"}}
        body = {
            "id": "by-hand",
            "collector_source": source,
            "pre_queue_random_sample": 1,
            "destination": {"clarifai": {"base_url": "http://127.0.0.1:9", "user_id": "u", "app_id": "a"}},
        }
        url = f"{product.admin}/v2/collectors"
        async with product.session.post(url, json={"collectors": [body]}) as response:
            assert response.status == 200, await response.text()
        await product.predict([[1]])
        assert (await product.settled(pending=True))["total"]["pending"] == 1
        change = {"id": "by-hand", "status": {"code": "COLLECTOR_INACTIVE"}}
        async with product.session.patch(url, json={"action": "overwrite", "collectors": [change]}) as response:
            assert response.status == 200, await response.text()
        await product.predict([[2]])
        paused = await product.settled(pending=True)
        async with product.session.delete(url, json={"ids": ["by-hand"]}) as response:
            assert response.status == 200, await response.text()
        deleted = await product.settled()
    assert paused["total"]["matched"] == 1
    assert paused["exchanges"]["unwanted"] == 1
    assert deleted["reasons"]["dropped"] == {"collector_deleted": 1}
    assert_sums_hold(deleted)
