"""What a sidecar has kept goes out as a file and comes back, each input once, and so do records of others."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.model_app import UNSURE, model_app
from support.product import Product

from sidecar.cli import main
from sidecar.delivery.destination import input_id_of
from sidecar.records.files import read_records, record_files
from sidecar.records.recorded import Recorded

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256))).decode()
DEAD = "destination: {clarifai: {base_url: 'http://127.0.0.1:9', user_id: u, app_id: a}}"
SAGEMAKER = {
    "captureData": {
        "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2\n3,4", "encoding": "CSV"},
        "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": "0.7\n0.2", "encoding": "CSV"},
    },
    "eventMetadata": {"eventId": "e1", "inferenceTime": "2026-01-01T00:00:00Z"},
    "eventVersion": "0",
}


def azure(kind: str, data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": "x", "source": "s", "type": f"azureml.inference.{kind}", "correlationid": "c1",
        "time": "2026-01-01T00:00:00Z", "data": data,
    }  # fmt: skip


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    async with model_app(lambda _: UNSURE) as model:
        product = Product(tmp_path, model.url)
        kept = "source: {model: digits}, pre_queue_random_sample: 1"
        product.policy("kept", f"collector: {{id: kept, {kept}, collect_outputs: true}}")
        product.policy("waits", f"collector: {{id: waits, {kept}, {DEAD}}}")
        async with product:
            yield product


async def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = await asyncio.to_thread(main, list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


async def imported(product: Product, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return await run(capsys, "import", *arguments, "--admin", urlsplit(product.admin).netloc)


async def whole(product: Product) -> dict[str, Any]:
    """Every input of the app by id, with its content, less what says when and by whom it was posted."""
    listed = (await product.get("/v2/inputs?per_page=1000"))["inputs"]
    found = {each["id"]: (await product.get(f"/v2/inputs/{each['id']}"))["input"] for each in listed}
    return {name: {key: each[key] for key in ("data", "dataset_ids")} for name, each in found.items()}


async def test_what_is_exported_comes_back_as_it_was_and_only_once(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(150):  # more than one request carries
        await product.predict([{"b64": PIXEL}] if number == 7 else [[number, "ä\u2028"]])
    await product.settled(pending=True)
    await product.eventually("/v1/ledger", lambda ledger: ledger["collectors"]["kept"]["pending"])
    before = await whole(product)
    assert len(before) == 150
    file, data = product.home / "kept.jsonl", ("--data", str(product.data))
    assert (await run(capsys, "export", "app", "--to", str(file), *data))[:2] == (0, f"150 inputs in {file}\n")
    assert file.stat().st_mode & 0o777 == 0o600

    assert (await run(capsys, "export", "app", "--to", str(product.home / "no" / "file"), *data))[0] == 2
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", "export", "app", "--to", "-", *data, stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0] == file.read_bytes()
    for format_ in ("parquet", "sagemaker", "azure", "azure-csv"):
        folder = product.home / format_
        assert (await run(capsys, "export", "app", "--to", str(folder), "--format", format_, *data))[0] == 0
        assert (len(list(folder.rglob("*.csv"))) > 0) == (format_ == "azure-csv")
        if format_ != "azure-csv":
            found = list(read_records(record_files(folder)))
            by_reference = format_ == "azure"  # the image's bytes, which stand beside the lines
            assert sum(isinstance(each, Recorded) for each in found) == 150 - by_reference, found[0]
    assert (await imported(product, capsys, str(product.home / "parquet")))[:2] == (
        0, "0 new, 150 known already, 0 refused, 0 unreadable\n",
    )  # fmt: skip
    ids = {"ids": list(before)}
    async with product.session.delete(f"{product.admin}/v2/inputs", json=ids) as response:
        assert response.status == 200
    assert await whole(product) == {}
    lines = file.read_bytes().splitlines(keepends=True)
    lines.insert(3, b"{broken\n")
    lines.insert(
        9, b'{"format": "exchange/1", "id": "' + b"0" * 32 + b'", "inputs": [{"text": 3}], "outputs": [null]}\n'
    )
    file.write_bytes(b"".join(lines))
    code, out, said = await imported(product, capsys, str(file))
    assert (code, out) == (1, "150 new, 0 known already, 0 refused, 2 unreadable\n")
    assert f"{file}:4: is not JSON" in said
    assert f"{file}:10: inputs.text: must be" in said
    assert await whole(product) == before
    assert (await imported(product, capsys, str(file)))[1] == "0 new, 150 known already, 0 refused, 2 unreadable\n"
    assert (await imported(product, capsys, str(file), "--app", "ann/lab"))[1].startswith("150 new, ")

    queued = product.home / "queue.jsonl"
    arguments = ("export", "queue", "--to", str(queued), "--collector", "waits", *data)
    assert (await run(capsys, *arguments))[0] == 0
    waiting = [json.loads(line) for line in queued.read_bytes().splitlines()]
    assert len(waiting) == 150
    assert {each["collector"] for each in waiting} == {"waits"}
    assert (await imported(product, capsys, str(queued)))[:2] == (
        0, "150 new, 0 known already, 0 refused, 0 unreadable\n",
    )  # fmt: skip
    assert {input_id_of(each["id"], 0, "waits") for each in waiting} <= set(await whole(product))
    running = queued.read_bytes()
    await product.kill()
    assert (await run(capsys, *arguments))[0] == 0
    assert queued.read_bytes() == running
    code, _, said = await imported(product, capsys, str(queued))
    assert (code, "no sidecar answers" in said) == (1, True)


async def test_records_of_others_are_taken_in_with_what_their_models_had_answered(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = product.home / "records"
    folder.mkdir()
    (folder / "capture.jsonl").write_text(json.dumps(SAGEMAKER) + "\n")
    halves = [azure("inputs", [{"a": 1}, {"a": 2}]), azure("outputs", [{"p": 0.1}, {"p": 0.9}])]
    (folder / "azure.jsonl").write_text("".join(json.dumps(half) + "\n" for half in halves))
    image = {"id": "0" * 32, "format": "exchange/1", "input_id": "not an id", "outputs": [None]}
    (folder / "zz.jsonl").write_text(json.dumps(image | {"inputs": [{"text": {"raw": "x"}}]}) + "\n")
    code, out, said = await imported(product, capsys, str(folder))
    assert (code, out) == (1, "4 new, 0 known already, 1 refused, 0 unreadable\n")
    assert f"{folder}/zz.jsonl:1: input not an id: inputs[4].id: is not an id" in said
    assert (await imported(product, capsys, str(folder / "azure.jsonl")))[:2] == (
        0, "0 new, 2 known already, 0 refused, 0 unreadable\n",
    )  # fmt: skip
    found = [each["data"] for each in (await whole(product)).values()]
    assert sorted(each["metadata"]["origin"] for each in found) == ["azure", "azure", "sagemaker", "sagemaker"]
    assert all(each["metadata"]["model_output"] for each in found)


async def test_what_cannot_be_done_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ("export", "app", "--to", str(tmp_path / "f"))
    code, _, said = await run(capsys, *target, "--data", str(tmp_path))
    assert (code, "no sidecar has run with this" in said) == (2, True)
    assert not (tmp_path / "f").exists()
    code, _, said = await run(capsys, *target, "--format", "xml")
    assert (code, "--format: must be one of exchange, parquet" in said) == (2, True)
    assert (await run(capsys, "export", "app", "--to", "-", "--format", "azure"))[0] == 2
    code, _, said = await run(capsys, "import", str(tmp_path / "none.jsonl"))
    assert (code, "is no record file" in said) == (2, True)
    (tmp_path / "calls.jsonl").touch()
    assert (await run(capsys, "import", str(tmp_path), "--app", "lab"))[0] == 2
