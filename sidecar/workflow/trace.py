"""What each node of a workflow made of one input that was kept: a few small numbers, to be read by people later.

Pure, and made for kept inputs alone. Without `has_content` it tells nothing that was captured or made from it: names
that the policy itself has, verdicts and counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.data import Data
from sidecar.workflow.graph import Graph, Step
from sidecar.workflow.operators.random_sample import RandomSample

PASSED = "passed"
EMPTIED = "emptied"
NOT_RUN = "not_run"


def trace(graph: Graph, outputs: Mapping[str, Data], *, has_content: bool) -> dict[str, Any]:
    """The workflow's id and its nodes in order, as JSON; `outputs` are those of the verdict `Kept`."""
    return {"workflow": graph.id, "nodes": [_node(step, outputs, has_content) for step in graph.steps]}


def _node(step: Step, outputs: Mapping[str, Data], has_content: bool) -> dict[str, Any]:
    output = outputs[step.id]
    node: dict[str, Any] = {"id": step.id, "kind": step.kind, "verdict": PASSED}
    if isinstance(step.operator, RandomSample):
        node["keep_fraction"] = step.operator.keep_fraction
    if output.is_empty:
        was_given = any(not outputs[name].is_empty for name in step.inputs)
        node["verdict"] = EMPTIED if was_given else NOT_RUN
        return node
    if output.concepts:
        node["concepts"] = len(output.concepts)
        if has_content:
            top = max(output.concepts, key=lambda concept: concept.value)
            node["top"] = {"id": top.id, "value": top.value}
    if output.regions:
        node["regions"] = len(output.regions)
    return node
