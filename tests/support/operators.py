"""One operator on one input: the shortest graph that shows what it keeps and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sidecar.collector import Node, NodeModel, Workflow
from sidecar.data import Concept, Data, Text
from sidecar.errors import ConfigurationError
from sidecar.workflow.graph import Default, Graph, compile_workflow
from sidecar.workflow.operators.registry import BUILT_IN, Operators
from sidecar.workflow.run import Item, Verdict, run_without_models


def graph_of(
    type_id: str,
    params: Mapping[str, Any] | None = None,
    concepts: Mapping[str, float] | None = None,
    *inputs: str,
    operators: Operators = BUILT_IN,
) -> Graph:
    """The graph of the one node `n`. Raises ConfigurationError."""
    model = NodeModel("n", type_id, params=params or {}, concepts=tuple((concepts or {}).items()))
    return compile_workflow(Workflow("w", (Node("n", model, inputs),)), (), operators)


def faults_of(type_id: str, params: Mapping[str, Any]) -> list[str]:
    """What is wrong with the parameters, less the path to them."""
    with pytest.raises(ConfigurationError) as caught:
        graph_of(type_id, params)
    return [str(each).removeprefix("nodes[0].model.output_info.params.") for each in caught.value.problems]


def judge(graph: Graph, output: Data, default: Default = "$output", index: int = 0, **metadata: Any) -> Verdict:
    """The verdict on `output`; the input has nothing but `metadata`."""
    item = Item(b"exchange", index, "collector", Data(metadata=metadata), output)
    return run_without_models(graph, item, default)


def classified(**concepts: float) -> Data:
    return Data(concepts=tuple(Concept(name, value) for name, value in concepts.items()))


def said(text: str) -> Data:
    return Data(text=Text(text))
