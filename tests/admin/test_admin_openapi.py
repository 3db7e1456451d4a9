"""`/openapi.json` against the running API: what it says holds for whatever a stranger makes of it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from support import described
from support.admin import Admin

from sidecar.admin.routes import ROUTES
from sidecar.data import Data, Text
from sidecar.delivery.destination import Parcel, Way
from sidecar.delivery.embedded import EmbeddedApp, EmbeddedOptions
from sidecar.policy.shapes import CollectorShape, WorkflowShape
from sidecar.queue.values import NewJob, Rejected, Settlement

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection"
)
SHORT_TAIL = """\
[[operations]]
include-path = "/v1/tail"
parameters = { "query.seconds" = 0.01 }
"""
"""Nothing passes here, so a stream would not end by itself."""
KEY = {"Authorization": "Key correct-token"}
"""The sidecar's own token, which no call on keys takes away."""


async def test_every_route_is_described_with_the_models_that_read_it(admin: Admin) -> None:
    _, document = await admin.ask("GET", "/openapi.json")
    told = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert told == {(route.method, route.path) for route in ROUTES}
    schemas = document["components"]["schemas"]
    for body, field, shape in (
        ("PostCollectors", "collectors", CollectorShape),
        ("PatchWorkflows", "workflows", WorkflowShape),
    ):
        items = schemas[body]["properties"][field]["items"]
        described_shape = schemas[items["$ref"].rpartition("/")[2]] if "$ref" in items else items
        assert described_shape["properties"].keys() == shape.model_fields.keys()
    body = document["paths"]["/v2/collectors"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/PostCollectors"}
    scopes = [item["get"]["description"] for path, item in document["paths"].items() if path == "/v1/settings"]
    assert scopes == ["Needs the scope `read`."]


async def with_something_of_each(admin: Admin) -> None:
    """A dead job and a kept input, both called 1, a key, a recording, and their events."""
    await admin.jobs.record([NewJob("1" * 32, 0, "c", "alice", "digits", "", b"{}", destinations=("app", "b"))], {})
    await admin.jobs.settle([Settlement(job, Rejected("refused")) for job in await admin.jobs.lease(2, 60)])
    way = Way(1, "app", 1.0, 2.0, 1, 0, "", "")
    kept = Parcel("1", Data(text=Text("hello")), "c", "alice", "digits", "", "local", "main", way=way)
    await EmbeddedApp(EmbeddedOptions(), admin.shop.database).deliver([kept])
    await admin.ask("POST", "/v1/keys", {"name": "ci", "scopes": ["read", "inputs"]}, KEY)
    await admin.ask("POST", "/v1/record", {"model": "digits"}, KEY)


async def test_every_answer_of_ours_holds_what_is_described_and_nothing_else(locked_admin: Admin) -> None:
    admin, checked = locked_admin, 0
    await with_something_of_each(admin)
    for route in ROUTES:
        if route.answer is not None and route.method == "GET":
            status, answer = await admin.ask(
                "GET", route.path.format(user_id="local", app_id="main", id=1), headers=KEY
            )
            assert status == 200
            assert next(iter(answer.values())), "nothing is checked where nothing is there"
            described.hold("GET", route.path, status, answer)
            checked += 1
    assert checked == 12


@pytest.mark.timeout(400)  # 13 s of a processor, which a busy machine may have to share
async def test_schemathesis_finds_nothing(locked_admin: Admin, tmp_path: Path) -> None:
    admin = locked_admin
    await with_something_of_each(admin)
    (tmp_path / "schemathesis.toml").write_text(SHORT_TAIL)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml",
        "run", f"{admin.url}/openapi.json", "--header", f"Authorization: {KEY['Authorization']}",
        "--checks", CHECKS, "--max-examples", "2", "--no-color",
        "--phases", "fuzzing", "--seed", "1",
        "--generation-database", "none", "--suppress-health-check", "all",
        cwd=tmp_path, env={**os.environ, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    tested = len(ROUTES) - 1  # it leaves out the description itself, which it has read
    assert f"Tested: {tested}\n" in said.decode(), "some were left out"
