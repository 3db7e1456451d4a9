"""`disagreement-filter` (*ours*): passes on where two models differ.

Reads exactly two nodes, say `$output` and a model of one's own, and gives the second one's data as it is: the other
opinion, which tells a person what to look at. `by: top_concept` (default) asks whether their top concepts have another
id (the largest value, the first of equals). The others ask whether a distance between their shares (see `shares`) is at
least `min_distance`; a concept that one side does not have has no share there:

    total_variation    ½ Σ |pᵢ − qᵢ|
    jensen_shannon     √ of ½ Σ pᵢ log₂(pᵢ/mᵢ) + ½ Σ qᵢ log₂(qᵢ/mᵢ), where mᵢ = (pᵢ + qᵢ)/2

Both are in [0, 1], 0 for the same shares, 1 for nothing in common; the second weighs small shares more. Source: J. Lin,
Divergence Measures Based on the Shannon Entropy (1991); the root makes a metric of it (Endres and Schindelin, 2003).

Where one side was emptied by an earlier node there is nothing to compare and the input is filtered; a side that holds
data but no concepts is a fault in the graph, and said to be one. Two models that answer with one number each name the
same concept whatever they say: compare those by a distance. A bound is met within 1e-9.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from pydantic import Field, model_validator

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.errors import PermanentError
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Deciding, Operator, Params
from sidecar.workflow.operators.shares import Shares, shares_of

_TOLERANCE = 1e-9


class DisagreementFilterParams(Params):
    by: Literal["top_concept", "total_variation", "jensen_shannon"] = "top_concept"
    min_distance: float | None = Field(default=None, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _has_its_bound(self) -> DisagreementFilterParams:
        if (self.min_distance is None) != (self.by == "top_concept"):
            raise ValueError(
                "min_distance goes with a distance: `by` total_variation or jensen_shannon, both or neither"
            )
        return self


class DisagreementFilter(Operator):
    params_model = DisagreementFilterParams
    input_count = 2
    reads = frozenset(("concepts",))

    def __init__(self, node: Node, params: DisagreementFilterParams) -> None:
        self._by = params.by
        self._bound = params.min_distance or 0.0
        self._distance = _DISTANCES.get(params.by)
        self._least = (params.min_distance or 0.0) - _TOLERANCE

    @property
    def deciding(self) -> Deciding | None:
        distance = self._distance
        if distance is None:
            return None
        return Deciding(
            f"{self._by} distance",
            ">=",
            self._bound,
            lambda inputs: (
                None if any(data.is_empty for data in inputs) else distance(shares_of(inputs[0]), shares_of(inputs[1]))
            ),
        )

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        if any(data.is_empty for data in inputs):
            return EMPTY
        return inputs[1] if self._do_differ(*inputs) else EMPTY

    def _do_differ(self, first: Data, second: Data) -> bool:
        tops = (first.top_concept(), second.top_concept())
        if tops[0] is None or tops[1] is None:
            place = "first" if tops[0] is None else "second"
            raise PermanentError(f"cannot compare: the {place} of node_inputs holds no concepts")
        if self._distance is None:
            return tops[0].id != tops[1].id
        shares = shares_of(first, "the first of node_inputs"), shares_of(second, "the second of node_inputs")
        return self._distance(*shares) >= self._least


def _pairs(first: Shares, second: Shares) -> Iterator[tuple[float, float]]:
    return ((first.get(name, 0.0), second.get(name, 0.0)) for name in {**first, **second})


def _total_variation(first: Shares, second: Shares) -> float:
    return sum(abs(p - q) for p, q in _pairs(first, second)) / 2.0


def _jensen_shannon(first: Shares, second: Shares) -> float:
    divergence = sum(_against_mean(p, q) + _against_mean(q, p) for p, q in _pairs(first, second)) / 2.0
    return math.sqrt(max(divergence, 0.0))


def _against_mean(share: float, other: float) -> float:
    return share * math.log2(2.0 * share / (share + other)) if share > 0.0 else 0.0


_DISTANCES: Mapping[str, Callable[[Shares, Shares], float]] = {
    "total_variation": _total_variation,
    "jensen_shannon": _jensen_shannon,
}
