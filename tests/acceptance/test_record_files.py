"""Record files of the running product: whatever is killed under way, every delivered input is in a whole file, and the
files are a record that policies can be tried on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import tenacity
from support.model_app import SURE, UNSURE, ModelApp, model_app
from support.product import SETTLED_SECONDS, Product, assert_sums_hold
from support.s3_server import BUCKET, S3Server, s3_server

from sidecar.cli import main
from sidecar.data import to_wire
from sidecar.errors import Problem
from sidecar.records.files import read_records, record_files
from sidecar.records.recorded import Recorded

DESTINATIONS = {
    "lines": "{files: {url: '%s/lines', format: exchange, roll_after: 1s}}",
    "columns": "{files: {url: '%s/columns', format: parquet, roll_after: 1s}}",
}
CALLS, BATCH = 15, 2


@pytest.fixture
async def model() -> AsyncIterator[ModelApp]:
    async with model_app(lambda instance: UNSURE if instance[0] % 2 else SURE) as app:
        yield app


def watch(product: Product, name: str, destination: str) -> None:
    product.policy(name, f"collector: {{id: {name}, source: {{model: digits}}, destination: {destination}, {ALL}}}")


ALL = "pre_queue_random_sample: 1.0"


def inputs_in(folder: Path) -> Counter[tuple[str, int]]:
    """Exchange and index of every record in whole files, which must all be whole."""
    found = list(read_records(record_files(folder)))
    assert not [each for each in found if isinstance(each, Problem)]
    return Counter((each.id.hex(), each.first_index) for each in found if isinstance(each, Recorded))


async def send(product: Product, round_number: int) -> None:
    """A round of calls, once the relay has an engine that hears of them."""
    await product.eventually("/v1/ledger", lambda ledger: not ledger["exchanges"]["relays"])
    for number in range(CALLS):
        first = (round_number * CALLS + number) * BATCH
        await product.predict([[first + place] for place in range(BATCH)], **{"X-Request-Id": f"r-{first}"})


async def test_no_kill_loses_or_tears_a_record_and_policies_are_tried_on_them(
    tmp_path: Path, model: ModelApp, capsys: pytest.CaptureFixture[str]
) -> None:
    product = Product(tmp_path, model.url)
    for name, destination in DESTINATIONS.items():
        watch(product, name, destination % tmp_path)
    async with s3_server() as server:
        watch(product, "bucket", f"{{files: {{url: 's3://{BUCKET}/kept', endpoint: '{server.url}', roll_after: 1s}}}}")
        async with product:
            await send(product, 0)
            await some_delivered(product)
            await product.kill()
            await product.start()
            await send(product, 1)
            ledger = await product.settled()
            assert_sums_hold(ledger)
            await product.kill()
            await product.start()
            await all_are_files(tmp_path, server)
        for key, content in (await server.objects()).items():
            await asyncio.to_thread(put, tmp_path / "from-bucket" / key, content)

    assert ledger["total"]["dead"] == 0
    for name, folder in (("lines", "lines"), ("columns", "columns"), ("bucket", "from-bucket")):
        found = inputs_in(tmp_path / folder)
        assert len(found) == ledger["collectors"][name]["delivered"] >= CALLS * BATCH, name
        assert list((tmp_path / folder).glob("**/.parts/**/*.jsonl")) == []
    assert same_inputs(tmp_path / "lines", tmp_path / "columns")

    capsys.readouterr()
    policies = ("--policies", str(product.policies), "--json")
    for folder in ("lines", "columns"):
        assert await asyncio.to_thread(main, ["backtest", "lines", "--on", str(tmp_path / folder), *policies]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["inputs"]["kept"] == inputs_in(tmp_path / folder).total()


async def all_are_files(folder: Path, server: S3Server) -> None:
    """Returns once the parts that the last kill left are files, though nothing is delivered any more."""

    async def parts() -> bool:
        in_bucket = [key for key in await server.objects() if "/.parts/" in key]
        return bool(in_bucket or await asyncio.to_thread(lambda: list(folder.glob("*/.parts/**/*.jsonl"))))

    stop = tenacity.stop_after_delay(SETTLED_SECONDS)
    is_true = tenacity.retry_if_result(bool)
    await tenacity.AsyncRetrying(retry=is_true, wait=tenacity.wait_fixed(0.1), stop=stop)(parts)


async def some_delivered(product: Product) -> None:
    await product.eventually("/v1/ledger", lambda ledger: not ledger["total"]["delivered"])


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def same_inputs(first: Path, second: Path) -> bool:
    """True if both formats tell the same of what stands in both folders, and there is something."""
    told: list[dict[tuple[bytes, int], Any]] = []
    for folder in (first, second):
        found = [each for each in read_records(record_files(folder)) if isinstance(each, Recorded)]
        told.append({(each.id, each.first_index): _told(each) for each in found})
    common = told[0].keys() & told[1].keys()
    return bool(common) and all(told[0][name] == told[1][name] for name in common)


def _told(recorded: Recorded) -> Any:
    (given,), (output,) = recorded.call.inputs, recorded.call.outputs
    return recorded.caller, recorded.latency_seconds, to_wire(given), output and to_wire(output)
