"""The policy to be tried: from a file with its workflows beside it, or as values. Blocking where it reads files."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sidecar.backtest.trial import Ask, Trial, ask_none
from sidecar.collector import Collector, KnowledgeGraph, Status, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.model_server import ModelServer
from sidecar.pipeline.models import check_workflow
from sidecar.pipeline.operators import open_operators
from sidecar.pipeline.plan import make_plan
from sidecar.policy.files import read_folder
from sidecar.workflow.operators.registry import Operators


class Draft(NamedTuple):
    """A collector with the workflows it names and what their nodes can be and ask."""

    collector: Collector
    workflows: tuple[Workflow, ...]
    servers: tuple[ModelServer, ...]
    operators: Operators

    def trial(self, ask: Ask = ask_none) -> Trial:
        """Raises ConfigurationError, with every fault, when the collector cannot run."""
        active = dataclasses.replace(self.collector, status=Status.COLLECTOR_ACTIVE)
        own = (active.user_id, active.app_id)
        named = (active.pre_queue_workflow_id, active.post_queue_workflow_id)
        workflows = [each for each in self.workflows if (each.user_id, each.app_id) == own and each.id in named]
        problems = [problem for each in workflows for problem in _problems_of(each, self.servers, self.operators)]
        if problems:
            raise ConfigurationError(problems)
        models = {server.id for server in self.servers}
        plan = make_plan([active], {(*own, each.id): each for each in workflows}, models, self.operators)
        if not plan.policies:
            raise ConfigurationError(plan.problems)
        return Trial(plan, {each.id: each for each in workflows}, ask)


def _problems_of(workflow: Workflow, servers: Iterable[ModelServer], operators: Operators) -> list[Problem]:
    try:
        check_workflow(workflow, servers, operators)
    except ConfigurationError as error:
        return [
            dataclasses.replace(each, field=f"workflow {workflow.id}: {each.field}", file=workflow.origin)
            for each in error.problems
        ]
    return []


def read_draft(
    policy: str,
    folder: Path,
    servers: tuple[ModelServer, ...],
    app_graphs: Mapping[tuple[str, str], KnowledgeGraph] | None = None,
) -> Draft:
    """The collector in the file `policy`, or the one of that id in `folder`. Its memories begin empty; `app_graphs` are
    the apps' own, by (user, app).

    Raises ConfigurationError when it is not there, or its file cannot be read.
    """
    path = Path(policy)
    is_file = path.suffix in (".yaml", ".yml") or path.is_file()
    home = path.parent if is_file else folder
    loaded = read_folder(home)
    found = [each for each in loaded.collectors if each.origin == str(path) or (not is_file and each.id == policy)]
    if len(found) != 1:
        raise ConfigurationError(_why_not(policy, is_file, home, loaded.problems, loaded.collectors))
    operators, broken = open_operators(home, app_graphs=app_graphs)
    taken = {server.id for server in servers}
    servers += tuple(each for each in loaded.models if each.id not in taken)
    missing = _missing(found[0], loaded.workflows)
    if missing:
        raise ConfigurationError([*loaded.problems, *broken, *missing])
    return Draft(found[0], loaded.workflows, servers, operators)


def _why_not(
    policy: str, is_file: bool, home: Path, problems: Iterable[Problem], collectors: Iterable[Collector]
) -> list[Problem]:
    if is_file:
        said = [problem for problem in problems if problem.file == policy]
        return said or [Problem("holds no collector" if Path(policy).is_file() else "is not there", file=policy)]
    known = ", ".join(sorted(each.id for each in collectors)) or "none"
    return [*problems, Problem(f"no collector {policy!r} in {home}: there are {known}; or name its file")]


def _missing(collector: Collector, workflows: Collection[Workflow]) -> list[Problem]:
    known = {each.id for each in workflows if (each.user_id, each.app_id) == (collector.user_id, collector.app_id)}
    return [
        Problem(f"no workflow {wanted!r} beside it", f"collector.{field}", collector.origin)
        for field in ("pre_queue_workflow_id", "post_queue_workflow_id")
        if (wanted := getattr(collector, field)) and wanted not in known
    ]
