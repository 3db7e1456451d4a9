"""Runs a graph on one input, without I/O: a node that asks a model yields the request and is sent the answer.

Promises never to raise for what an operator does: its fault is a verdict. A node whose every input is empty is not run
and is empty itself. The result is the merged output of the last nodes; any field that holds something keeps the input.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from sidecar.data import Data
from sidecar.errors import SidecarError
from sidecar.workflow.graph import DEFAULT, INPUT, OUTPUT, Default, Graph
from sidecar.workflow.item import Item
from sidecar.workflow.merge import merge
from sidecar.workflow.operators.operator import EMPTY, Operator

__all__ = ["Dropped", "Filtered", "Item", "Kept", "ModelRequest", "Verdict", "run", "run_without_models"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model to be asked about one piece of data."""

    model_id: str
    data: Data


@dataclass(frozen=True, slots=True)
class Kept:
    """The workflow lets the input through; `output` is what came out at its end."""

    output: Data


@dataclass(frozen=True, slots=True)
class Filtered:
    """What the policy meant; `node` is the one that emptied it last, blank when nothing went in."""

    node: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """What the policy did not mean: `no_output` or `operator_failed`."""

    reason: str
    detail: str = ""


Verdict = Kept | Filtered | Dropped


def run(graph: Graph, item: Item, default: Default) -> Generator[ModelRequest, Data, Verdict]:
    """Run `graph` on `item`; nodes without inputs read `default`. Returns the verdict.

    Send the answer to each yielded request; the same model is asked about the same data once only.
    """
    if item.output is None and graph.reads_output(default):
        return Dropped("no_output", "the workflow reads the model's output, and there is none")
    outputs: dict[str, Data] = {INPUT: item.input, OUTPUT: item.output or EMPTY}
    outputs[DEFAULT] = outputs[default]
    answers: list[tuple[ModelRequest, Data]] = []
    emptied = ""
    for step in graph.steps:
        inputs = tuple([outputs[name] for name in step.inputs])
        if inputs[0].is_empty and all(data.is_empty for data in inputs):
            outputs[step.id] = EMPTY
            continue
        if step.operator is None:
            output: Data | Dropped = yield from _ask(ModelRequest(step.model_id, inputs[0]), answers)
        else:
            output = _operate(step.id, step.operator, inputs, item)
        if isinstance(output, Dropped):
            return output
        outputs[step.id] = output
        if output.is_empty:
            emptied = step.id
    results = [outputs[name] for name in graph.ends if not outputs[name].is_empty]
    return Kept(merge(results)) if results else Filtered(emptied)


def run_without_models(graph: Graph, item: Item, default: Default) -> Verdict:
    """Run a graph that asks no model. Raises ValueError for one that does."""
    try:
        request = next(run(graph, item, default))
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict
    raise ValueError(f"workflow {graph.id!r} asks model {request.model_id!r}: use run")


def _operate(node: str, operator: Operator, inputs: tuple[Data, ...], item: Item) -> Data | Dropped:
    try:
        return operator(inputs, item)
    except SidecarError as error:
        return Dropped("operator_failed", f"node {node!r}: {error}")
    except Exception as error:  # noqa: BLE001 - an operator's bug must cost one input under a named reason, not the engine
        # the type alone: a foreign error's text may repeat what was captured
        return Dropped("operator_failed", f"node {node!r}: {type(error).__name__}")


def _ask(request: ModelRequest, answers: list[tuple[ModelRequest, Data]]) -> Generator[ModelRequest, Data, Data]:
    for asked, answer in answers:
        if asked == request:
            return answer
    answer = yield request
    answers.append((request, answer))
    return answer
