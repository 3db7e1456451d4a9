"""Runs a graph on one input, without I/O: a node that asks a model yields the request and is sent the answer.

Promises never to raise for what an operator does: its fault is a verdict. A node whose every input is empty is not run
and is empty itself. The result is the merged output of the last nodes; any field that holds something keeps the input.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.data import Data
from sidecar.errors import SidecarError
from sidecar.workflow.graph import DEFAULT, INPUT, OUTPUT, Default, Graph
from sidecar.workflow.item import Item
from sidecar.workflow.merge import merge
from sidecar.workflow.operators.operator import EMPTY, Operator

__all__ = ["Dropped", "Filtered", "Item", "Kept", "ModelRequest", "Verdict", "run", "run_without_models"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model to be asked about one piece of data; the last two name the input that it stands for."""

    model_id: str
    data: Data
    params: Mapping[str, Any] = field(default_factory=dict)
    exchange_id: bytes = b""
    input_index: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """The workflow lets the input through; `output` is what came out at its end."""

    output: Data
    outputs: Mapping[str, Data] | None = field(default=None, compare=False, repr=False)
    """What each node gave and what the first ones read, by id: for a trace. None where no node has run."""


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
_NO_OUTPUT = Dropped("no_output", "the workflow reads the model's output, and there is none")


def run(graph: Graph, item: Item, default: Default) -> Generator[ModelRequest, Data, Verdict]:
    """Run `graph` on `item`; nodes without inputs read `default`. Returns the verdict.

    Send the answer to each yielded request; the same model is asked about the same data once only.
    """
    outputs = _given(graph, item, default)
    if outputs is None:
        return _NO_OUTPUT
    answers: list[tuple[ModelRequest, Data]] = []
    emptied = ""
    for step in graph.steps:
        names = step.inputs
        inputs = (outputs[names[0]],) if len(names) == 1 else tuple([outputs[name] for name in names])
        if inputs[0].is_empty and all(data.is_empty for data in inputs):
            outputs[step.id] = EMPTY
            continue
        if step.operator is None:
            request = ModelRequest(step.model_id, inputs[0], step.params, item.exchange_id, item.input_index)
            output: Data | Dropped = yield from _ask(request, answers)
        else:
            output = _operate(step.id, step.operator, inputs, item)
        if isinstance(output, Dropped):
            return output
        outputs[step.id] = output
        if output.is_empty:
            emptied = step.id
    results = [outputs[name] for name in graph.ends if not outputs[name].is_empty]
    return Kept(merge(results), outputs) if results else Filtered(emptied)


def run_without_models(graph: Graph, item: Item, default: Default) -> Verdict:
    """Run a graph that asks no model. Raises ValueError for one that does.

    An input that a sample leaves out for certain is filtered by it, whatever node would have been the last.
    """
    for sample in graph.draws:
        if not sample.keeps(item) and (item.has_output or not graph.reads(OUTPUT, default)):
            return _left_out_by(sample.node)
    try:
        request = next(run(graph, item, default))
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict
    raise ValueError(f"workflow {graph.id!r} asks model {request.model_id!r}: use run")


@functools.lru_cache(1024)
def _left_out_by(node: str) -> Filtered:
    return Filtered(node)


def _given(graph: Graph, item: Item, default: Default) -> dict[str, Data] | None:
    """What stands before the first step, as far as any reads it; None when the output is read and there is none."""
    given: dict[str, Data] = {}
    if graph.reads(OUTPUT, default):
        output = item.output
        if output is None:
            return None
        given[OUTPUT] = output
    if graph.reads(INPUT, default):
        given[INPUT] = item.input
    if DEFAULT in graph.read:
        given[DEFAULT] = given[default]
    return given


def _operate(node: str, operator: Operator, inputs: tuple[Data, ...], item: Item) -> Data | Dropped:
    try:
        output = operator(inputs, item)
    except SidecarError as error:
        return Dropped("operator_failed", f"node {node!r}: {error}")
    except Exception as error:  # noqa: BLE001 - an operator's bug must cost one input under a named reason, not the engine
        # the type alone: a foreign error's text may repeat what was captured
        return Dropped("operator_failed", f"node {node!r}: {type(error).__name__}")
    if not isinstance(output, Data):  # an operator of others, which no type checker has seen
        return Dropped("operator_failed", f"node {node!r}: gave {type(output).__name__}, not Data")
    return output


def _ask(request: ModelRequest, answers: list[tuple[ModelRequest, Data]]) -> Generator[ModelRequest, Data, Data]:
    for asked, answer in answers:
        if asked == request:
            return answer
    answer = yield request
    answers.append((request, answer))
    return answer
