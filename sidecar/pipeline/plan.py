"""The policies as the pipeline runs them: matched by source, their graphs compiled.

Owns a frozen view that is made anew whenever the catalog changes; a batch under way keeps the view it began with. A
collector whose workflow cannot run (say its model is no longer in settings) is left out and named in `problems`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sidecar.collector import Collector, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.frame import Index, build_index
from sidecar.policy.match import Matcher, wants
from sidecar.workflow.graph import Graph, compile_workflow

WorkflowKey = tuple[str, str, str]
"""(user, app, workflow id)."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A collector with its graphs; a graph is None where the collector names no workflow."""

    collector: Collector
    pre_queue: Graph | None = None
    post_queue: Graph | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What holds now. `policies` has inactive collectors too: what is pending for them goes on."""

    policies: Mapping[str, Policy] = field(default_factory=dict)
    matcher: Matcher = field(default_factory=lambda: Matcher(()))
    index: Index = field(default_factory=Index)
    problems: tuple[Problem, ...] = ()
    known: frozenset[str] = frozenset()
    """The keys of all collectors that there are, also of those that cannot run."""


def make_plan(
    collectors: Iterable[Collector], workflows: Mapping[WorkflowKey, Workflow], models: Collection[str]
) -> Plan:
    """Compile what the catalog holds; `models` are the ids that a node may call."""
    collectors = tuple(collectors)
    graphs, problems = _compile_all(workflows, models)
    policies = {}
    for collector in collectors:
        missing = [name for name in _workflow_ids(collector) if _key(collector, name) not in graphs]
        if missing:
            message = f"stands still: its workflow {', '.join(missing)} cannot run"
            problems.append(Problem(message, field=f"collector {collector.key}", file=collector.origin))
            continue
        policies[collector.key] = Policy(
            collector,
            graphs.get(_key(collector, collector.pre_queue_workflow_id)),
            graphs.get(_key(collector, collector.post_queue_workflow_id)),
        )
    active = [policy.collector for policy in policies.values() if policy.collector.is_active]
    known = frozenset(collector.key for collector in collectors)
    return Plan(policies, Matcher(active), build_index(wants(active)), tuple(problems), known)


def _compile_all(
    workflows: Mapping[WorkflowKey, Workflow], models: Collection[str]
) -> tuple[dict[WorkflowKey, Graph], list[Problem]]:
    graphs: dict[WorkflowKey, Graph] = {}
    problems: list[Problem] = []
    for key, workflow in workflows.items():
        try:
            graphs[key] = compile_workflow(workflow, models)
        except ConfigurationError as error:
            problems.extend(
                Problem(p.message, f"workflow {workflow.id}: {p.field}", workflow.origin) for p in error.problems
            )
    return graphs, problems


def _workflow_ids(collector: Collector) -> list[str]:
    return [name for name in (collector.pre_queue_workflow_id, collector.post_queue_workflow_id) if name]


def _key(collector: Collector, workflow_id: str) -> WorkflowKey:
    return (collector.user_id, collector.app_id, workflow_id)
