"""trace: what each node made of a kept input, in names of the policy and small numbers."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.collector import Node, NodeModel, Workflow
from sidecar.data import Concept, Data, Region
from sidecar.workflow.graph import Graph, compile_workflow
from sidecar.workflow.run import Item, Kept, run, run_without_models
from sidecar.workflow.trace import trace

OUTPUT = Data(concepts=(Concept("dog", 0.3), Concept("cat", 0.6)), regions=(Region(), Region()))


def node(name: str, type_id: str, *inputs: str, concept: str = "", **params: Any) -> Node:
    concepts = ((concept, 0.5),) if concept else ()
    return Node(name, NodeModel(name, type_id, params=params, concepts=concepts), inputs)


def above(name: str, concept: str, *inputs: str) -> Node:
    return node(name, "concept-thresholder", *inputs, concept=concept, concept_threshold_type="GREATER_THAN")


GRAPH = compile_workflow(
    Workflow(
        "w",
        (
            node("tenth", "random-sample", keep_fraction=1.0),
            above("cats", "cat", "tenth"),
            above("dogs", "dog", "tenth"),
            above("again", "dog", "dogs"),
        ),
    ),
    (),
)


def kept(graph: Graph, output: Data = OUTPUT) -> Kept:
    verdict = run_without_models(graph, Item(b"e", 0, "c", Data(), output), "$output")
    assert isinstance(verdict, Kept)
    return verdict


def test_each_node_says_what_it_is_what_it_did_and_what_it_gave() -> None:
    outputs = kept(GRAPH).outputs
    assert outputs is not None
    told = trace(GRAPH, outputs, has_content=True)
    assert told["workflow"] == "w"
    assert told["nodes"] == [
        {
            "id": "tenth", "kind": "random-sample", "verdict": "passed", "keep_fraction": 1.0,
            "concepts": 2, "top": {"id": "cat", "value": 0.6}, "regions": 2,
        },
        {
            "id": "cats", "kind": "concept-thresholder", "verdict": "passed",
            "concepts": 1, "top": {"id": "cat", "value": 0.6},
        },
        {"id": "dogs", "kind": "concept-thresholder", "verdict": "emptied"},
        {"id": "again", "kind": "concept-thresholder", "verdict": "not_run"},
    ]  # fmt: skip


def test_where_a_collector_redacts_nothing_that_was_captured_is_told() -> None:
    secret = Data(concepts=(Concept("s3cret", 0.7),))
    graph = compile_workflow(Workflow("w", (node("all", "random-sample", keep_fraction=1.0),)), ())
    outputs = kept(graph, secret).outputs
    assert outputs is not None
    assert "s3cret" in str(trace(graph, outputs, has_content=True))
    told = trace(graph, outputs, has_content=False)
    assert "s3cret" not in str(told)
    assert told["nodes"][0]["concepts"] == 1


def test_a_model_is_named_by_its_id() -> None:
    graph = compile_workflow(Workflow("w", (Node("asks", NodeModel("second")),)), {"second"})
    walk = run(graph, Item(b"e", 0, "c", OUTPUT, None), "$input")
    next(walk)
    with pytest.raises(StopIteration) as end:
        walk.send(Data(concepts=(Concept("x", 0.2),)))
    told = trace(graph, end.value.value.outputs, has_content=True)
    assert told["nodes"] == [
        {"id": "asks", "kind": "second", "verdict": "passed", "concepts": 1, "top": {"id": "x", "value": 0.2}}
    ]
