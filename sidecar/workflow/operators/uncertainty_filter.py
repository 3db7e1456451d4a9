"""`uncertainty-filter` (*ours*): passes its input on where the model is at least as unsure as asked.

Reads `concepts` and passes the whole data on, if its uncertainty is at least `min_uncertainty`. With p₁ ≥ p₂ ≥ … the
shares of the n concepts (see `shares`: values that do not sum to 1 are divided by their sum, one concept alone is a
yes-or-no answer and n is 2), the uncertainty is in [0, 1], 0 where one concept has everything, 1 where all are equal:

    least_confidence   (1 − p₁) · n / (n − 1)
    margin             1 − (p₁ − p₂)              also 1 where only the two best are equal
    entropy            −Σ pᵢ ln pᵢ / ln n         0 ln 0 = 0

Sources: B. Settles, Active Learning Literature Survey (2009), section 3.1, for the three measures (the margin is
Scheffer's, the entropy Shannon's); R. Monarch, Human-in-the-Loop Machine Learning (2021), chapter 3, for their scaling
to [0, 1]. Equal shares need no rule: p₁ and p₂ are values, whoever has them. Data without concepts is a fault, not a
certainty. A bound is met within 1e-9, as sums of floats fall short of it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import Field

from sidecar.collector import Node
from sidecar.data import Data
from sidecar.workflow.item import Item
from sidecar.workflow.operators.operator import EMPTY, Deciding, Operator, Params
from sidecar.workflow.operators.shares import Shares, shares_of

_TOLERANCE = 1e-9


class UncertaintyFilterParams(Params):
    measure: Literal["least_confidence", "margin", "entropy"]
    min_uncertainty: float = Field(ge=0.0, le=1.0)


class UncertaintyFilter(Operator):
    params_model = UncertaintyFilterParams
    reads = frozenset(("concepts",))

    def __init__(self, node: Node, params: UncertaintyFilterParams) -> None:
        self._params = params
        self._measure = _MEASURES[params.measure]
        self._least = params.min_uncertainty - _TOLERANCE

    @property
    def deciding(self) -> Deciding:
        name, bound = f"uncertainty by {self._params.measure}", self._params.min_uncertainty
        return Deciding(name, ">=", bound, lambda inputs: self._measure(shares_of(inputs[0])))

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        return inputs[0] if self._measure(shares_of(inputs[0])) >= self._least else EMPTY


def _least_confidence(shares: Shares) -> float:
    return (1.0 - max(shares.values())) * len(shares) / (len(shares) - 1)


def _margin(shares: Shares) -> float:
    first, second = heapq.nlargest(2, shares.values())
    return 1.0 - (first - second)


def _entropy(shares: Shares) -> float:
    return -sum(share * math.log(share) for share in shares.values() if share > 0.0) / math.log(len(shares))


_MEASURES: Mapping[str, Callable[[Shares], float]] = {
    "least_confidence": _least_confidence,
    "margin": _margin,
    "entropy": _entropy,
}
