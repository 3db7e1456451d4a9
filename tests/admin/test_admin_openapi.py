"""`/openapi.json` against the running API: what it says holds for whatever a stranger makes of it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from support.admin import Admin

from sidecar.admin.routes import ROUTES
from sidecar.policy.shapes import CollectorShape, WorkflowShape

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection"
)
MOST_SECONDS = 8
SKIPPED = ("/v1/tail", "/v1/keys", "/v2/users")
"""A stream without an end; keys, after the first of which every call needs one; and the other half of each alias."""


async def test_every_route_is_described_with_the_models_that_read_it(admin: Admin) -> None:
    _, document = await admin.ask("GET", "/openapi.json")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in ROUTES}
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


async def test_schemathesis_finds_nothing(admin: Admin, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", f"{admin.url}/openapi.json",
        "--checks", CHECKS, "--max-examples", "2", "--max-time", str(MOST_SECONDS), "--no-color",
        "--phases", "fuzzing", "--seed", "1",
        "--generation-database", "none", "--suppress-health-check", "all",
        *(word for path in SKIPPED for word in ("--exclude-path-regex", f"^{path}")),
        cwd=tmp_path, env={**os.environ, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
