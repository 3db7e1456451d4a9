"""Collectors and workflows as values, for tests that start below the files, and as the text of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sidecar.collector import DEFAULT_APP, DEFAULT_USER, Collector, Node, NodeModel, Source, Workflow
from sidecar.pipeline.plan import Plan, make_plan
from sidecar.workflow.operators.registry import BUILT_IN, Operators

BELOW_60 = """
workflow:
  id: below-60
  nodes:
    - id: unsure
      model:
        model_id: unsure
        model_type_id: concept-thresholder
        output_info:
          params: {concept_threshold_type: LESS_THAN, require: all}
          data: {concepts: [{id: "*", value: 0.6}]}
"""


def collector(name: str = "kept", model: str = "digits", **fields: Any) -> Collector:
    return Collector(name, Source(model), **fields)


def node(name: str, *inputs: str, type_id: str = "", **fields: Any) -> Node:
    """A node; without `type_id` it asks the model called `name`."""
    return Node(name, NodeModel(name, type_id, **fields), inputs)


def below(name: str, threshold: float) -> Node:
    return node(
        name,
        type_id="concept-thresholder",
        params={"concept_threshold_type": "LESS_THAN", "require": "all"},
        concepts=(("*", threshold),),
    )


def plan(
    collectors: Sequence[Collector],
    *workflows: Workflow,
    models: Sequence[str] = (),
    operators: Operators = BUILT_IN,
) -> Plan:
    by_key = {(DEFAULT_USER, DEFAULT_APP, each.id): each for each in workflows}
    return make_plan(collectors, by_key, models, operators)
