"""Collected rows in the running product: from our library, and from Azure's client unchanged, to the app's inputs."""

from __future__ import annotations

import asyncio
import importlib.metadata
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from support.model_app import SURE, model_app
from support.policies import BELOW_60
from support.product import Product, assert_sums_hold
from support.rows_end import ROOT, row_of, run_scoring

OLD_PANDAS = "2.3.3"
UNSURE = """
collector:
  id: unsure
  source: {model: digits, version: "3", caller: web}
  pre_queue_workflow_id: below-60
  collect_outputs: true
"""
EVERYTHING = "collector: {id: everything, source: {model: %s}, pre_queue_random_sample: 1}"
GERMAN = """
collector: {id: german, source: {model: default}, pre_queue_workflow_id: german}
"""
GERMAN_WORKFLOW = """
workflow:
  id: german
  nodes:
    - id: german
      node_inputs: [{node_id: $input}]
      model:
        model_id: german
        model_type_id: metadata-filter
        output_info: {params: {expression: "context.country == 'DE'"}}
"""
SCORE = """
from sidecar.datacollector import ModelDataCollector
inputs = ModelDataCollector("digits", designation="inputs", feature_names=["pixel", "weight"], model_version="3")
predictions = ModelDataCollector("digits", designation="predictions", feature_names=["cat", "dog"], model_version="3")
for number in range(50):
    context = inputs.collect([number, "ü"])
    sure = number % 5 != 0
    answer = [0.9, 0.1] if sure else [0.55, 0.45]
    predictions.collect(predictions.add_correlations([answer], context))
inputs.collect([99, "never answered"])
"""


async def inputs_of(product: Product) -> list[dict[str, Any]]:
    found = (await product.get("/v2/inputs?per_page=500"))["inputs"]
    return [each["data"] for each in found]


async def test_rows_of_our_library_walk_the_same_path_as_predict_calls(tmp_path: Path) -> None:
    """Inputs and predictions are joined, judged by what the model answered, and kept with it; both sums hold."""
    async with model_app(lambda _: SURE) as model:
        address = f"127.0.0.1:{unused_port()}"
        product = Product(tmp_path, model.url, mdc=address)
        product.policy("unsure", UNSURE)
        product.policy("below", BELOW_60)
        async with product:
            scored = await run_scoring(SCORE, folder=tmp_path, SIDECAR_MDC=address, SERVICE_NAME="web")
            assert scored == (0, "", "")
            assert (await product.predict([[1]]))[0] == 200
            early = await product.eventually("/v1/ledger", lambda said: said["total"]["delivered"] < 10)
            kept = await inputs_of(product)
            assert_sums_hold(early)
            assert await product.terminate() == 0
            await product.start()
            ledger = await product.settled()
    assert early["exchanges"]["seen"] == 52
    assert early["exchanges"]["taken"] == 50
    assert early["exchanges"]["open"] == 1, "the input without an answer waits for one"
    assert early["total"]["filtered"] == 40
    assert ledger["total"] == {
        "matched": 51, "filtered": 40, "delivered": 10, "dead": 0, "dropped": 1, "pending": 0,
    }  # fmt: skip
    assert ledger["reasons"]["dropped"] == {"no_output": 1}, "it went on alone when the engine stopped"
    assert sorted(row_of(data)["pixel"] for data in kept) == list(range(0, 50, 5))
    metadata = kept[0]["metadata"]
    assert row_of(kept[0])["weight"] == "ü"
    assert metadata["origin"] == "collect"
    assert metadata["designation"] == "inputs"
    assert (metadata["caller"], metadata["model"], metadata["version"]) == ("web", "digits", "3")
    assert metadata["correlation_id"] == metadata["request_id"] == metadata["headers"]["x-request-id"]
    assert [concept["value"] for concept in metadata["model_output"]["concepts"]] == [0.55, 0.45]


CLIENT = """
import logging, sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
from azureml.ai.monitoring import Collector, init
from azureml.ai.monitoring.context import BasicCorrelationContext
from azureml.ai.monitoring.init import teardown
faults = []
inputs = Collector(name="model_inputs", on_error=faults.append)
outputs = Collector(name="model_outputs", on_error=faults.append)
frame = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2024-01-01"] * 2), "n": [None, "Zoë 中"]})
context = inputs.collect(frame)
outputs.collect(pd.DataFrame({"p": [0.9, 0.4]}), context)
inputs.collect(pd.DataFrame({"a": []}))
odd = {"country": "DE", "Traceparent": "00-1-2-01", "api-key": "s3cret", "empty": "", "x-request-id": "not this",
       "long": "x" * 20000}
inputs.collect(pd.DataFrame({"a": [7]}), BasicCorrelationContext(id="odd id", timestamp=1704067200, headers=odd))
teardown(wait_for_flush=True)
print(pd.__version__, faults)
"""


