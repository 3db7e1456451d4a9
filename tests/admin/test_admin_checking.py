"""Drafts are judged as files are, with lines, and nothing is changed."""

from __future__ import annotations

from typing import Any

from support.admin import Admin

SECRET = "pat-0123456789abcdef"
UNSURE = """workflow:
  id: unsure
  nodes:
    - id: below
      model:
        model_id: below
        model_type_id: concept-thresholder
        output_info:
          params: {concept_threshold_type: LESS_THAN}
          data: {concepts: [{id: "*", value: 0.6}]}
"""
COLLECTOR = {"id": "c", "source": {"model": "digits", "key": SECRET}, "pre_queue_workflow_id": "unsure"}


async def check(admin: Admin, **body: Any) -> Any:
    status, said = await admin.ask("POST", "/v1/check", body)
    assert status == 200, said
    assert SECRET not in str(said)
    return said


async def test_a_draft_without_fault_is_read_and_nothing_is_made(admin: Admin) -> None:
    texts = {"redact": "[{detect: [email]}]", "destination": '{"app": {}}'}
    said = await check(admin, collector=COLLECTOR, workflows=[UNSURE], texts=texts)
    assert said["problems"] == []
    assert said["workflows"][0]["nodes"][0]["model"]["output_info"]["data"]["concepts"] == [{"id": "*", "value": 0.6}]
    assert said["values"] == {"redact": [{"detect": ["email"]}], "destination": {"app": {}}}
    bare = UNSURE.removeprefix("workflow:\n").replace("\n  ", "\n").removeprefix("  ")
    assert (await check(admin, collector=COLLECTOR, workflows=[bare]))["problems"] == []
    assert (await admin.ask("GET", "/v2/collectors"))[1]["collectors"] == []
    assert (await admin.ask("GET", "/v2/workflows"))[1]["workflows"] == []


async def test_every_fault_is_told_with_its_place(admin: Admin) -> None:
    def places(said: Any) -> list[tuple[str, str, int]]:
        return [(each["in"], each["field"], each["line"]) for each in said["problems"]]

    unknown = UNSURE.replace("LESS_THAN", "LESS").replace("concept-thresholder", "concept-threshold-er")
    graph = UNSURE + "    - {id: after, node_inputs: [{node_id: nobody}], model: {model_type_id: object-counter}}\n"
    said = await check(admin, workflows=[unknown, "workflow: [", graph, "id: x\nnodes: []\n"])
    assert said["workflows"] == [None, None, None, None]
    assert {place for place, _, _ in places(said)} == {f"workflows[{index}]" for index in range(4)}
    assert [(field, line) for where, field, line in places(said) if where == "workflows[0]"] == [
        ("nodes[0].model.model_type_id", 7)
    ]
    assert [line for where, _, line in places(said) if where == "workflows[2]"] == [11]
    said = await check(
        admin, collector=COLLECTOR | {"sample_exchanges": 2, "id": "a b"}, texts={"redact": "[{mask: '('}]"}
    )
    assert {field for _, field, _ in places(said)} == {"id", "sample_exchanges", "redact[0].mask"}
    said = await check(admin, collector=COLLECTOR, workflows=[unknown])
    assert ("collector", "pre_queue_workflow_id", 0) in places(said)
    refused: list[dict[str, object]] = [
        {"workflows": [1]}, {"workflows": "x"}, {"texts": []}, {"other": 1}, {"collector": 1},
    ]  # fmt: skip
    for wrong in refused:
        assert (await admin.ask("POST", "/v1/check", wrong))[0] == 400, wrong
