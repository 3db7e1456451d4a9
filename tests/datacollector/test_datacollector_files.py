"""Rows in files, where there is no sidecar: the documented layout, one header a file, several processes at once."""

from __future__ import annotations

import asyncio
import csv
import fcntl
import json
import sys
from pathlib import Path

import pytest
from support.rows_end import ROOT, run_command, run_scoring

from sidecar.datacollector.collector import ModelDataCollector
from sidecar.datacollector.correlations import rfc3339
from sidecar.datacollector.files import Files
from sidecar.datacollector.identity import read_identity, split_account
from sidecar.datacollector.record import Correlation, Identity, Record, Table

WHO = Identity("sub", "rg", "acc", "web", "id7", "digits", "3")
LEAP_DAY = 1709164799.5
"""2024-02-28T23:59:59.5Z."""


def record(columns: str = "ab", *rows: list[object], seconds: float = LEAP_DAY, **fields: str) -> Record:
    table = Table(tuple(columns), [list(row) for row in rows] or [[1, "x"]], 0)
    when = Correlation(seconds, fields.pop("correlation_id", "c-1"), "r-1")
    return Record("0" * 32, WHO, fields.pop("identifier", "inputs"), "", fields.pop("stem", "data"), when, table)


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.csv"))


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


class TestLayout:
    def test_path_header_and_rows_are_the_documented_ones(self, tmp_path: Path) -> None:
        Files(str(tmp_path)).write([record("ab", [1, "x, y"], [None, 'say "é"'])])
        path = tmp_path / "modeldata/sub/rg/acc/web/id7-digits-3/inputs/2024/02/28/data.csv"
        assert rows_of(path) == [
            ["$Timestamp", "$CorrelationId", "$RequestId", "a", "b"],
            ["2024-02-28T23:59:59.500000Z", "c-1", "r-1", "1", "x, y"],
            ["2024-02-28T23:59:59.500000Z", "c-1", "r-1", "", 'say "é"'],
        ]

    def test_by_hour_and_by_name(self, tmp_path: Path) -> None:
        Files(str(tmp_path), by_hour=True).write([record(stem="late")])
        assert [path.relative_to(tmp_path).parts[-5:] for path in tmp_path.rglob("*.csv")] == [
            ("2024", "02", "28", "23", "late.csv")
        ]

    def test_other_columns_start_another_file_and_the_first_ones_go_on_in_theirs(self, tmp_path: Path) -> None:
        for batch in ([record("ab"), record("abc", [1, 2, 3])], [record("ab")], [record("ba")]):
            Files(str(tmp_path)).write(batch)
        found = {path.name: rows_of(path) for path in tmp_path.rglob("*.csv")}
        assert {name: (rows[0][3:], len(rows) - 1) for name, rows in found.items()} == {
            "data.csv": (["a", "b"], 2), "data-1.csv": (["a", "b", "c"], 1), "data-2.csv": (["b", "a"], 1),
        }  # fmt: skip

    @pytest.mark.parametrize("name", ["../../up", "/etc", "..", "", "a\nb", "a\0b"])
    def test_no_name_leads_out_of_the_folder(self, tmp_path: Path, name: str) -> None:
        folder = tmp_path / "in"
        Files(str(folder)).write([record(identifier=name)])
        (path,) = tmp_path.rglob("*.csv")
        assert len(path.relative_to(folder).parts) == 11

    def test_what_the_disk_did_not_take_can_be_written_again(self, tmp_path: Path) -> None:
        files = Files(str(tmp_path))
        in_the_way = tmp_path / "modeldata/sub/rg/acc/web/id7-digits-3/labels"
        in_the_way.parent.mkdir(parents=True)
        in_the_way.write_text("a file where a folder should be")
        batch = [record(), record(identifier="labels"), record()]
        with pytest.raises(OSError, match="labels"):
            files.write(batch)
        assert [each.identifier for each in batch] == ["labels"]
        in_the_way.unlink()
        files.write(batch)
        assert batch == []
        assert sorted(len(rows_of(path)) for path in tmp_path.rglob("*.csv")) == [2, 3]