@pytest.fixture(scope="session")
def old_pandas(request: pytest.FixtureRequest) -> Path:
    """A folder with another pandas than the installed one, made once and kept between runs."""
    folder = Path(request.config.cache.mkdir(f"pandas-{OLD_PANDAS}"))
    if not (folder / "done").exists():
        wanted = (f"pandas=={OLD_PANDAS}", "pytz")
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", str(folder)]
        subprocess.run([*command, *wanted], check=True, capture_output=True)
        (folder / "done").touch()
    return folder


def _environment(address: str) -> dict[str, str]:
    host, _, port = address.rpartition(":")
    return {"AZUREML_MDC_ENABLED": "true", "AZUREML_MDC_HOST": host, "AZUREML_MDC_PORT": port}


@pytest.mark.parametrize("is_old", [False, True], ids=["pandas", "pandas 2"])
async def test_azures_client_is_received_unchanged(tmp_path: Path, old_pandas: Path, is_old: bool) -> None:
    async with model_app(lambda _: SURE) as model:
        address = f"127.0.0.1:{unused_port()}"
        product = Product(tmp_path, model.url, mdc=address)
        product.policy("everything", EVERYTHING % "default")
        product.policy("german", GERMAN)
        product.policy("german.workflow", GERMAN_WORKFLOW)
        async with product:
            environment = _environment(address)
            if is_old:
                environment["PYTHONPATH"] = str(old_pandas)
            code, out, errors = await run_scoring(CLIENT, folder=tmp_path, **environment)
            assert code == 0, errors
            version = OLD_PANDAS if is_old else importlib.metadata.version("pandas")
            assert out.splitlines()[-1] == f"{version} []", out
            assert await product.terminate() == 0
            await product.start()
            ledger = await product.settled()
            kept = await inputs_of(product)
    assert_sums_hold(ledger)
    assert ledger["collectors"]["everything"]["delivered"] == 3
    assert (ledger["collectors"]["german"]["filtered"], ledger["collectors"]["german"]["delivered"]) == (2, 1)
    rows = {row_of(data)["a"]: data for data in kept}
    assert set(rows) == {1, 2, 7}
    assert row_of(rows[2])["n"] == "Zoë 中"
    assert row_of(rows[1])["n"] is None
    odd = rows[7]["metadata"]
    assert (odd["correlation_id"], odd["timestamp"]) == ("odd id", 1704067200)
    assert odd["context"]["country"] == "DE"
    assert odd["context"]["long"] == "x" * 20000
    assert odd["headers"] == {"traceparent": "00-1-2-01", "x-request-id": "odd id"}
    assert "s3cret" not in str(kept)


async def test_an_address_that_is_taken_is_said_and_costs_nothing_else(tmp_path: Path) -> None:
    async with model_app(lambda _: SURE) as model:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            product = Product(tmp_path, model.url, mdc=address)
            product.policy("everything", EVERYTHING % "digits")
            async with product:
                assert (await product.predict([[1]]))[0] == 200
                ledger = await product.settled()
                readiness = await product.get("/readyz")
    problem = f"{address} cannot be listened on: Address already in use"
    assert ledger["total"]["delivered"] == 1
    assert readiness["reasons"] == {"rows": problem}
    assert f'"problem": "{problem}"' in product.log
    assert "free the address or set --mdc to another" in product.log


async def test_the_engine_dies_and_scoring_code_does_not_notice(tmp_path: Path) -> None:
    script = """
import sys
from sidecar.datacollector import ModelDataCollector, flush
from sidecar.datacollector.outlets import dropped
dc = ModelDataCollector("digits", "inputs", ["a"])
dc.collect([0], "waits for an answer that never comes")
for line in sys.stdin:
    dc.collect([int(line)])
    print("collected", flush=True)
assert flush(60)
assert dropped() == 0
"""
    (tmp_path / "score.py").write_text(script)
    async with model_app(lambda _: SURE) as model:
        address = f"127.0.0.1:{unused_port()}"
        product = Product(tmp_path, model.url, mdc=address)
        product.policy("everything", EVERYTHING % "digits")
        async with product:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "score.py", cwd=tmp_path, stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(ROOT), "SIDECAR_MDC": address},
            )  # fmt: skip
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(b"1\n")
            await product.eventually("/v1/ledger", lambda said: said["total"]["delivered"] < 1)
            product.kill_engine()
            child.stdin.write(b"2\n")
            assert await child.stdout.readline() == b"collected\n"
            assert await child.stdout.readline() == b"collected\n"
            child.stdin.close()
            assert await asyncio.wait_for(child.wait(), 60) == 0
            ledger = await product.eventually("/v1/ledger", lambda said: said["total"]["delivered"] < 2)
    assert_sums_hold(ledger)
    assert ledger["total"]["delivered"] == 2
    assert ledger["exchanges"]["lost"] == {"engine_away": 1}
    assert ledger["exchanges"]["seen"] == 3
