"""Graphs whose nodes count what goes in and comes out, and sort the numbers that decide into a histogram.

What they decide is not changed: a node's operator is called as ever, from inside one that counts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

from sidecar.data import Data, Json
from sidecar.workflow.graph import Graph, Step
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import Deciding, Operator
from sidecar.workflow.run import ModelRequest

BINS = 20
"""Of a histogram, over [0, 1]."""


class NodeCount:
    """One node's inputs, by how they ended there. `name` says what the node does."""

    __slots__ = ("bins", "deciding", "failed", "name", "node", "outside", "passed", "taken", "unknown", "workflow")

    def __init__(self, workflow: str, node: str, name: str, deciding: Deciding | None = None) -> None:
        self.workflow = workflow
        self.node = node
        self.name = name
        self.taken = 0
        self.passed = 0
        self.failed = 0
        self.unknown = 0
        """Inputs whose model was not asked."""
        self.deciding = deciding
        self.bins = [0] * BINS
        self.outside = 0
        """Numbers that are not in [0, 1]."""

    def sort_in(self, number: float | None) -> None:
        if number is None:
            return
        if not (math.isfinite(number) and 0.0 <= number <= 1.0):
            self.outside += 1
            return
        self.bins[min(int(number * BINS + 1e-9), BINS - 1)] += 1  # sums of floats fall short of a bound

    def to_json(self) -> Json:
        filtered = self.taken - self.passed - self.failed - self.unknown
        counts = {"in": self.taken, "out": self.passed, "filtered": filtered, "failed": self.failed}
        wire = {"workflow": self.workflow, "node": self.node, "operator": self.name, **counts, "unknown": self.unknown}
        if self.deciding is not None:
            deciding = self.deciding
            wire["histogram"] = {
                "value": deciding.name, "keeps": deciding.keeps, "threshold": deciding.bound,
                "low": 0.0, "high": 1.0, "bins": list(self.bins), "outside": self.outside,
            }  # fmt: skip
        return wire


class Watched(Operator):
    """Calls `operator` and counts into `count`."""

    def __init__(self, operator: Operator, count: NodeCount) -> None:
        self._operator = operator
        self._count = count
        self._number_of = None if count.deciding is None else count.deciding.of

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        count = self._count
        count.taken += 1
        try:
            output = self._operator(inputs, item)
            count.passed += not output.is_empty
        except Exception:
            count.failed += 1
            raise
        if self._number_of is not None:
            self._sort_in(inputs)
        return output

    def _sort_in(self, inputs: tuple[Data, ...]) -> None:
        try:
            number = None if self._number_of is None else self._number_of(inputs)
        except Exception:  # noqa: BLE001 - what others wrote to show a number must not change the verdict
            number = math.nan
        self._count.sort_in(number)


class WatchedGraph(NamedTuple):
    """A graph whose nodes count into `counts`, in their order."""

    graph: Graph
    counts: tuple[NodeCount, ...]

    def count_of(self, request: ModelRequest) -> NodeCount:
        """The count of the node that asks; the first of several that ask the same."""
        nodes = zip(self.graph.steps, self.counts, strict=True)
        return next(
            count for step, count in nodes if step.model_id == request.model_id and step.params == request.params
        )


def watch(graph: Graph, names: Mapping[str, str]) -> WatchedGraph:
    """`graph` with its nodes counted; `names` says what each node's operator is called."""
    counts = tuple(_count_of(graph, step, names) for step in graph.steps)
    steps = tuple(_watched(step, count) for step, count in zip(graph.steps, counts, strict=True))
    return WatchedGraph(dataclasses.replace(graph, steps=steps), counts)


def _count_of(graph: Graph, step: Step, names: Mapping[str, str]) -> NodeCount:
    deciding = None if step.operator is None else step.operator.deciding
    return NodeCount(graph.id, step.id, names.get(step.id) or step.model_id, deciding)


def _watched(step: Step, count: NodeCount) -> Step:
    return step if step.operator is None else dataclasses.replace(step, operator=Watched(step.operator, count))