class TestIdentity:
    GIVEN = Identity("unknown", "unknown", "unknown", "mine", "unknown", "digits", "1")

    def test_the_platform_knows_better(self, tmp_path: Path) -> None:
        path = tmp_path / "map.json"
        account = {"subscriptionId": "s", "resourceGroupName": "g", "accountName": "a"}
        path.write_text(json.dumps({"models": {"digits": {"id": "m", "version": 4}}, "accountContext": account}))
        known = read_identity(self.GIVEN, {"SERVICE_NAME": "web"}, str(path))
        assert known == Identity("s", "g", "a", "web", "m", "digits", "4")

    @pytest.mark.parametrize("content", ["", "[]", '{"models": 1}', '{"models": {"other": {"id": "x"}}}', "{"])
    def test_without_it_the_arguments_hold(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "map.json"
        path.write_text(content)
        assert read_identity(self.GIVEN, {}, str(path)) == self.GIVEN
        assert read_identity(self.GIVEN, {"SERVICE_NAME": ""}, str(tmp_path / "none")) == self.GIVEN

    def test_an_account_by_its_full_id_or_its_name(self) -> None:
        full = "/subscriptions/s1/resourceGroups/g1/providers/Microsoft.MachineLearningModelManagement/accounts/a1"
        assert split_account(full) == {"subscription": "s1", "resource_group": "g1", "account": "a1"}
        assert split_account("a2") == {"subscription": "unknown", "resource_group": "unknown", "account": "a2"}


SCORE = """
import sys
from sidecar.datacollector import ModelDataCollector, flush
inputs = ModelDataCollector("digits", "inputs", ["a", "b"])
for number in range(200):
    assert inputs.collect([number, sys.argv[0]], "id %d, as given" % number) is None
"""


async def test_processes_that_write_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    """The script is there before the first one reads it; and each waits for its rows, as the end of a process, which
    waits for two seconds at most, is another matter."""
    (tmp_path / "score.py").write_text(SCORE + "assert flush(60)\n")
    command = [sys.executable, "-W", "error", "score.py"]
    runs = [run_command(command, folder=tmp_path, AML_MODEL_DC_STORAGE_ENABLED="true") for _ in range(4)]
    assert await asyncio.gather(*runs) == [(0, "", "")] * 4
    (path,) = files_in(tmp_path)
    assert path.relative_to(tmp_path).parts[:7] == (
        "modeldata", "unknown", "unknown", "unknown", "unknown", "unknown-digits-unknown", "inputs",
    )  # fmt: skip
    header, *rows = rows_of(path)
    assert header == ["$Timestamp", "$CorrelationId", "$RequestId", "a", "b"]
    assert sorted(int(row[3]) for row in rows) == sorted(list(range(200)) * 4)
    assert all(row[1] == f"id {row[3]}, as given" and row[4] == "score.py" for row in rows)
    assert len({row[2] for row in rows}) == len(rows)


async def test_a_file_that_another_process_is_writing_to_is_waited_for(tmp_path: Path) -> None:
    script = SCORE + "\nassert not flush(0.1)\nprint('waits', flush=True)\nsys.stdin.readline()\nassert flush(30)\n"
    one_row = script.replace("range(200)", "range(1)")
    assert (await run_scoring(SCORE, folder=tmp_path, SIDECAR_MDC="file:."))[0] == 0
    (path,) = files_in(tmp_path)
    (tmp_path / "score.py").write_text(one_row)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "score.py", cwd=tmp_path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT), "SIDECAR_MDC": "file:."},
        )  # fmt: skip
        assert child.stdout is not None
        assert await asyncio.wait_for(child.stdout.readline(), 30) == b"waits\n"
        assert len(rows_of(path)) == 201
    await asyncio.wait_for(child.communicate(b"\n"), 60)
    assert child.returncode == 0
    assert len(rows_of(path)) == 202


LATE = """
import pandas as pd
from sidecar.datacollector import ModelDataCollector
inputs = ModelDataCollector("digits", designation="inputs", workspace="s/g/w")
labels = ModelDataCollector("digits", designation="labels")
signals = ModelDataCollector("digits", designation="signals", collection_name="clicks")
context = inputs.collect(pd.DataFrame({"a": [1]}), "mine")
assert set(context) == {"$Timestamp", "$CorrelationId", "$RequestId"}, context
old = {**context, "$Timestamp": "2024-02-29T12:00:00.250000Z"}
frame = pd.DataFrame({"label": ["cat"]})
known = labels.add_correlations(frame, old)
assert list(frame.columns) == ["label"]
labels.collect(known)
labels.collect(labels.add_correlations([["dog"]], {**old, "$CorrelationId": "other"}))
signals.collect(["clicked"])
assert labels.add_correlations(frame, None) is frame
"""


async def test_a_late_label_lands_where_its_request_is(tmp_path: Path) -> None:
    address = f"file:{tmp_path / 'kept'}"
    assert await run_scoring(LATE, folder=tmp_path, SIDECAR_MDC=address) == (0, "", "")
    found = {path.relative_to(tmp_path / "kept/modeldata").parts: rows_of(path) for path in files_in(tmp_path)}
    assert {parts[5] for parts in found} == {"inputs", "labels", "signals"}
    labels = {parts: rows for parts, rows in found.items() if parts[5] == "labels"}
    for parts in labels:
        assert parts[6:9] == ("2024", "02", "29")
    rows = sorted((rows[0][3], *rows[1][:2], rows[1][3]) for rows in labels.values())
    assert rows == [
        ("0", "2024-02-29T12:00:00.250000Z", "other", "dog"),
        ("label", "2024-02-29T12:00:00.250000Z", "mine", "cat"),
    ]
    assert any(parts[5] == "signals" and parts[-1] == "clicks.csv" for parts in found)
    assert any(parts[:3] == ("s", "g", "w") and parts[5] == "inputs" for parts in found)


def test_a_moment_is_written_to_the_microsecond() -> None:
    assert rfc3339(1491947450.223962) == "2017-04-11T21:50:50.223962Z"
    assert rfc3339(1.9999999) == "1970-01-01T00:00:02.000000Z"


def test_without_any_switch_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SIDECAR_MDC", "AML_MODEL_DC_STORAGE_ENABLED", "AML_MODEL_DC_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    assert ModelDataCollector("digits").collect([1]) is None
    assert list(tmp_path.iterdir()) == []
