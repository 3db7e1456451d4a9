"""The catalog: changes are whole or not at all, files and API keep apart, keys are never in clear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.catalogs import Shop, open_shop

from sidecar.collector import ManagedBy, Status
from sidecar.errors import ConfigurationError, ConflictError, NotFoundError

WORKFLOW = {"id": "w", "nodes": [{"id": "n", "model": {"model_id": "n", "model_type_id": "random-sample"}}]}
OWNER = ("local", "main")
SECRET = "sk-0123456789-very-secret"


def collector(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"id": name, "source": {"model": "digits"}, "pre_queue_random_sample": 0.5, **fields}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    data = tmp_path / "data"
    data.mkdir()
    async with open_shop(data) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "policies"
    path.mkdir()
    return path


def write(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(body)


def file_collector(name: str, more: str = "  pre_queue_random_sample: 0.5\n") -> str:
    return f"collector:\n  id: {name}\n  source: {{model: digits}}\n{more}"


def file_workflow(name: str, kind: str = "random-sample") -> str:
    return f"workflow:\n  id: {name}\n  nodes:\n    - id: n\n      model: {{model_type_id: {kind}}}\n"


def names(shop: Shop) -> list[str]:
    return [each.id for each in shop.catalog.snapshot.collectors]


class TestApi:
    async def test_what_is_added_is_there_after_a_restart(self, shop: Shop) -> None:
        await shop.catalog.add_workflows([WORKFLOW])
        (made,) = await shop.catalog.add_collectors([collector(pre_queue_workflow_id="w")])
        before = shop.catalog.snapshot
        await shop.catalog.open()
        assert shop.catalog.snapshot == before
        assert made.created_at == "2023-11-14T22:13:20.000000Z"
        assert made.managed_by is ManagedBy.API

    @pytest.mark.parametrize("place", [{"env": "HOME"}, {"file": "/etc/passwd"}, {"env": "HOME", "stored": ""}])
    async def test_only_a_file_names_the_place_of_a_secret(
        self, shop: Shop, folder: Path, place: dict[str, str]
    ) -> None:
        to = {"clarifai": {"token": place}}
        with pytest.raises(ConfigurationError, match="only a policy file") as caught:
            await shop.catalog.add_collectors([collector(destination=to)])
        assert [each.field for each in caught.value.problems] == ["collectors[0].destination.clarifai.token"]
        await shop.catalog.add_collectors([collector()])
        with pytest.raises(ConfigurationError, match="only a policy file"):
            await shop.catalog.patch_collectors([{"id": "c", "destination": to}])
        write(folder, "c.yaml", file_collector("d", f"  pre_queue_random_sample: 0.5\n  destination: {to}\n"))
        assert not await shop.catalog.load_files(folder)
        assert names(shop) == ["c", "d"]

    async def test_apps_do_not_see_each_other(self, shop: Shop) -> None:
        await shop.catalog.add_workflows([WORKFLOW])
        with pytest.raises(ConfigurationError, match="no workflow 'w' in app ann/lab: there is none"):
            await shop.catalog.add_collectors([collector(pre_queue_workflow_id="w")], "ann", "lab")
        await shop.catalog.add_collectors([collector()], "ann", "lab")
        await shop.catalog.add_collectors([collector()])
        assert [each.key for each in shop.catalog.snapshot.collectors] == ["ann/lab/c", "c"]
        assert [each.key for each in shop.catalog.list_collectors(*OWNER)] == ["c"]

    @pytest.mark.parametrize(
        ("wires", "error", "said"),
        [
            ([collector("a"), collector("b", statis=1)], ConfigurationError, r"collectors\[1\].statis: no such field"),
            ([collector("a"), collector("a")], ConflictError, r"collectors\[1\].id: 'a' stands twice in this request"),
            ([collector("a"), collector("there")], ConflictError, r"collectors\[1\].id: 'there' is there already"),
            ([collector("a"), collector("b", post_queue_workflow_id="x")], ConfigurationError, "no workflow 'x'"),
            (
                [collector("a"), collector("b", destination="nowhere")],
                ConfigurationError,
                r"collectors\[1\].destination",
            ),
        ],
    )
    async def test_one_fault_leaves_nothing_written(
        self, shop: Shop, wires: list[Any], error: type[Exception], said: str
    ) -> None:
        await shop.catalog.add_collectors([collector("there")])
        with pytest.raises(error, match=said):
            await shop.catalog.add_collectors(wires)
        await shop.catalog.open()
        assert names(shop) == ["there"]

    async def test_a_patch_changes_all_or_none(self, shop: Shop) -> None:
        await shop.catalog.add_collectors([collector("a"), collector("b")])
        pause: dict[str, Any] = {"status": "inactive"}
        with pytest.raises(NotFoundError, match="no collector 'x'"):
            await shop.catalog.patch_collectors([{"id": "a", **pause}, {"id": "x", **pause}])
        assert all(each.is_active for each in shop.catalog.snapshot.collectors)
        await shop.catalog.patch_collectors([{"id": "a", **pause}, {"id": "b", **pause}])
        await shop.catalog.open()
        assert {each.status for each in shop.catalog.snapshot.collectors} == {Status.COLLECTOR_INACTIVE}

    async def test_a_patch_names_its_collector(self, shop: Shop) -> None:
        with pytest.raises(ConfigurationError, match=r"collectors\[0\].id: is missing"):
            await shop.catalog.patch_collectors([{"status": "inactive"}])

    async def test_deleting_one_that_is_not_there_deletes_none(self, shop: Shop) -> None:
        await shop.catalog.add_collectors([collector("a"), collector("b")])
        with pytest.raises(NotFoundError):
            await shop.catalog.delete_collectors(["a", "x"])
        assert names(shop) == ["a", "b"]
        assert [each.id for each in await shop.catalog.delete_collectors(["a", "a"])] == ["a"]
        assert [each.id for each in await shop.catalog.delete_collectors(None)] == ["b"]
        await shop.catalog.open()
        assert names(shop) == []

    async def test_a_workflow_that_cannot_run_is_refused(self, shop: Shop) -> None:
        broken = {"id": "x", "nodes": [{"id": "n", "model": {"model_type_id": "broken"}}]}
        with pytest.raises(ConfigurationError, match=r"workflows\[1\].nodes\[0\].model.model_type_id: is no operator"):
            await shop.catalog.add_workflows([WORKFLOW, broken])
        assert shop.catalog.snapshot.workflows == {}

    async def test_each_change_is_told_once_it_holds(self, shop: Shop) -> None:
        seen: list[int] = []
        shop.catalog.on_change = lambda: seen.append(len(shop.catalog.snapshot.collectors))
        await shop.catalog.add_collectors([collector("a"), collector("b")])
        await shop.catalog.delete_collectors(["a"])
        assert seen == [2, 1]


class TestSecrets:
    async def test_a_key_is_encrypted_and_shown_as_a_reference(self, shop: Shop) -> None:
        (made,) = await shop.catalog.add_collectors([collector(source={"model": "digits", "key": SECRET})])
        reference = made.source.post_inputs_key_id
        assert await shop.secrets.reveal(reference) == SECRET
        assert SECRET.encode() not in shop.bytes_on_disk
        assert SECRET not in shop.log.getvalue()

    async def test_a_patch_with_the_reference_keeps_the_key(self, shop: Shop) -> None:
        (made,) = await shop.catalog.add_collectors([collector(source={"model": "digits", "key": SECRET})])
        change = {"id": "c", "source": {"key": made.source.post_inputs_key_id, "caller": "bob"}}
        (changed,) = await shop.catalog.patch_collectors([change])
        assert changed.source.post_inputs_key_id == made.source.post_inputs_key_id
        assert changed.source.caller_user_id == "bob"

    async def test_a_refused_collector_leaves_no_key(self, shop: Shop) -> None:
        with pytest.raises(ConfigurationError) as caught:
            await shop.catalog.add_collectors(
                [collector(source={"model": "digits", "key": SECRET}, pre_queue_workflow_id="x")]
            )
        assert SECRET not in str(caught.value)
        assert SECRET.encode() not in shop.bytes_on_disk
        count = await shop.database.read(lambda c: c.exec_driver_sql("select count(*) from secret").scalar_one())
        assert count == 0

    async def test_a_key_in_a_file_is_encrypted_too(self, shop: Shop, folder: Path) -> None:
        text = f"collector:\n  id: f\n  source: {{model: digits, key: {SECRET}}}\n  pre_queue_random_sample: 1\n"
        write(folder, "f.yaml", text)
        for _ in range(2):
            assert await shop.catalog.load_files(folder) == []
        assert SECRET.encode() not in shop.bytes_on_disk
        assert SECRET not in shop.log.getvalue()
        assert await shop.secrets.reveal(shop.catalog.snapshot.collectors[0].source.post_inputs_key_id) == SECRET


class TestFiles:
    async def test_files_replace_what_files_manage_and_nothing_else(self, shop: Shop, folder: Path) -> None:
        await shop.catalog.add_collectors([collector("api")])
        write(folder, "a.yaml", file_collector("a"))
        write(folder, "b.yaml", file_collector("b"))
        assert await shop.catalog.load_files(folder) == []
        (folder / "a.yaml").unlink()
        assert await shop.catalog.load_files(folder) == []
        await shop.catalog.open()
        assert sorted(names(shop)) == ["api", "b"]

    async def test_loading_the_same_again_changes_nothing(self, shop: Shop, folder: Path) -> None:
        write(folder, "a.yaml", file_collector("a"))
        await shop.catalog.load_files(folder)
        before, told = shop.catalog.snapshot, []
        shop.clock.advance(60)
        shop.catalog.on_change = lambda: told.append(1)
        await shop.catalog.load_files(folder)
        assert shop.catalog.snapshot == before
        assert told == []

    async def test_a_broken_file_keeps_its_last_good_version(self, shop: Shop, folder: Path) -> None:
        write(folder, "a.yaml", file_collector("a"))
        write(folder, "w.yaml", file_workflow("w"))
        await shop.catalog.load_files(folder)
        good = shop.catalog.snapshot
        write(folder, "a.yaml", "collector:\n  id: a\n  statis: 3\n")
        write(folder, "w.yaml", file_workflow("w", kind="broken"))
        write(folder, "b.yaml", file_collector("b"))
        problems = await shop.catalog.load_files(folder)
        assert [(Path(each.file).name, each.line, each.field) for each in problems] == [
            ("a.yaml", 3, "collector.statis"),
            ("w.yaml", 5, "workflow.nodes[0].model.model_type_id"),
        ]
        assert names(shop) == ["a", "b"]
        assert shop.catalog.snapshot.collectors[0] == good.collectors[0]
        assert shop.catalog.snapshot.workflows == good.workflows
        assert shop.events.counters.get("sidecar_policy_problems_total") == 2
        assert "policy cannot be used" in shop.log.getvalue()

    async def test_a_missing_workflow_is_named_with_its_line(self, shop: Shop, folder: Path) -> None:
        write(folder, "a.yaml", file_collector("a", "  post_queue_workflow_id: unsrue\n"))
        write(folder, "w.yaml", file_workflow("unsure"))
        (problem,) = await shop.catalog.load_files(folder)
        assert str(problem).endswith(
            "a.yaml:4: collector.post_queue_workflow_id: no workflow 'unsrue' in app local/main: did you mean unsure?"
        )
        assert names(shop) == []

    async def test_two_sources_name_field_and_file(self, shop: Shop, folder: Path) -> None:
        long = "  collector_source: {api_post_model_outputs_collector_source: {model_id: m}}\n"
        write(folder, "a.yaml", file_collector("a", long + "  pre_queue_random_sample: 1\n"))
        (problem,) = await shop.catalog.load_files(folder)
        assert str(problem).startswith(f"{folder}/a.yaml:3: collector.source: two sources, source and collector_source")

    async def test_what_the_api_made_stays(self, shop: Shop, folder: Path) -> None:
        await shop.catalog.add_collectors([collector("same")])
        write(folder, "a.yaml", file_collector("same"))
        (problem,) = await shop.catalog.load_files(folder)
        assert "made through the admin API" in problem.message
        assert problem.line == 2
        assert [each.managed_by for each in shop.catalog.snapshot.collectors] == [ManagedBy.API]

    async def test_the_api_cannot_change_what_a_file_manages(self, shop: Shop, folder: Path) -> None:
        write(folder, "a.yaml", file_collector("a"))
        await shop.catalog.load_files(folder)
        for change in (
            shop.catalog.patch_collectors([{"id": "a", "status": "inactive"}]),
            shop.catalog.delete_collectors(["a"]),
            shop.catalog.delete_collectors(None),
        ):
            with pytest.raises(ConfigurationError, match=r"managed_by: file: change .*a\.yaml instead"):
                await change
        assert names(shop) == ["a"]

    async def test_a_workflow_in_use_outlives_its_file(self, shop: Shop, folder: Path) -> None:
        write(folder, "w.yaml", file_workflow("w"))
        await shop.catalog.load_files(folder)
        await shop.catalog.add_collectors([collector("api", pre_queue_workflow_id="w")])
        (folder / "w.yaml").unlink()
        (problem,) = await shop.catalog.load_files(folder)
        assert "a collector still uses workflow 'w'" in problem.message
        assert [key[2] for key in shop.catalog.snapshot.workflows] == ["w"]
        await shop.catalog.delete_collectors(["api"])
        assert await shop.catalog.load_files(folder) == []
        assert shop.catalog.snapshot.workflows == {}
