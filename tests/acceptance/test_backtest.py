"""A record of a running product's traffic, tried with the same policies: the same inputs are kept. And what a recording
may not do: count, keep credentials, give out what a collector redacts, or go on when its time is up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.model_app import model_app
from support.policies import BELOW_60
from support.product import Product, assert_sums_hold

from sidecar.backtest.drafts import read_draft
from sidecar.backtest.trial import Trial
from sidecar.cli import main
from sidecar.delivery.destination import input_id_of
from sidecar.records.files import read_records
from sidecar.records.recorded import Recorded

CALLS, BATCH = 60, 4
SECRET = "zed.secret@example.com"
TWO_STEPS = """
workflow:
  id: two-steps
  nodes:
    - {id: half, model: {model_id: half, model_type_id: random-sample, output_info: {params: {keep_fraction: 0.5}}}}
    - id: first
      node_inputs: [{node_id: half}]
      model: {model_id: first, model_type_id: first-n, output_info: {params: {n: 40}}}
"""
LATE = """
workflow:
  id: late
  nodes:
    - id: odd
      model:
        model_id: odd
        model_type_id: metadata-filter
        output_info: {params: {expression: "caller == 'alice'"}}
"""
COLLECTORS = {
    "unsure": "pre_queue_workflow_id: below-60",
    "tenth": "pre_queue_random_sample: 0.3",
    "steps": "pre_queue_workflow_id: two-steps, sample_exchanges: 0.7",
    "late": "pre_queue_random_sample: 0.8, post_queue_workflow_id: late, keep_input: true",
    "outputs": "pre_queue_workflow_id: below-60, collect_outputs: true",
}


def answer(instance: Any) -> list[float]:
    top = 0.5 + (instance[0] * 37 % 100) / 200
    return [top, 1.0 - top]


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    async with model_app(answer) as model:
        product = Product(tmp_path, model.url)
        for name, fields in COLLECTORS.items():
            product.policy(name, f"collector: {{id: {name}, source: {{model: digits}}, {fields}}}")
        for name, text in (("below-60", BELOW_60), ("two-steps", TWO_STEPS), ("late-flow", LATE)):
            product.policy(name, text)
        async with product:
            yield product


async def send(product: Product, model: str = "digits", calls: int = CALLS, others: str = "bob") -> None:
    for number in range(calls):
        instances = [[number * BATCH + place, SECRET] for place in range(BATCH)]
        headers = {"X-Caller-Id": "alice" if number % 3 else others, "Authorization": f"Bearer {SECRET}"}
        status, _ = await product.predict(instances, model, **headers)
        assert status == 200


async def record(product: Product, model: str, target: Path, calls: int = CALLS, *options: str) -> list[Recorded]:
    """What `sidecar record` writes of traffic that begins once it records."""
    named = ["--model", model] if model else []
    arguments = ["record", *named, "--to", str(target), "--count", str(calls), *options]
    admin = urlsplit(product.admin).netloc
    command = asyncio.create_task(asyncio.to_thread(main, [*arguments, "--admin", admin]))
    await product.eventually("/v1/record", lambda status: not status["recording"])
    await send(product, model or "unnamed", calls)
    assert await command == 0
    found = list(read_records([target]))
    recorded = [each for each in found if isinstance(each, Recorded)]
    assert len(recorded) == len(found)
    return recorded


def ids_kept(trial: Trial, recorded: list[Recorded]) -> set[str]:
    """The ids under which what `trial` keeps would be posted."""
    kept: set[str] = set()
    trial.on_kept = lambda exchange_id, index: kept.add(input_id_of(exchange_id.hex(), index, trial.policy.key))
    for each in recorded:
        trial.take(each)
    return kept


async def test_a_record_is_judged_as_the_running_product_judged_it(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    target = product.home / "calls.jsonl"
    recorded = await record(product, "digits", target)
    assert len(recorded) == CALLS
    ledger = await product.settled()
    assert_sums_hold(ledger)
    for name in COLLECTORS:
        inputs = await product.get(f"/v2/inputs?collector={name}&per_page=1000")
        trial = read_draft(str(product.policies / f"{name}.yaml"), product.policies, ()).trial()
        kept = ids_kept(trial, recorded)
        assert kept == {each["id"] for each in inputs["inputs"]}, name
        sums = ledger["collectors"][name]
        assert 0 < len(kept) == sums["delivered"] < CALLS * BATCH
        assert (trial.matched, trial.ends.total() - trial.kept) == (sums["matched"], sums["filtered"])
    assert SECRET not in json.dumps([dict(each.call.inputs[0].metadata) for each in recorded])

    shown = ("--on", "app", "--data", str(product.data), "--policies", str(product.policies), "--json")
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["backtest", "outputs", *shown]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["inputs"]["kept"] == ledger["collectors"]["outputs"]["delivered"]


async def test_what_nobody_collects_is_copied_only_while_it_is_recorded_and_stays_unwanted(product: Product) -> None:
    await send(product, "strangers", 5)
    recorded = await record(product, "strangers", product.home / "calls.jsonl", 20, "--sample", "1")
    assert len(recorded) == 20
    await send(product, "strangers", 5)
    recorded = await record(product, "", product.home / "all.jsonl", 7)
    assert {each.call.model for each in recorded} == {"unnamed"}
    ledger = await product.settled()
    assert_sums_hold(ledger)
    assert (ledger["exchanges"]["unwanted"], ledger["exchanges"]["taken"]) == (37, 0)
    assert await product.get("/v1/record") == {"recording": False}


async def test_a_draft_is_tried_on_what_was_recorded_a_moment_ago(product: Product) -> None:
    status, said = await product.ask("POST", "/v1/record", {"model": "digits", "count": 30, "seconds": 600})
    assert (status, said["recording"]) == (200, True)
    status, said = await product.ask("POST", "/v1/record", {"model": "digits"})
    assert status == 409
    assert "is there already" in json.dumps(said)
    await send(product, others="alice")  # what comes from several is taken in turns: another order
    await product.eventually("/v1/record", lambda status: status["seen"] < CALLS)
    draft = {
        "collector": {"id": "draft", "source": {"model": "digits"}, "pre_queue_workflow_id": "drafted"},
        "workflows": [{"id": "drafted", "nodes": [unsure_below(0.75)]}],
        "against": "unsure",
    }
    status, found = await product.ask("POST", "/v1/backtest", draft)
    assert status == 200, found
    newest = range((CALLS - 30) * BATCH, CALLS * BATCH)
    assert found["exchanges"]["read"] == 30
    assert found["inputs"]["kept"] == sum(max(answer([n])) < 0.75 for n in newest)
    assert found["against"]["inputs"]["kept"] == sum(max(answer([n])) < 0.6 for n in newest)
    assert found["comparison"]["only_second"] == 0
    assert (found["is_whole"], found["source"], found["left_out"]) == (True, "recent", 0)
    assert sum(found["nodes"][0]["histogram"]["bins"]) == 120

    ledger = await product.settled()
    assert "draft" not in ledger["collectors"]
    status, found = await product.ask("POST", "/v1/backtest", draft | {"source": "app", "limit": 50})
    assert (status, found["exchanges"]["read"]) == (200, 50)
    for _ in range(2):  # each has memories of its own, and the running collector has its own
        status, found = await product.ask("POST", "/v1/backtest", draft | {"against": "steps"})
        assert 0 < found["against"]["inputs"]["kept"] <= 40
        assert sum(found["against"]["inputs"]["filtered"].values()) > 0
    status, found = await product.ask("POST", "/v1/backtest", draft | {"source": "queue"})
    assert (status, found["exchanges"]["read"]) == (200, 0)
    broken = draft | {
        "workflows": [{"id": "drafted", "nodes": [unsure_below(0.75) | {"node_inputs": [{"node_id": "x"}]}]}]
    }
    refused: list[dict[str, Any]] = [{"source": "moon"}, {"limit": 0}, {"against": "nobody"}, {"workflows": 1}, broken]
    for wrong in (*refused, {"collector": {}}):
        status, said = await product.ask("POST", "/v1/backtest", draft | wrong)
        assert 400 <= status < 500, (wrong, said)
    assert (await product.ask("DELETE", "/v1/record"))[0] == 200
    assert (await product.ask("POST", "/v1/backtest", draft))[1]["exchanges"]["read"] == 0


def unsure_below(threshold: float) -> dict[str, Any]:
    info = {
        "params": {"concept_threshold_type": "LESS_THAN", "require": "all"},
        "data": {"concepts": [{"id": "*", "value": threshold}]},
    }
    return {"id": "below", "model": {"model_id": "b", "model_type_id": "concept-thresholder", "output_info": info}}


async def test_what_is_given_out_has_passed_every_rule_and_ends_with_its_time(product: Product) -> None:
    collector = {"id": "careful", "source": {"model": "digits"}, "pre_queue_random_sample": 0.5}
    rules = {"redact": [{"mask": "secret@example"}]}
    status, said = await product.ask("POST", "/v2/collectors", {"collectors": [collector | rules]})
    assert status == 200, said
    recorded = await record(product, "digits", product.home / "calls.jsonl", 5, "--redact", "[{mask: zed}]")
    text = json.dumps([each.call.inputs[0].tensors[0].value for each in recorded])
    assert "[redacted].[redacted].com" in text
    assert "zed" not in text

    bad_rule = {"model": "m", "redact": [{"mask": "("}]}
    refused: list[dict[str, Any]] = [{"model": 7}, {"model": "m", "count": 0}, {"model": "m", "seconds": "9"}, bad_rule]
    for wrong in refused:
        assert (await product.ask("POST", "/v1/record", wrong))[0] == 400, wrong
    status, said = await product.ask("POST", "/v1/record", {"model": "digits", "seconds": 0.01})
    assert status == 200, said
    await product.eventually("/v1/record", lambda status: status["recording"])
    await send(product, calls=3)
    await product.settled()
    assert (await product.get("/v1/record"))["seen"] == 0


async def test_a_recording_that_cannot_be_made_says_why(product: Product, capsys: pytest.CaptureFixture[str]) -> None:
    target = product.home / "calls.jsonl"
    arguments = ["record", "--model", "digits", "--to", str(target), "--admin", urlsplit(product.admin).netloc]
    assert await asyncio.to_thread(main, [*arguments, "--count", "999999"]) == 1
    assert "count: must be a whole number from 1 to 10000" in capsys.readouterr().err
    assert await asyncio.to_thread(main, [*arguments, "--for", "soon"]) == 2
    assert await asyncio.to_thread(main, [*arguments, "--to", str(product.home / "no" / "folder")]) == 2
    assert await product.get("/v1/record") == {"recording": False}
    await product.kill()
    assert await asyncio.to_thread(main, arguments) == 1
    assert "no sidecar answers" in capsys.readouterr().err
    await product.start()


async def test_jobs_that_wait_are_tried_from_the_queue(product: Product, capsys: pytest.CaptureFixture[str]) -> None:
    destination = {"clarifai": {"base_url": "http://127.0.0.1:9", "user_id": "u", "app_id": "a"}}
    waits = {"id": "waits", "source": {"model": "digits"}, "pre_queue_random_sample": 0.5, "destination": destination}
    everything = waits | {"id": "everything", "pre_queue_random_sample": 1.0}
    assert (await product.ask("POST", "/v2/collectors", {"collectors": [everything, waits]}))[0] == 200
    await send(product)
    ledger = await product.eventually(
        "/v1/ledger",
        lambda ledger: (
            any(ledger["collectors"].get(name, {}).get("pending", 1) for name in COLLECTORS)
            or ledger["exchanges"]["open"]
        ),
    )
    pending = ledger["collectors"]["waits"]["pending"]
    assert 0 < pending < CALLS * BATCH == ledger["collectors"]["everything"]["pending"]
    status, found = await product.ask("POST", "/v1/backtest", {"collector": waits, "source": "queue", "limit": 10_000})
    assert (status, found["inputs"]["matched"]) == (200, CALLS * BATCH)  # each input once
    assert found["inputs"]["kept"] == pending  # drawn again by the same names
    assert found["kept_per_day"] == pytest.approx(pending * 86_400 / found["span_seconds"])

    places = ("--data", str(product.data), "--policies", str(product.policies))
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["backtest", "late", "--on", "queue", "--json", *places]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["exchanges"]["matched"] == CALLS * BATCH
    assert set(found["callers"]) == {"alice", "bob"}
    assert 0 < found["inputs"]["kept"] < found["callers"]["alice"]["matched"]
