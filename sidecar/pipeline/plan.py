"""The policies as the pipeline runs them: matched by source, their graphs compiled.

Owns a frozen view that is made anew whenever the catalog changes; a batch under way keeps the view it began with. A
collector whose workflow cannot run (say its model is no longer in settings) is left out and named in `problems`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from sidecar.collector import Collector, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.frame import Index, build_index
from sidecar.policy.match import Matcher, wants
from sidecar.redaction.detector import Detectors
from sidecar.redaction.rules import Redaction
from sidecar.workflow.graph import Graph, compile_workflow
from sidecar.workflow.operators.registry import BUILT_IN, Operators

WorkflowKey = tuple[str, str, str]
"""(user, app, workflow id)."""
REMEMBERED_SOURCES = 10_000
"""Sources and callers whose policies are remembered: callers name themselves, so there may be any number."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A collector with its graphs; a graph is None where the collector names no workflow."""

    collector: Collector
    pre_queue: Graph | None = None
    post_queue: Graph | None = None
    redaction: Redaction | None = None
    """None where the collector has no `redact`."""
    key: str = field(init=False)
    """The collector's."""
    destinations: tuple[str, ...] = field(init=False)
    """The names of the collector's."""
    redacts_first: bool = field(init=False)
    """True if its pre-queue workflow puts on disk what it makes from content: nothing goes there unredacted."""

    def __post_init__(self) -> None:
        graph = self.pre_queue
        redacts_first = self.redaction is not None and graph is not None and graph.keeps_content
        object.__setattr__(self, "key", self.collector.key)  # frozen; and made once, as every input asks for both
        object.__setattr__(self, "destinations", tuple(each.name for each in self.collector.destinations))
        object.__setattr__(self, "redacts_first", redacts_first)

    def told(self, detail: str) -> str:
        """What of a text from elsewhere may be kept or logged: it may repeat what was captured."""
        return detail if self.redaction is None else self.redaction.text(detail)

    @property
    def asks_a_model(self) -> bool:
        """True if its pre-queue workflow has a model node."""
        return self.pre_queue is not None and bool(self.pre_queue.models)


class Watching(NamedTuple):
    """The policies that want the calls of one source by one caller, in the catalog's order."""

    policies: tuple[Policy, ...]
    samples_exchanges: bool
    """True if one of them looks at a fraction of the exchanges only."""
    asks_a_model: bool
    """True if one of them has a pre-queue workflow with a model node."""

    def told(self, detail: str) -> str:
        """What of `detail` all of them let be logged."""
        for policy in self.policies:
            detail = policy.told(detail)
        return detail

    def sampled(self, draw: float) -> tuple[Policy, ...]:
        """Those that look at the exchange whose id gives `draw`, a number in [0, 1)."""
        return tuple([policy for policy in self.policies if draw < policy.collector.sample_exchanges])


@dataclass(frozen=True, slots=True)
class Plan:
    """What holds now. `policies` has inactive collectors too: what is pending for them goes on."""

    policies: Mapping[str, Policy] = field(default_factory=dict)
    matcher: Matcher = field(default_factory=lambda: Matcher(()))
    index: Index = field(default_factory=Index)
    problems: tuple[Problem, ...] = ()
    known: frozenset[str] = frozenset()
    """The keys of all collectors that there are, also of those that cannot run."""
    _watching: dict[tuple[str, str, str, str, str], Watching] = field(default_factory=dict, repr=False, compare=False)

    def watching(self, model: str, version: str, caller: str, user: str, app: str) -> Watching:
        """Who wants such calls: matched once, then remembered, as a source's calls come in thousands."""
        key = (model, version, caller, user, app)
        found = self._watching.get(key)
        if found is None:
            if len(self._watching) >= REMEMBERED_SOURCES:
                self._watching.clear()
            matched = self.matcher.match(*key, exchange_fraction=0.0)
            found = self._watching[key] = _watching(tuple([self.policies[each.key] for each in matched]))
        return found


def _watching(policies: tuple[Policy, ...]) -> Watching:
    samples = any(policy.collector.sample_exchanges < 1.0 for policy in policies)
    return Watching(policies, samples, any(policy.asks_a_model for policy in policies))


def make_plan(
    collectors: Iterable[Collector],
    workflows: Mapping[WorkflowKey, Workflow],
    models: Collection[str],
    operators: Operators = BUILT_IN,
    before: Mapping[str, Policy] = MappingProxyType({}),
) -> Plan:
    """Compile what the catalog holds; `models` are the ids that a node may call, `operators` what it can be.

    `before` are the policies of the last plan with the same operators: a collector that is the same object still and
    runs no workflow keeps its own, as one edit among a thousand collectors must not cost a thousand times as much.
    """
    collectors = tuple(collectors)
    graphs, problems = _compile_all(workflows, models, operators)
    policies = {}
    for collector in collectors:
        key = collector.key
        known = before.get(key)
        if known is not None and known.collector is collector and not _workflow_ids(collector):
            policies[key] = known
            continue
        try:
            policies[key] = _policy_of(collector, graphs, operators.detectors)
        except ConfigurationError as error:
            why = "; ".join(str(problem) for problem in error.problems)
            problems.append(Problem(f"stands still: {why}", f"collector {key}", collector.origin))
    active = [policy.collector for policy in policies.values() if policy.collector.is_active]
    there = frozenset([collector.key for collector in collectors])
    return Plan(policies, Matcher(active), build_index(wants(active)), tuple(problems), there)


def _policy_of(collector: Collector, graphs: Mapping[WorkflowKey, Graph], detectors: Detectors) -> Policy:
    """Raises ConfigurationError when it cannot run."""
    missing = [name for name in _workflow_ids(collector) if _key(collector, name) not in graphs]
    if missing:
        raise ConfigurationError(f"its workflow {', '.join(missing)} cannot run")
    after = graphs.get(_key(collector, collector.post_queue_workflow_id))
    if after is not None and after.holds:
        message = f"{after.id} holds jobs back in the queue, so it must be the pre_queue_workflow_id"
        raise ConfigurationError(message)
    redaction = Redaction(collector.redact, detectors) if collector.redact else None
    return Policy(collector, graphs.get(_key(collector, collector.pre_queue_workflow_id)), after, redaction)


def _compile_all(
    workflows: Mapping[WorkflowKey, Workflow], models: Collection[str], operators: Operators
) -> tuple[dict[WorkflowKey, Graph], list[Problem]]:
    graphs: dict[WorkflowKey, Graph] = {}
    problems: list[Problem] = []
    for key, workflow in workflows.items():
        try:
            graphs[key] = compile_workflow(workflow, models, operators)
        except ConfigurationError as error:
            problems.extend(
                Problem(p.message, f"workflow {workflow.id}: {p.field}", workflow.origin) for p in error.problems
            )
    return graphs, problems


def _workflow_ids(collector: Collector) -> list[str]:
    return [name for name in (collector.pre_queue_workflow_id, collector.post_queue_workflow_id) if name]


def _key(collector: Collector, workflow_id: str) -> WorkflowKey:
    return (collector.user_id, collector.app_id, workflow_id)
