"""What a node can never read is a fault of the graph; what it may read is none."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.collector import Node, NodeModel, Workflow
from sidecar.data import Data
from sidecar.errors import ConfigurationError, Problem
from sidecar.workflow.graph import compile_workflow
from sidecar.workflow.operators.operator import ANYTHING
from sidecar.workflow.operators.registry import OPERATORS

PARAMS: dict[str, dict[str, Any]] = {
    "random-sample": {"keep_fraction": 0.5},
    "concept-thresholder": {"concept_threshold_type": "LESS_THAN"},
    "region-thresholder": {"concept_threshold_type": "LESS_THAN"},
    "concept-synonym-mapper": {"knowledge_graph": {"relations": [["a", "synonym", "b"]]}},
    "regex-based-classifier": {"regex": "a", "concept_id": "a"},
    "metadata-filter": {"expression": "caller"},
    "keyword-filter": {"keywords": ["a"]},
    "uncertainty-filter": {"measure": "margin", "min_uncertainty": 0.5},
}


def node(name: str, type_id: str, *inputs: str) -> Node:
    thresholds = (("*", 0.5),) if "threshold" in type_id else ()
    return Node(name, NodeModel(name, type_id, params=PARAMS.get(type_id, {}), concepts=thresholds), inputs)


def model(name: str, *inputs: str) -> Node:
    return Node(name, NodeModel("second"), inputs)


def problems(*nodes: Node) -> tuple[Problem, ...]:
    try:
        compile_workflow(Workflow("w", nodes), ("second",))
    except ConfigurationError as error:
        return error.problems
    return ()


GIVES = {
    "concept-thresholder": "concepts",
    "region-thresholder": "regions",
    "concept-synonym-mapper": "concepts",
    "regex-based-classifier": "concepts",
    "object-counter": "metadata",
    "language": "concepts",
}
READS = {
    "concept-thresholder": "concepts",
    "region-thresholder": "regions",
    "concept-synonym-mapper": "concepts",
    "regex-based-classifier": "tensors or text",
    "object-counter": "regions",
    "keyword-filter": "tensors or text",
    "language": "tensors or text",
    "uncertainty-filter": "concepts",
}


@pytest.mark.parametrize("first", GIVES)
@pytest.mark.parametrize("second", [*READS, "random-sample", "metadata-filter"])
def test_each_pair_of_operators_fits_or_is_named(first: str, second: str) -> None:
    found = problems(node("a", first), node("b", second, "a"))
    reads, gives = READS.get(second), GIVES[first]
    if reads is None or gives in reads:
        assert found == ()
    else:
        message = f"{second} reads {reads}, but all that 'a' gives is {gives}"
        assert found == (Problem(message, "nodes[1].node_inputs[0].node_id"),)


def test_what_passes_data_on_passes_the_fault_on() -> None:
    chain = (node("a", "object-counter"), node("b", "random-sample", "a"), node("c", "metadata-filter", "b"))
    assert problems(*chain) == ()
    (found,) = problems(*chain, node("d", "uncertainty-filter", "c"))
    assert found.field == "nodes[3].node_inputs[0].node_id"
    assert found.message == "uncertainty-filter reads concepts, but all that 'c' gives is metadata"


def test_each_of_several_inputs_must_fit() -> None:
    nodes = (node("count", "object-counter"), node("differ", "disagreement-filter", "$output", "count"))
    (found,) = problems(*nodes)
    assert found.field == "nodes[1].node_inputs[1].node_id"


@pytest.mark.parametrize("reader", [*READS])
@pytest.mark.parametrize("source", ["$input", "$output", "m"])
def test_inputs_outputs_and_models_may_hold_anything(reader: str, source: str) -> None:
    assert problems(model("m"), node("r", reader, source)) == ()


def test_a_fault_comes_beside_the_others() -> None:
    found = problems(node("a", "object-counter"), node("b", "keyword-filter", "a"), node("c", "nope", "z"))
    assert [each.field for each in found] == [
        "nodes[1].node_inputs[0].node_id",
        "nodes[2].node_inputs[0].node_id",
        "nodes[2].model.model_type_id",
    ]


def test_every_operator_says_what_it_reads_and_gives() -> None:
    assert set(Data.__annotations__) == ANYTHING
    assert {name for name, kind in OPERATORS.items() if kind.reads != ANYTHING} == {
        *READS,
        "concept-threshold",
        "disagreement-filter",
        "class-quota",
        "novelty-filter",
    }
    assert {name: " or ".join(kind.gives) for name, kind in OPERATORS.items() if kind.gives} == {
        **GIVES,
        "concept-threshold": "concepts",
    }
