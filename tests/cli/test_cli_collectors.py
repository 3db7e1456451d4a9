"""`sidecar collectors` on a real admin server: what is exported, applied and compared is the same thing each time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.admin import Admin, open_admin
from support.terminal import Run

from sidecar.cli import main
from sidecar.cli.policies import read_answer, step_to, to_patch, to_yaml
from sidecar.policy.wire import patch_collector, read_collector, write_collector

WORKFLOW = {"id": "w", "nodes": [{"id": "n", "model": {"model_id": "n", "model_type_id": "random-sample"}}]}
FULL: dict[str, Any] = {
    "id": "full",
    "description": "2024-01-01",
    "source": {"model": "digits", "version": "1.0", "caller": "alice"},
    "pre_queue_workflow_id": "w",
    "pre_queue_random_sample": 0.5,
    "post_queue_workflow_id": "w",
    "collect_outputs": True,
    "keep_input": True,
    "sample_exchanges": 0.25,
    "redact": [{"remove": "input.text"}],
    "status": "inactive",
    "destination": {"clarifai": {"base_url": "https://example.com"}},
}
PLAIN = "collector:\n  id: {name}\n  source: {{model: digits}}\n  pre_queue_random_sample: {sample}\n"


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    data = tmp_path / "data"
    data.mkdir()
    async with open_admin(data) as running:
        await running.ask("POST", "/v2/workflows", {"workflows": [WORKFLOW]})
        await running.ask("POST", "/v2/collectors", {"collectors": [FULL]})
        yield running


def put(folder: Path, name: str, text: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


async def collectors(admin: Admin) -> dict[str, Any]:
    _, listed = await admin.ask("GET", "/v2/collectors")
    return {each["id"]: each for each in listed["collectors"]}


async def test_what_is_exported_can_be_applied_compared_and_read_as_policies(
    admin: Admin, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    code, said, _ = await run("collectors", "export", "--to", str(folder), "--dry-run")
    assert (code, said.count("would be written"), folder.exists()) == (0, 2, False)
    assert (await run("collectors", "export", "--to", str(folder)))[0] == 0
    assert sorted(each.name for each in await asyncio.to_thread(lambda: list(folder.iterdir()))) == [
        "full.yaml", "w.workflow.yaml",
    ]  # fmt: skip
    assert await run("collectors", "diff", str(folder)) == (0, "", "")
    before = await collectors(admin)
    await admin.ask("DELETE", "/v2/collectors", {"delete_all": True})
    await admin.ask("DELETE", "/v2/workflows", {"delete_all": True})
    assert (await run("collectors", "apply", str(folder)))[:2] == (0, "workflow w added\ncollector full added\n")
    assert await collectors(admin) == before
    await admin.ask("DELETE", "/v2/collectors", {"delete_all": True})
    await admin.ask("DELETE", "/v2/workflows", {"delete_all": True})
    assert await admin.shop.catalog.load_files(folder) == []
    assert [each.managed_by.value for each in admin.shop.catalog.snapshot.collectors] == ["file"]
    code, _, said = await run("collectors", "export", "--to", str(folder), "full")
    assert (code, "is there already: export to another folder" in said) == (2, True)


async def test_apply_adds_changes_and_keeps(admin: Admin, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    put(folder, "full.yaml", PLAIN.format(name="full", sample=0.1))
    put(folder, "new.yaml", PLAIN.format(name="new", sample=1))
    code, said, _ = await run("collectors", "diff", str(folder))
    assert code == 1
    assert {"-pre_queue_random_sample: 0.5", "+pre_queue_random_sample: 0.1"} <= set(said.splitlines())
    before = await collectors(admin)
    code, said, _ = await run("collectors", "apply", "--dry-run", str(folder))
    assert (code, said) == (0, "collector full would be changed\ncollector new would be added\n")
    assert await collectors(admin) == before
    assert (await run("collectors", "apply", str(folder)))[1] == "collector full changed\ncollector new added\n"
    after = await collectors(admin)
    assert after["full"].keys() == after["new"].keys()
    assert {name for name in after["full"] if after["full"][name] != after["new"][name]} == {
        "id", "key", "pre_queue_random_sample",
    }  # fmt: skip
    assert (await run("collectors", "apply", str(folder)))[1] == "collector full as it was\ncollector new as it was\n"


async def test_a_dry_run_is_judged_by_the_running_sidecar(admin: Admin, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    put(folder, "a.yaml", PLAIN.format(name="a", sample=1) + "  post_queue_workflow_id: nowhere\n")
    put(folder, "b.yaml", "workflow:\n  id: b\n  nodes:\n    - {id: n, model: {model_type_id: no-such}}\n")
    code, _, said = await run("collectors", "apply", str(folder), "--dry-run")
    assert code == 2
    assert f"{folder}/a.yaml: collector.post_queue_workflow_id: no workflow 'nowhere'" in said
    assert f"{folder}/b.yaml: workflow.nodes[0].model.model_type_id: 'no-such' is no operator" in said
    assert list(await collectors(admin)) == ["full"]


async def test_a_broken_file_is_named_before_anything_is_changed(admin: Admin, run: Run, tmp_path: Path) -> None:
    good = put(tmp_path / "in", "a.yaml", PLAIN.format(name="a", sample=1))
    bad = put(tmp_path / "in", "b.yaml", PLAIN.format(name="b", sample=2))
    code, _, said = await run("collectors", "apply", good, bad)
    assert code == 2
    assert said == f"sidecar: {bad}:4: collector.pre_queue_random_sample: must be at most 1\n"
    assert list(await collectors(admin)) == ["full"]


async def test_collectors_are_listed_shown_paused_and_deleted(admin: Admin, run: Run) -> None:
    code, said, _ = await run("collectors", "list")
    assert code == 0
    for word in ("full", "inactive", "digits:1.0", "alice", "50% + w", "clarifai", "api"):
        assert word in said
    _, said, _ = await run("collectors", "show", "full")
    assert said.startswith("collector:\n  id: full\n  description: '2024-01-01'\n")
    assert (await run("collectors", "activate", "full", "--dry-run"))[1] == "collector full would be active\n"
    assert (await collectors(admin))["full"]["status"]["code"] == 52002
    assert (await run("collectors", "activate", "full"))[1] == "collector full is active\n"
    assert (await collectors(admin))["full"]["status"]["code"] == 52001
    await run("collectors", "deactivate", "full")
    assert (await collectors(admin))["full"]["status"]["code"] == 52002
    assert (await run("collectors", "delete", "full", "--dry-run"))[1] == "collector full would be deleted\n"
    assert (await run("collectors", "delete", "nobody"))[0] == 1
    assert (await run("collectors", "delete", "full"))[1] == "collector full is deleted\n"
    assert await collectors(admin) == {}


async def test_what_a_file_manages_is_left_to_the_file(admin: Admin, run: Run, tmp_path: Path) -> None:
    own = put(tmp_path / "policies", "f.yaml", PLAIN.format(name="f", sample=0.5))
    await admin.shop.catalog.load_files(tmp_path / "policies")
    other = put(tmp_path / "in", "f.yaml", PLAIN.format(name="f", sample=0.1))
    for arguments in (("apply", other), ("delete", "f"), ("delete", "f", "--dry-run"), ("activate", "f")):
        code, _, said = await run("collectors", *arguments)
        assert (code, f"managed_by: file: change {own} instead" in said) == (1, True), arguments


async def test_a_key_in_clear_is_sent_and_never_shown(admin: Admin, run: Run, tmp_path: Path) -> None:
    text = "collector:\n  id: s\n  source: {model: m, key: hush-hush}\n  pre_queue_random_sample: 1\n"
    file = put(tmp_path / "in", "s.yaml", text)
    shown = ""
    for arguments in (("diff", file), ("apply", file), ("diff", file), ("apply", file), ("show", "s")):
        shown += "".join((await run("collectors", *arguments))[1:])
    assert "hush" not in shown
    assert "(given in clear)" in shown
    reference = admin.shop.catalog.get_collector("local", "main", "s").source.post_inputs_key_id
    assert await admin.shop.secrets.reveal(reference) == "hush-hush"


def test_a_patch_leaves_nothing_of_what_was_there() -> None:
    plain = read_collector({"id": "full", "source": {"model": "other"}, "pre_queue_random_sample": 1})
    full = read_collector(FULL)
    for old, new in ((full, plain), (plain, full)):
        patched = patch_collector(old, to_patch(new))
        assert write_collector(patched) == write_collector(new)
        assert step_to(new, read_answer("collector", write_collector(patched), "local", "main")).action == "keep"
    assert "pre_queue_workflow_id: w" in to_yaml(full)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show",), "NAME: is missing"),
        (("list", "a"), "NAME: list takes none"),
        (("show", "a", "b"), "NAME: show takes the id of one"),
        (("export",), "--to: is missing"),
        (("list", "--to", "x"), "--to: is for export alone"),
        (("diff", "x", "--dry-run"), "--dry-run: diff changes nothing"),
        (("apply", "--dry-run", "/nowhere.yaml"), "/nowhere.yaml: cannot be read"),
    ],
)
def test_what_is_missing_or_too_much_is_said(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collectors", *arguments]) == 2
    assert said in capsys.readouterr().err
