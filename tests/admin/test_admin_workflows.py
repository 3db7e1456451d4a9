"""Workflows over the API: changed and deleted as long as no collector is harmed, and never what a file manages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.admin import Admin

WORKFLOWS = "/v2/workflows"


def workflow(name: str = "w", *kinds: str, **fields: Any) -> dict[str, Any]:
    nodes = [
        {"id": f"n{index}", "model": {"model_id": kind, "model_type_id": kind}}
        for index, kind in enumerate(kinds or ("random-sample",))
    ]
    return {"id": name, "nodes": nodes, **fields}


def collector(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "source": {"model": "digits"}, **fields}


async def ids(admin: Admin, path: str = WORKFLOWS) -> list[str]:
    _, listed = await admin.ask("GET", path)
    return [each["id"] for each in listed["workflows"]]


async def test_a_patch_replaces_what_it_supplies_and_nothing_else(admin: Admin) -> None:
    _, made = await admin.ask("POST", WORKFLOWS, {"workflows": [workflow(description="first")]})
    change = {"id": "w", "description": "second"}
    status, answer = await admin.ask("PATCH", WORKFLOWS, {"workflows": [change], "action": "overwrite"})
    assert status == 200
    assert answer["workflows"] == [made["workflows"][0] | {"description": "second"}]
    params = {"keepFraction": 0.5, "keep_fraction": 0.25}
    model = {"id": "s", "modelTypeId": "random-sample", "outputInfo": {"params": params}}
    nodes = [{"id": "a", "model": model}, {"id": "b", "model": model, "nodeInputs": [{"nodeId": "a"}]}]
    await admin.ask("PATCH", WORKFLOWS, {"workflows": [{"id": "w", "nodes": nodes}]})
    await admin.shop.catalog.open()
    _, got = await admin.ask("GET", f"{WORKFLOWS}/w")
    assert got["workflow"]["description"] == "second"
    assert [node["id"] for node in got["workflow"]["nodes"]] == ["a", "b"]
    assert got["workflow"]["nodes"][1]["node_inputs"] == [{"node_id": "a"}]
    assert got["workflow"]["nodes"][0]["model"]["output_info"]["params"] == params
    assert got["workflow"]["created_at"] == made["workflows"][0]["created_at"]


@pytest.mark.parametrize(
    ("change", "http", "code", "said"),
    [
        ({"id": "x", "description": ""}, 404, 22102, "workflows[1].id: no workflow 'x'"),
        ({"description": ""}, 400, 22104, "workflows[1].id: is missing"),
        ({"id": "v", "nodes": []}, 400, 22104, "workflows[1].nodes: a workflow needs at least one node"),
        ({"id": "v", "nodes": None}, 400, 22104, "workflows[1].nodes: a workflow needs at least one node"),
        ({"id": "v", "nods": []}, 400, 22104, "workflows[1].nods: no such field: did you mean nodes?"),
        (workflow("v", "broken"), 400, 22107, "workflows[1].nodes[0].model.model_type_id: is no operator"),
        ({"id": "w"}, 409, 22100, "workflows[1].id: 'w' stands twice"),
        ([], 400, 22104, "workflows[1].id: is missing"),
    ],
)
async def test_a_patch_changes_all_or_none(admin: Admin, change: object, http: int, code: int, said: str) -> None:
    await admin.ask("POST", WORKFLOWS, {"workflows": [workflow(), workflow("v")]})
    before = admin.shop.catalog.snapshot
    good = {"id": "w", "description": "new"}
    status, answer = await admin.ask("PATCH", WORKFLOWS, {"workflows": [good, change]})
    assert (status, answer["status"]["code"]) == (http, code)
    assert answer["status"]["details"].startswith(said)
    assert admin.shop.catalog.snapshot == before


async def test_another_action_is_refused(admin: Admin) -> None:
    status, answer = await admin.ask("PATCH", WORKFLOWS, {"workflows": [workflow()], "action": "merge"})
    assert (status, answer["status"]["code"]) == (400, 11102)
    assert answer["status"]["details"] == "action: must be overwrite, or missing"


async def test_a_workflow_in_use_says_who_uses_it(admin: Admin) -> None:
    await admin.ask("POST", WORKFLOWS, {"workflows": [workflow("used"), workflow("free")]})
    users = [collector("a", pre_queue_workflow_id="used"), collector("b", post_queue_workflow_id="used")]
    await admin.ask("POST", "/v2/collectors", {"collectors": users})
    for path, body in (
        (WORKFLOWS, {"ids": ["free", "used"]}),
        (WORKFLOWS, {"delete_all": True}),
        (f"{WORKFLOWS}/used", None),
    ):
        status, answer = await admin.ask("DELETE", path, body)
        assert (status, answer["status"]["code"]) == (400, 22104)
        assert answer["status"]["details"] == "workflow used: is in use by a, b: change or delete them first"
        assert await ids(admin) == ["free", "used"]
    await admin.ask("DELETE", "/v2/collectors", {"delete_all": True})
    assert (await admin.ask("DELETE", f"{WORKFLOWS}/used"))[0] == 200
    assert (await admin.ask("DELETE", WORKFLOWS, {"ids": ["free"]}))[0] == 200
    assert await ids(admin) == []


async def test_another_apps_workflow_of_the_same_name_is_not_in_use(admin: Admin) -> None:
    lab = "/v2/users/ann/apps/lab"
    for path in (WORKFLOWS, f"{lab}/workflows"):
        await admin.ask("POST", path, {"workflows": [workflow()]})
    await admin.ask("POST", "/v2/collectors", {"collectors": [collector("a", pre_queue_workflow_id="w")]})
    assert (await admin.ask("DELETE", f"{lab}/workflows/w"))[0] == 200
    assert await ids(admin, f"{lab}/workflows") == []
    assert await ids(admin) == ["w"]


@pytest.mark.parametrize(
    ("body", "http", "said"),
    [
        ({"ids": ["w", "x"]}, 404, "ids[1]: no workflow 'x'"),
        ({"ids": ["w"], "delete_all": True}, 400, "delete_all: must not stand beside ids"),
        ({}, 400, "ids: must be a list"),
    ],
)
async def test_a_wrong_deletion_deletes_nothing(admin: Admin, body: object, http: int, said: str) -> None:
    await admin.ask("POST", WORKFLOWS, {"workflows": [workflow()]})
    status, answer = await admin.ask("DELETE", WORKFLOWS, body)
    assert status == http
    assert answer["status"]["details"].startswith(said)
    assert await ids(admin) == ["w"]


async def test_what_a_file_manages_is_read_only(admin: Admin, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    text = "workflow:\n  id: w\n  nodes:\n    - {id: n, model: {model_type_id: random-sample}}\n"
    (folder / "w.yaml").write_text(text)
    await admin.shop.catalog.load_files(folder)
    _, listed = await admin.ask("GET", WORKFLOWS)
    assert (listed["workflows"][0]["managed_by"], listed["workflows"][0]["origin"]) == ("file", str(folder / "w.yaml"))
    for method, body in (
        ("PATCH", {"workflows": [{"id": "w", "description": "x"}]}),
        ("DELETE", {"ids": ["w"]}),
        ("DELETE", {"delete_all": True}),
    ):
        status, answer = await admin.ask(method, WORKFLOWS, body)
        assert (status, answer["status"]["code"]) == (400, 22104)
        assert f"managed_by: file: change {folder / 'w.yaml'} instead" in answer["status"]["details"]
