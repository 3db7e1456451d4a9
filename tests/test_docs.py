"""Docs that cannot lie: the README's commands, settings, policies and routes are the product's own."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sidecar import settings
from sidecar.admin.routes import APP, ROUTES
from sidecar.cli import main, options
from sidecar.delivery.registry import DESTINATIONS, check_options
from sidecar.pipeline.models import check_workflow
from sidecar.policy.model_wire import read_model
from sidecar.policy.wire import read_collector
from sidecar.policy.workflow_wire import read_workflow
from sidecar.records.formats import FORMATS
from sidecar.records.parquet_files import SCHEMA
from sidecar.workflow.operators.registry import OPERATORS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DECISIONS = ROOT / ".github" / "decisions"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_table_of_settings_is_the_one_table() -> None:
    shown = README.split("<!-- settings -->")[1].split("<!-- /settings -->")[0].strip()
    fresh = "python -c 'from sidecar.settings import markdown_table; print(markdown_table())'"
    assert shown == settings.markdown_table(), f"put the output of {fresh} there"


def test_the_figures_are_those_of_the_last_measurement() -> None:
    shown = README.split("<!-- bench -->")[1].split("<!-- /bench -->")[0].strip()
    page = (ROOT / "tests" / "bench" / "results" / "page.md").read_text()
    judged = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(judged) > 2
    assert "\n\n" + "\n".join(judged) + "\n\n" in page


def test_the_policies_shown_can_be_loaded_together() -> None:
    documents = [yaml.safe_load(block) for block in blocks("yaml")]
    policies = [document for document in documents if set(document) <= {"collector", "workflow", "model"}]
    models = [read_model(document["model"]) for document in policies if "model" in document]
    workflows = [read_workflow(document["workflow"]) for document in policies if "workflow" in document]
    collectors = [read_collector(document["collector"]) for document in policies if "collector" in document]
    for workflow in workflows:
        check_workflow(workflow, models)
    for collector in collectors:
        for destination in collector.destinations:
            check_options(destination)
    named = {collector.pre_queue_workflow_id for collector in collectors} - {""}
    assert named == {workflow.id for workflow in workflows}


def own_options(*add: Callable[[argparse.ArgumentParser], None]) -> set[str]:
    """What a command takes besides settings."""
    parsers = [argparse.ArgumentParser() for _ in add]
    for add_to, parser in zip(add, parsers, strict=True):
        add_to(parser)
    return {name for parser in parsers for action in parser._actions for name in action.option_strings}


def test_the_options_shown_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    own = own_options(options.add_backtest, options.add_record, options.add_keys, options.add_collectors)
    own |= own_options(options.add_export, options.add_import, options.add_jobs)
    known = {row.option for row in settings.rows()} | {"--once"} | own
    whole = (block.replace("\\\n", " ") for block in blocks("sh"))
    commands = [line for block in whole for line in block.splitlines() if "sidecar " in line]
    given = {word for line in commands for word in shlex.split(line, comments=True) if word.startswith("--")}
    docker = {"--rm", "--add-host", "--name", "--read-only"}
    assert given - known - docker == set()


def test_every_command_is_listed_in_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for command in (
        "run",
        "check",
        "status",
        "backtest",
        "record",
        "keys",
        "collectors",
        "jobs",
        "export",
        "import",
        "demo",
    ):
        assert re.search(rf"^    {command}\s", shown, re.MULTILINE)
    assert "engine" not in shown.split("COMMAND", 1)[1]


def test_every_route_of_ours_is_listed_with_its_scope() -> None:
    listed = set(re.findall(r"^\| `([A-Z]+) (/\S+)` \| (\S+) \|", README, re.MULTILINE))
    ours = {
        (route.method, route.path.replace(APP, "/…"), "–" if route.scope is None else f"`{route.scope.value}`")
        for route in ROUTES
        if not route.path.startswith("/v2/users/")
    }
    assert listed == ours


def test_every_dependency_says_why_it_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["demo"]]
    said = README.split("## What it stands on")[1]
    for requirement in needed:
        name = re.split(r"[<>=;\[ ]", requirement)[0]
        assert name.replace("-", "") in said.replace("-", ""), f"{name} is not explained"


def test_every_operator_is_explained() -> None:
    for name in OPERATORS:
        assert f"`{name}`" in README or name == "concept-threshold", name


def test_every_destination_is_explained() -> None:
    for name in DESTINATIONS:
        assert f"\n| `{name}` |" in README, name


def test_every_format_of_record_files_and_every_column_is_explained() -> None:
    for name in (*FORMATS, *SCHEMA):
        assert f"`{name}`" in README, name


def test_every_decision_is_in_the_list() -> None:
    listed = (DECISIONS / "README.md").read_text()
    for path in DECISIONS.glob("0*.md"):
        assert f"]({path.name})" in listed


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
