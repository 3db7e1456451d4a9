"""`sidecar backtest` on record files: tables for a person, JSON for a program, faults with file and line."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.policies import BELOW_60
from support.records import recorded, write_record

from sidecar.cli import main

UNSURE = """
collector:
  id: unsure
  status: inactive
  source: {model: digits}
  pre_queue_workflow_id: below-60
"""
ASKING = """
workflow:
  id: asks
  nodes: [{id: other, model: {model_id: other}, node_inputs: [{node_id: $input}]}]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with policies and a record of 200 calls by two callers, over ten hours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "unsure.yaml").write_text(UNSURE)
    (folder / "below-60.yaml").write_text(BELOW_60)
    (folder / "all.yaml").write_text(
        "collector: {id: all, source: {model: digits, caller: bob}, pre_queue_random_sample: 1}"
    )
    (folder / "second.yaml").write_text("collector: {id: second, source: {model: digits}, pre_queue_workflow_id: asks}")
    (folder / "asks.yaml").write_text(ASKING)
    drawn = random.Random(7)
    tops = [drawn.uniform(0.5, 1.0) for _ in range(200)]
    calls = [
        recorded(number, [top, 1.0 - top], caller="alice" if number % 4 else "bob", seconds=180.0)
        for number, top in enumerate(tops)
    ]
    write_record(tmp_path / "calls.jsonl", calls)
    return tmp_path


def found_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["backtest", "--json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_tables_show_what_would_be_kept_and_the_threshold_in_the_histogram(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backtest", "policies/unsure.yaml", "--on", "calls.jsonl"]) == 0
    said = capsys.readouterr().out
    kept = next(line.split()[-1] for line in said.splitlines() if line.startswith("= kept"))
    assert f"About {int(kept) * 86400 / (199 * 180):.0f} inputs a day would be kept" in said
    assert "Of 200 exchanges, 0 unwanted, 0 not sampled." in said
    assert "below-60/unsure: largest value of a concept, kept < 0.6" in said
    rows = [line.strip() for line in said.splitlines() if "│" in line or "┤" in line]
    at = rows.index("────────────┤ 0.6")
    assert rows[at - 1].startswith("0.55–0.60 │█")
    assert rows[at + 1].startswith("0.60–0.65 │█")
    node = next(line.split() for line in said.splitlines() if line.startswith("below-60/unsure (concept"))
    assert node[2:4] == ["200", kept]


def test_a_policy_is_named_by_its_id_too_and_compared_with_another(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = found_by(capsys, "unsure", "--against", "all", "--on", ".")
    kept, both, only = found["inputs"]["kept"], found["comparison"]["both"], found["comparison"]["only_first"]
    assert found["against"]["inputs"]["kept"] == 50 == both + found["comparison"]["only_second"]
    assert 0 < both < kept == both + only
    assert main(["backtest", "unsure", "--against", "all", "--on", "."]) == 0
    said = capsys.readouterr().out
    assert f"kept by both {both:>14}"[:12] in said
    assert found["comparison"]["examples"]["only_first"][0] in said


def test_the_limit_ends_it_and_bad_lines_are_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = home / "calls.jsonl"
    record.write_bytes(b"{}\n" + record.read_bytes())
    assert found_by(capsys, "unsure", "--on", "calls.jsonl", "--limit", "7")["exchanges"]["read"] == 7
    assert main(["backtest", "unsure", "--on", "calls.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "1 records could not be read" in said
    assert "calls.jsonl:1: is in no format" in said


@pytest.fixture
async def model() -> AsyncIterator[tuple[str, list[Any]]]:
    """A model that is sure of everything: its address, and what it was asked."""
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response({"predictions": [[0.1, 0.9]]})

    app = web.Application()
    app.router.add_post("/v1/models/other:predict", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1/models/other:predict")), asked


async def test_models_are_asked_only_when_told_and_no_more_often_than_told(
    home: Path, capsys: pytest.CaptureFixture[str], model: tuple[str, list[Any]]
) -> None:
    import asyncio

    url, asked = model
    options = ("second", "--on", "calls.jsonl", "--models", f"other={url}")
    assert (await asyncio.to_thread(found_by, capsys, *options))["inputs"]["unknown"] == 200
    assert asked == []
    found = await asyncio.to_thread(found_by, capsys, *options, "--ask-models", "3")
    assert (found["inputs"]["kept"], found["inputs"]["unknown"], len(asked)) == (3, 197, 3)
    assert found["nodes"][0] | {"workflow": ""} == {
        "workflow": "", "node": "other", "operator": "other", "in": 200, "out": 3, "filtered": 0, "failed": 0,
        "unknown": 197,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nobody", "--on", "calls.jsonl"), "no collector 'nobody' in policies: there are all, second, unsure"),
        (("policies/none.yaml", "--on", "calls.jsonl"), "policies/none.yaml: is not there"),
        (("policies/asks.yaml", "--on", "calls.jsonl"), "policies/asks.yaml: holds no collector"),
        (("unsure", "--on", "nowhere"), "nowhere: is no record file and holds none"),
        (("unsure", "--on", "queue"), "--on: no sidecar has run with this --data"),
        (("second", "--on", "calls.jsonl"), "asks.yaml: workflow asks: nodes[0].model.model_id: 'other' is no model"),
        (("lost", "--on", "calls.jsonl"), "lost.yaml: collector.pre_queue_workflow_id: no workflow 'gone' beside it"),
        (("policies/bad.yaml", "--on", "calls.jsonl"), "policies/bad.yaml:1: collector.sauce"),
    ],
)
def test_what_cannot_be_tried_is_said_and_where_it_stands(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], expected: str
) -> None:
    bad = home / "policies"
    if arguments[0] == "lost":
        (bad / "lost.yaml").write_text("collector: {id: lost, source: {model: m}, pre_queue_workflow_id: gone}")
    if "bad" in arguments[0]:
        (bad / "bad.yaml").write_text("collector: {id: bad, sauce: {model: m}}")
    assert main(["backtest", *arguments]) == 2
    assert expected in capsys.readouterr().err
