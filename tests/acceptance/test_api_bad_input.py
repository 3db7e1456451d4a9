"""What people write wrong, in files and through the API of the running product: said clearly, nothing half-written."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.product import Product

from sidecar.cli import main

SECRET = "pat-0123456789abcdef"
SOURCE = {"api_post_model_outputs_collector_source": {"model_id": "digits"}}
COLLECTOR = {"id": "c", "collector_source": SOURCE, "pre_queue_random_sample": 1}
BROKEN = {
    "unknown-field": (
        "pre_queue_random_sampel: 1",
        "4: collector.pre_queue_random_sampel: no such field: did you mean",
    ),
    "wrong-type": ("pre_queue_random_sample: '1'", "4: collector.pre_queue_random_sample: must be a number"),
    "missing-workflow": ("post_queue_workflow_id: nope", "4: collector.post_queue_workflow_id: no workflow 'nope'"),
    "three-missing": ("description: none of the three", "1: collector: three workflows missing: write at least one of"),
    "two-sources": (f"collector_source: {SOURCE}", "3: collector.source: two sources, source and collector_source"),
    "held-after": (
        "post_queue_workflow_id: held",
        "4: collector.post_queue_workflow_id: reservoir of 'held' holds jobs back in the queue: name it before the",
    ),
}
HELD = {"id": "n", "model": {"model_type_id": "reservoir", "output_info": {"params": {"n": 1, "window": "day"}}}}
WIRES: dict[str, tuple[dict[str, Any], int, str]] = {
    "unknown field": ({"pre_queue_random_sampel": 1}, 11102, "collectors[1].pre_queue_random_sampel: no such field"),
    "wrong type": ({"pre_queue_random_sample": "1"}, 11102, "collectors[1].pre_queue_random_sample: must be a number"),
    "missing workflow": ({"pre_queue_workflow_id": "nope"}, 22102, "collectors[1].pre_queue_workflow_id: no workflow"),
    "three missing": ({"pre_queue_random_sample": None}, 11102, "collectors[1]: three workflows missing"),
    "held after": ({"post_queue_workflow_id": "held"}, 11102, "collectors[1].post_queue_workflow_id: reservoir of"),
    "duplicate id": ({"id": "first"}, 40010, "collectors[1].id: 'first' stands twice"),
    "two sources": ({"source": {"model": "digits"}}, 11102, "collectors[1].source: two sources"),
}


@pytest.fixture
def product(tmp_path: Path) -> Product:
    return Product(tmp_path, "http://127.0.0.1:9")


def rows(product: Product) -> list[int]:
    """How many collectors, workflows and secrets are in the database."""
    with closing(sqlite3.connect(product.data / "sidecar.db")) as database:
        counts = "(SELECT count(*) FROM collector), (SELECT count(*) FROM workflow), (SELECT count(*) FROM secret)"
        return list(database.execute(f"SELECT {counts}").fetchone())


async def test_every_fault_in_a_file_is_named_and_what_is_good_runs(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = []
    for name, (line, said) in BROKEN.items():
        product.policy(name, f"collector:\n  id: {name}\n  source: {{model: digits, key: {SECRET}}}\n  {line}\n")
        expected.append(f"{product.policies / name}.yaml:{said}")
    for name in ("one", "two"):
        product.policy(name, "collector:\n  id: same\n  source: {model: digits}\n  pre_queue_random_sample: 1\n")
        expected.append(f"{product.policies / name}.yaml:2: collector.id: 'same' is also in")
    good = f"collector:\n  id: good\n  source: {{model: digits, key: {SECRET}}}\n  pre_queue_random_sample: 1\n"
    product.policy("good", good)
    product.policy("held", json.dumps({"workflow": {"id": "held", "nodes": [HELD]}}))
    async with product:
        readiness = (await product.get("/readyz"))["reasons"]["policies"]
        listed = (await product.get("/v2/collectors"))["collectors"]
    assert main(["check", "--policies", str(product.policies)]) == 2
    checked = capsys.readouterr().err
    for each in expected:
        assert each in checked
        assert each in readiness
    assert [each["id"] for each in listed] == ["good"]
    assert rows(product) == [1, 1, 1]
    assert SECRET not in checked + readiness + str(listed) + product.log
    assert not [path for path in product.data.iterdir() if path.is_file() and SECRET.encode() in path.read_bytes()]


async def test_every_fault_in_a_request_is_named_and_nothing_is_half_written(product: Product) -> None:
    first = COLLECTOR | {"id": "first"}
    key = {"api_post_model_outputs_collector_source": {"model_id": "digits", "post_inputs_key_id": SECRET}}
    product.policy("held", json.dumps({"workflow": {"id": "held", "nodes": [HELD]}}))
    async with product:
        for name, (change, code, said) in WIRES.items():
            wires = [first | {"collector_source": key}, COLLECTOR | change]
            async with product.session.post(f"{product.admin}/v2/collectors", json={"collectors": wires}) as response:
                status = (await response.json())["status"]
            assert (status["code"], status["http_status_code"]) == (code, response.status), name
            assert said in status["details"], name
            assert SECRET not in str(status)
        assert rows(product) == [0, 1, 0]
        assert (await product.get("/v2/collectors"))["collectors"] == []


async def test_with_a_token_nothing_that_holds_data_is_open(tmp_path: Path) -> None:
    product = Product(tmp_path, "http://127.0.0.1:9", admin_token=SECRET)
    async with product:
        for path in ("/", "/app.js", "/app.css", "/icon.svg", "/healthz"):
            async with product.session.get(product.admin + path) as response:
                assert response.status == 200, path
        for path in ("/v2/collectors", "/v2/workflows", "/v2/inputs", "/v1/collectors", "/v1/ledger", "/metrics", "/x"):
            assert (await product.get(path))["status"]["code"] == 11008, path
        headers = {"Authorization": f"Key {SECRET}"}
        async with product.session.get(f"{product.admin}/v1/ledger", headers=headers) as response:
            assert response.status == 200
    assert SECRET not in product.log


async def test_an_admin_address_that_is_taken_is_said_in_a_line_and_predictions_go_on(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", "run", "--listen=127.0.0.1:0", f"--admin={address}",
            f"--data={tmp_path}", "--drain-delay=0s", stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        lines: list[str] = []
        try:
            while process.stderr and not (lines and "predictions go on" in lines[-1]):
                lines.append((await process.stderr.readline()).decode())
        finally:
            process.terminate()
            await process.communicate()
    assert "engine cannot start like this, predictions go on" in lines[-1]
    assert sum(address.partition(":")[2] in line and "already in use" in line for line in lines) == 1
    assert not [line for line in lines if "Traceback" in line]
    assert process.returncode == 0


async def test_a_relay_that_cannot_listen_ends_with_a_line(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", "run", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0",
            f"--probes=127.0.0.1:{taken.getsockname()[1]}", f"--data={tmp_path}", stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().splitlines()[-1].startswith("sidecar: cannot listen: ")
    assert b"Traceback" not in said
