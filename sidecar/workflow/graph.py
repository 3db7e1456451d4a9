"""A workflow as written → a graph that can run, or every fault in it at once.

The rules are the vendor's for its YAML (unique ids, earlier nodes only, at most 20 nodes), and ours: `$input` and
`$output` may be read by any node, a node is given what it can read, and something must come out at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sidecar.collector import Node, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.workflow.draws import draws_of
from sidecar.workflow.flow import fields_held, problems_of_flow
from sidecar.workflow.operators.operator import Ground, Operator, build
from sidecar.workflow.operators.random_sample import RandomSample
from sidecar.workflow.operators.registry import BUILT_IN, Operators

MAX_NODES = 20
Default = Literal["$input", "$output"]
INPUT: Default = "$input"
OUTPUT: Default = "$output"
DEFAULT = "$default"
_RESERVED = (INPUT, OUTPUT)


@dataclass(frozen=True, slots=True)
class Step:
    """One node, ready to run: an operator, or a model to be asked when `operator` is None."""

    id: str
    inputs: tuple[str, ...]
    """Ids of earlier steps, `$input`, `$output`, or `$default`: the one of the two that the workflow's place gives."""
    operator: Operator | None
    model_id: str
    params: Mapping[str, Any] = field(default_factory=dict)
    """What the node says to the model, read by the shape of its server."""
    kind: str = ""
    """What people know it by: the operator's name, or the model's id."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A compiled workflow: its steps in order."""

    id: str
    steps: tuple[Step, ...]
    ends: tuple[str, ...]
    """The steps that no other reads and whose output is not suppressed: their merged outputs are the result."""
    models: tuple[str, ...]
    """Every model that a step may ask."""
    read: frozenset[str]
    """Every id that a step reads."""
    draws: tuple[RandomSample, ...] = ()
    """The samples that decide alone."""

    @property
    def holds(self) -> bool:
        """True if a step holds jobs back in the queue: it must stand before the queue."""
        return any(step.operator is not None and step.operator.holds for step in self.steps)

    @property
    def keeps_content(self) -> bool:
        """True if a step remembers what is made from content."""
        return any(step.operator is not None and step.operator.keeps_content for step in self.steps)

    def reads(self, side: Default, default: Default) -> bool:
        """True if a step reads `side` when `default` is what a node without inputs reads."""
        return side in self.read or (side == default and DEFAULT in self.read)


def compile_workflow(workflow: Workflow, models: Collection[str], operators: Operators = BUILT_IN) -> Graph:
    """The graph of `workflow`; `models` are the ids that a node may ask, `operators` what its nodes can be.

    Raises ConfigurationError with every fault, each with its field path, such as `nodes[1].model.output_info.params`.
    """
    problems = [*_problems_of_size(workflow), *_problems_of_holding(workflow, operators)]
    steps: list[Step] = []
    seen: set[str] = set()
    held = fields_held(workflow.nodes, operators.kinds)
    ground = replace(operators.ground, workflow=workflow.id, app=(workflow.user_id, workflow.app_id))
    for index, node in enumerate(workflow.nodes):
        where = f"nodes[{index}]"
        found = [
            *_problems_of_id(node, seen),
            *_problems_of_inputs(node, seen, workflow, operators),
            *problems_of_flow(node, operators.kinds, held),
            *_problems_of_model(node, models, operators),
        ]
        try:
            steps.append(_step(node, operators, ground))
        except ConfigurationError as error:
            found.extend(error.problems)
        problems.extend(replace(problem, field=f"{where}.{problem.field}") for problem in found)
        seen.add(node.id)
    read = frozenset(name for step in steps for name in step.inputs)
    ends = tuple(node.id for node in workflow.nodes if node.id not in read and not node.suppress_output)
    if not problems and not ends:
        problems.append(Problem("nothing comes out: the output of every last node is suppressed", "nodes"))
    if problems:
        raise ConfigurationError(problems)
    asked = dict.fromkeys(step.model_id for step in steps if step.operator is None)
    return Graph(workflow.id, tuple(steps), ends, tuple(asked), read, draws_of(steps, ends))


def _problems_of_size(workflow: Workflow) -> Iterator[Problem]:
    if not workflow.nodes:
        yield Problem("must not be empty", "nodes")
    if len(workflow.nodes) > MAX_NODES:
        yield Problem(f"{len(workflow.nodes)} nodes, at most {MAX_NODES}", "nodes")


def _problems_of_holding(workflow: Workflow, operators: Operators) -> Iterator[Problem]:
    kinds = [operators.kinds.get(node.model.type_id) for node in workflow.nodes]
    holding = [index for index, kind in enumerate(kinds) if kind is not None and kind.holds]
    for index in holding[1:]:
        first = workflow.nodes[holding[0]].id
        yield Problem(f"holds jobs back, as {first!r} does: one is enough", f"nodes[{index}].model.model_type_id")


def _problems_of_id(node: Node, seen: set[str]) -> Iterator[Problem]:
    if not node.id:
        yield Problem("is missing", "id")
    elif node.id.startswith("$"):
        yield Problem(f"{node.id!r}: ids that start with $ are reserved", "id")
    elif node.id in seen:
        yield Problem(f"{node.id!r} stands twice", "id")


def _problems_of_inputs(
    node: Node, seen: set[str], workflow: Workflow, operators: Operators
) -> Iterator[Problem]:  # fmt: skip
    for index, name in enumerate(node.inputs):
        if name in _RESERVED or name in seen:
            continue
        is_later = any(other.id == name for other in workflow.nodes)
        fault = "is not an earlier node" if is_later else f"is no node, {INPUT} or {OUTPUT}"
        yield Problem(f"{name!r} {fault}", f"node_inputs[{index}].node_id")
    kind = operators.kinds.get(node.model.type_id)
    if kind is None and node.model.type_id:  # what is not known is said below
        return
    wanted = kind.input_count if kind else 1
    given = len(node.inputs) or 1
    if given != wanted:
        name = node.model.type_id or "a model"
        yield Problem(f"{name} reads {wanted}, not {given}", "node_inputs")


def _problems_of_model(node: Node, models: Collection[str], operators: Operators) -> Iterator[Problem]:
    model = node.model
    if model.type_id and model.version_id:
        yield Problem("must not stand beside model_type_id: an operator has no versions", "model.model_version_id")
    if model.type_id in operators.broken:
        yield Problem(f"{model.type_id!r} cannot be used: {operators.broken[model.type_id]}", "model.model_type_id")
    elif model.type_id and model.type_id not in operators.kinds:
        known = ", ".join(sorted(operators.kinds))
        yield Problem(f"{model.type_id!r} is no operator; known: {known}", "model.model_type_id")
    elif not model.type_id and not model.model_id:
        yield Problem("name an operator here, or a model by model_id", "model.model_type_id")
    elif not model.type_id and model.model_id not in models:
        known = ", ".join(sorted(models)) or "none"
        message = f"{model.model_id!r} is no model in the setting `models` or among the policies; known: {known}"
        yield Problem(message, "model.model_id")


def _step(node: Node, operators: Operators, ground: Ground) -> Step:
    kind = operators.kinds.get(node.model.type_id)
    operator = None if kind is None else build(kind, node, ground)
    inputs = node.inputs or ((kind.default_input if kind else "") or DEFAULT,)
    model_id = "" if operator else node.model.model_id
    return Step(node.id, inputs, operator, model_id, node.model.params, model_id or node.model.type_id)
